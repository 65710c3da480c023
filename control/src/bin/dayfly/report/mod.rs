//! `dayfly report`: how long jobs waited, what ran, and what it cost, by what the ledger keeps.

mod facts;
mod html;
mod period;
mod prices;
mod svg;

use std::{collections::BTreeMap, path::PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use dayfly_control::{
    clock::{Clock, Millis, SystemClock},
    report::counted,
};
use serde_json::{Value, json};

use self::{
    facts::{Facts, Part, Report},
    period::{REMEMBERED, since},
    prices::Prices,
};
use crate::{
    output::{Aligned, say, time},
    place::{Place, block},
};

/// Reports queue times, jobs, instance minutes and costs, by fleet, repository and day.
///
/// The ledger keeps jobs and instances for a week: a report over a longer time is made of weekly ones (--json). Minutes are
/// those of instances, from launch to end; each instance's are its jobs' repository's. Costs are of instances alone, without
/// volumes and traffic, by the prices that --prices names; what has none is counted in minutes.
#[derive(Debug, Args)]
pub(crate) struct ReportCommand {
    #[command(flatten)]
    place: Place,
    /// Since when: a span (90m, 36h, 7d), a date, or a time; a week at most.
    #[arg(long, default_value = "7d")]
    since: String,
    /// Prices in US dollars an hour, as JSON: `{"on_demand": {"c7i.large": 0.1018}, "spot": {…}, "spot_factor": 0.4}`.
    #[arg(long, value_name = "FILE")]
    prices: Option<PathBuf>,
    /// JSON in place of tables.
    #[arg(long)]
    json: bool,
    /// Writes the report as one HTML page that needs nothing beside it.
    #[arg(long, value_name = "FILE", conflicts_with = "json")]
    html: Option<PathBuf>,
}

pub(crate) fn run(asked: &ReportCommand) -> Result<()> {
    check(asked)?;
    let now = SystemClock.now();
    let since = since(&asked.since, now).map_err(anyhow::Error::msg)?;
    let prices = prices(asked)?;
    block(async {
        let place = asked.place.connect().await?;
        // Runners first: one that ends meanwhile is found among the lives, and counts once.
        let runners = place.ledger.runners(None).await.map_err(|error| place.explained(error))?;
        let (lives, unread) = place.ledger.lives().await.map_err(|error| place.explained(error))?;
        let jobs = place.ledger.jobs().await.map_err(|error| place.explained(error))?;
        let report = facts::report(&Facts { jobs, lives, runners, since, until: now }, &prices);
        let remarks = remarks(&report, unread, now);
        if let Some(file) = &asked.html {
            let name = asked.place.deployment.clone().unwrap_or_default();
            std::fs::write(file, html::page(&report, &remarks, &name))
                .with_context(|| format!("writing {}", file.display()))?;
            return say(&format!("Wrote {}\n", file.display()));
        }
        say(&if asked.json { to_json(&report, &remarks) } else { text(&report, &remarks) })
    })
}

fn prices(asked: &ReportCommand) -> Result<Prices> {
    let Some(file) = &asked.prices else { return Ok(Prices::default()) };
    let text = std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    Prices::read(&text).map_err(|problems| {
        let all: Vec<String> = problems.0.iter().map(|it| format!("{}: {it}", file.display())).collect();
        anyhow::Error::msg(all.join("\n"))
    })
}

/// What a reader has to know so as not to take the numbers for more than they are.
fn remarks(report: &Report, unread: usize, now: Millis) -> Vec<String> {
    let mut remarks = Vec::new();
    if report.since <= now.saturating_sub(REMEMBERED) {
        remarks.push("The ledger keeps jobs and instances for 7 days: what is older is missing.".to_owned());
    }
    if report.all.dollars > 0.0 {
        remarks.push("Costs are minutes by the prices that --prices names: the ledger knows none.".to_owned());
    }
    if report.all.unpriced_minutes > 0.0 {
        let named: Vec<String> =
            report.unpriced.iter().map(|(name, minutes)| format!("{name} ({minutes:.0} min)")).collect();
        remarks.push(format!("Without a price (--prices), and so not in the costs: {}.", named.join(", ")));
    }
    if unread > 0 {
        let are = if unread == 1 { "is" } else { "are" };
        remarks.push(format!("{} could not be read and {are} missing.", counted(unread, "instance")));
    }
    remarks
}

/// The headings of a table, and whether each column is of numbers.
const COLUMNS: [(&str, bool); 9] = [
    ("", false),
    ("JOBS", true),
    ("P50", true),
    ("P90", true),
    ("P99", true),
    ("INSTANCES", true),
    ("MINUTES", true),
    ("UNPRICED", true),
    ("USD", true),
];

/// A row of a table, under [`COLUMNS`].
fn cells(name: &str, part: &Part) -> Vec<String> {
    let wait = |percent| part.wait(percent).map_or_else(|| "-".to_owned(), seconds);
    vec![
        name.to_owned(),
        part.jobs.to_string(),
        wait(50),
        wait(90),
        wait(99),
        part.instances.to_string(),
        format!("{:.0}", part.minutes),
        format!("{:.0}", part.unpriced_minutes),
        dollars(part),
    ]
}

/// Costs, where any price was there.
fn dollars(part: &Part) -> String {
    if part.dollars == 0.0 && part.unpriced_minutes > 0.0 { "-".to_owned() } else { format!("{:.2}", part.dollars) }
}

/// A wait for people: `3.2s`, `4m10s`.
fn seconds(wait: Millis) -> String {
    if wait < 60_000 { format!("{}.{}s", wait / 1000, wait % 1000 / 100) } else { crate::output::span(0, wait) }
}

/// The tables of a report: what they are called, and their parts.
fn tables(report: &Report) -> [(&'static str, &BTreeMap<String, Part>); 3] {
    [("FLEET", &report.fleets), ("REPOSITORY", &report.repositories), ("DAY", &report.days)]
}

fn text(report: &Report, remarks: &[String]) -> String {
    let Report { since, until, all, .. } = report;
    let mut text = format!(
        "From {} to {}: {}, of which {} never had a runner; {}.\n",
        time(*since),
        time(*until),
        counted(all.jobs, "job"),
        all.without_runner,
        counted(all.instances, "instance")
    );
    for (name, parts) in tables(report) {
        let headings = std::iter::once(name).chain(COLUMNS.iter().skip(1).map(|(name, _)| *name));
        let mut table = Aligned::new(COLUMNS.iter().map(|(_, number)| *number));
        table.row(headings.map(str::to_owned).collect());
        for (name, part) in parts {
            table.row(cells(name, part));
        }
        table.row(cells("all", all));
        text += &format!("\n{table}");
    }
    text += &remarks.iter().map(|it| format!("\n{it}\n")).collect::<String>();
    text
}

fn to_json(report: &Report, remarks: &[String]) -> String {
    let part = |part: &Part| {
        json!({
            "jobs": part.jobs,
            "without_runner": part.without_runner,
            "began": part.waits.len(),
            "wait_ms": {"p50": part.wait(50), "p90": part.wait(90), "p99": part.wait(99)},
            "instances": part.instances,
            "minutes": part.minutes,
            "unpriced_minutes": part.unpriced_minutes,
            "usd": part.dollars,
        })
    };
    let parts = |all: &BTreeMap<String, Part>| -> Value {
        all.iter().map(|(name, it)| (name.clone(), part(it))).collect::<serde_json::Map<_, _>>().into()
    };
    let whole = json!({
        "version": 1,
        "since": report.since,
        "until": report.until,
        "all": part(&report.all),
        "fleets": parts(&report.fleets),
        "repositories": parts(&report.repositories),
        "days": parts(&report.days),
        "unpriced": report.unpriced,
        "remarks": remarks,
    });
    format!("{whole:#}\n")
}

/// What the command refuses before anything is asked.
fn check(asked: &ReportCommand) -> Result<()> {
    if let Some(file) = &asked.html
        && file.is_dir()
    {
        bail!("--html: found the folder {}, expected a file", file.display());
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::{Part, Report, remarks, seconds, text, to_json};

    pub(crate) fn report() -> Report {
        let part = Part {
            jobs: 3,
            waits: vec![800, 3_200, 250_000],
            without_runner: 1,
            instances: 2,
            minutes: 25.4,
            dollars: 0.123_4,
            unpriced_minutes: 0.0,
        };
        let unpriced = Part { dollars: 0.0, unpriced_minutes: 12.6, ..part.clone() };
        Report {
            since: 1_794_900_000_000,
            until: 1_795_000_000_000,
            all: part.clone(),
            fleets: [("linux-x64".to_owned(), part.clone())].into(),
            repositories: [("octo-org/octo-repo".to_owned(), unpriced), ("(no job)".to_owned(), part.clone())].into(),
            days: [("2026-11-18".to_owned(), part)].into(),
            unpriced: [("m7i.large spot".to_owned(), 12.6)].into(),
        }
    }

    #[test]
    fn a_report_is_three_tables_with_numbers_to_the_right() {
        let text = text(&report(), &["Mind this.".to_owned()]);
        let expected = "\
From 2026-11-17T07:20:00Z to 2026-11-18T11:06:40Z: 3 jobs, of which 1 never had a runner; 2 instances.

FLEET      JOBS   P50    P90    P99  INSTANCES  MINUTES  UNPRICED   USD
linux-x64     3  3.2s  4m10s  4m10s          2       25         0  0.12
all           3  3.2s  4m10s  4m10s          2       25         0  0.12

REPOSITORY          JOBS   P50    P90    P99  INSTANCES  MINUTES  UNPRICED   USD
(no job)               3  3.2s  4m10s  4m10s          2       25         0  0.12
octo-org/octo-repo     3  3.2s  4m10s  4m10s          2       25        13     -
all                    3  3.2s  4m10s  4m10s          2       25         0  0.12

DAY         JOBS   P50    P90    P99  INSTANCES  MINUTES  UNPRICED   USD
2026-11-18     3  3.2s  4m10s  4m10s          2       25         0  0.12
all            3  3.2s  4m10s  4m10s          2       25         0  0.12

Mind this.
";
        assert_eq!(text, expected);
    }

    #[test]
    fn what_the_numbers_leave_out_is_said() {
        let mut it = report();
        it.all.dollars = 0.0;
        assert!(remarks(&it, 0, it.until).is_empty());
        it.all.dollars = 0.1;
        let said = remarks(&it, 0, it.until);
        assert!(said.len() == 1 && said[0].contains("--prices"), "{said:?}");
        it.since = it.until - super::REMEMBERED;
        assert!(remarks(&it, 0, it.until)[0].contains("7 days"), "where it is all that is kept");
        it.all.dollars = 0.0;
        let short = Report { all: Part { unpriced_minutes: 12.6, ..it.all.clone() }, since: 0, ..it };
        let said = remarks(&short, 2, short.until);
        assert!(said[0].contains("7 days") && said[1].contains("m7i.large spot (13 min)") && said[2].starts_with("2 "));
    }

    #[test]
    fn json_has_the_same_by_name() {
        let it: serde_json::Value = serde_json::from_str(&to_json(&report(), &[])).unwrap();
        assert_eq!((&it["version"], &it["fleets"]["linux-x64"]["wait_ms"]["p90"]), (&1.into(), &250_000.into()));
        assert_eq!((&it["all"]["began"], &it["unpriced"]["m7i.large spot"]), (&3.into(), &12.6.into()));
    }

    #[test]
    fn short_waits_are_told_by_tenths() {
        for (wait, expected) in [(0, "0.0s"), (999, "0.9s"), (59_999, "59.9s"), (60_000, "1m00s")] {
            assert_eq!(seconds(wait), expected);
        }
    }
}
