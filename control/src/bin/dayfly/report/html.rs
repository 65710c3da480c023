//! The report as one HTML page: no script, nothing from elsewhere, light and dark by the reader's choice. Every name is
//! somebody's text, and is escaped.

use std::collections::BTreeMap;

use dayfly_control::report::counted;

use super::{
    COLUMNS, cells,
    facts::{Part, Report},
    svg::{Bar, bars, legend},
    tables,
};
use crate::output::time;

/// The most fleets or repositories that a plot tells apart; the others are one.
const MOST_SERIES: usize = 7;
/// The steps of the plot of waits, in seconds, and what they are called.
const STEPS: [(u64, &str); 9] = [
    (1, "1 s"),
    (5, "5 s"),
    (15, "15 s"),
    (30, "30 s"),
    (60, "1 min"),
    (120, "2 min"),
    (300, "5 min"),
    (900, "15 min"),
    (3600, "1 h"),
];

const STYLE: &str = "\
:root{color-scheme:light dark;--text:#1a1a1a;--page:#fff;--line:#d0d0d0;--dim:#595959;\
--c0:#0b62a8;--c1:#b85c00;--c2:#1a7f37;--c3:#8a3ab9;--c4:#b3261e;--c5:#00757c;--c6:#7a6200;--c7:#6b7280}\
@media(prefers-color-scheme:dark){:root{--text:#e8e8e8;--page:#161616;--line:#3d3d3d;--dim:#a8a8a8;\
--c0:#58a6ff;--c1:#ffa657;--c2:#56d364;--c3:#d2a8ff;--c4:#ff7b72;--c5:#39c5cf;--c6:#e3b341;--c7:#9ca3af}}\
body{font:15px/1.5 system-ui,sans-serif;color:var(--text);background:var(--page);max-width:60rem;margin:2rem auto;padding:0 1rem}\
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem}p{margin:.4rem 0}.dim{color:var(--dim)}\
table{border-collapse:collapse;width:100%}th,td{padding:.25rem .6rem;border-bottom:1px solid var(--line);text-align:left}\
.n{text-align:right;font-variant-numeric:tabular-nums}tfoot td{font-weight:600}td:first-child{overflow-wrap:anywhere}\
svg{width:100%;height:auto}svg text{font-size:11px;fill:var(--text)}.number{text-anchor:end}.name{text-anchor:middle}\
.axis{stroke:var(--line)}.key{margin-right:1rem}.key i{display:inline-block;width:.8em;height:.8em;margin-right:.35em}\
.c0{fill:var(--c0);background:var(--c0)}.c1{fill:var(--c1);background:var(--c1)}.c2{fill:var(--c2);background:var(--c2)}\
.c3{fill:var(--c3);background:var(--c3)}.c4{fill:var(--c4);background:var(--c4)}.c5{fill:var(--c5);background:var(--c5)}\
.c6{fill:var(--c6);background:var(--c6)}.c7{fill:var(--c7);background:var(--c7)}";

/// The page.
pub(crate) fn page(report: &Report, remarks: &[String], deployment: &str) -> String {
    let title = format!("Dayfly {deployment}");
    let title = escaped(title.trim_end());
    let (since, until, all) = (time(report.since), time(report.until), &report.all);
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none';style-src 'unsafe-inline'\">\
         <title>{title}</title><style>{STYLE}</style></head><body>\n<h1>{title}</h1>\n\
         <p class=\"dim\">{since} to {until}</p>\n\
         <p>{}, of which {} never had a runner; {}, {}.</p>\n",
        counted(all.jobs, "job"),
        all.without_runner,
        counted(all.instances, "instance"),
        counted(format!("{:.0}", all.minutes), "minute")
    );
    for remark in remarks {
        page += &format!("<p class=\"dim\">{}</p>\n", escaped(remark));
    }
    page += &format!("<h2>How long jobs waited</h2>\n{}\n", waits(all));
    page += &minutes(report);
    for (name, parts) in tables(report) {
        page += &table(name, parts, all);
    }
    page + "</body></html>\n"
}

/// How many jobs waited for how long.
fn waits(all: &Part) -> String {
    let names = STEPS.iter().map(|(_, name)| format!("≤ {name}")).chain(["more".to_owned()]);
    let mut counts = [0.0; STEPS.len() + 1];
    for wait in &all.waits {
        let step = STEPS.iter().position(|(seconds, _)| *wait <= seconds * 1000).unwrap_or(STEPS.len());
        counts[step] += 1.0;
    }
    let all: Vec<Bar> = names.zip(counts).map(|(name, count)| Bar { name, parts: vec![count] }).collect();
    bars("Jobs by how long they waited", "jobs", &["waited"], &all)
}

/// The minutes of each day, and costs and minutes by fleet and repository.
fn minutes(report: &Report) -> String {
    let days: Vec<Bar> =
        report.days.iter().map(|(day, part)| Bar { name: day.clone(), parts: vec![part.minutes] }).collect();
    let mut text =
        format!("<h2>Instance minutes by day</h2>\n{}\n", bars("Minutes by day", "min", &["minutes"], &days));
    for (name, parts) in [("fleet", &report.fleets), ("repository", &report.repositories)] {
        let largest = largest(parts);
        let series: Vec<&str> = largest.iter().map(|(name, _)| name.as_str()).collect();
        let value = |name: &str, of: fn(&Part) -> f64| {
            let parts = largest.iter().map(|(_, part)| of(part)).collect();
            Bar { name: name.to_owned(), parts }
        };
        let minutes = [value("minutes", |part| part.minutes)];
        text += &format!("<h2>By {name}</h2>\n<p>{}</p>\n", legend(&series));
        text += &bars(&format!("Minutes by {name}"), "min", &series, &minutes);
        if report.all.dollars > 0.0 {
            text += &bars(&format!("Costs by {name}"), "USD", &series, &[value("USD", |part| part.dollars)]);
        }
        text.push('\n');
    }
    text
}

/// The parts with most minutes, and the others as one.
fn largest(parts: &BTreeMap<String, Part>) -> Vec<(String, Part)> {
    let mut all: Vec<(String, Part)> = parts.iter().map(|(name, part)| (name.clone(), part.clone())).collect();
    all.sort_by(|(_, a), (_, b)| b.minutes.total_cmp(&a.minutes));
    if all.len() > MOST_SERIES + 1 {
        let rest = all.split_off(MOST_SERIES);
        let others = rest.iter().fold(Part::default(), |mut sum, (_, part)| {
            sum.minutes += part.minutes;
            sum.dollars += part.dollars;
            sum
        });
        all.push((format!("{} others", rest.len()), others));
    }
    all
}

fn table(name: &str, parts: &BTreeMap<String, Part>, all: &Part) -> String {
    let headings: Vec<String> =
        std::iter::once(name).chain(COLUMNS.iter().skip(1).map(|(name, _)| *name)).map(str::to_owned).collect();
    let mut table = format!("<table><thead>{}</thead><tbody>", row(&headings, "th"));
    for (name, part) in parts {
        table += &row(&cells(name, part), "td");
    }
    table += &format!("</tbody><tfoot>{}</tfoot></table>\n", row(&cells("all", all), "td"));
    format!("<h2>{}</h2>\n{table}", escaped(&capitalized(name)))
}

fn row(cells: &[String], tag: &str) -> String {
    let cell = |(text, (_, number)): (&String, &(&str, bool))| {
        let class = if *number { " class=\"n\"" } else { "" };
        format!("<{tag}{class}>{}</{tag}>", escaped(text))
    };
    format!("<tr>{}</tr>", cells.iter().zip(&COLUMNS).map(cell).collect::<String>())
}

fn capitalized(name: &str) -> String {
    let (first, rest) = name.split_at_checked(1).unwrap_or((name, ""));
    format!("By {}{}", first.to_lowercase(), rest.to_lowercase())
}

/// Text as it stands in HTML, in an attribute too.
pub(crate) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe += "&amp;",
            '<' => safe += "&lt;",
            '>' => safe += "&gt;",
            '"' => safe += "&quot;",
            '\'' => safe += "&#39;",
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Part, escaped, largest, page};
    use crate::report::tests::report;

    #[test]
    fn the_page_needs_nothing_beside_it_and_has_its_plots_and_tables() {
        let page = page(&report(), &["Mind <this>.".to_owned()], "main");
        for outside in ["http://", "https://", "<script", "<link", "src=", "url(", "@import"] {
            assert!(!page.contains(outside), "{outside}");
        }
        assert_eq!((page.matches("<svg").count(), page.matches("<table").count()), (6, 3));
        assert!(page.contains("prefers-color-scheme:dark") && page.contains("Mind &lt;this&gt;."), "{page}");
        assert!(page.contains("<td class=\"n\">4m10s</td>"), "numbers to the right");
        assert_eq!(page.matches('<').count(), page.matches('>').count());
        assert!(page.contains("By repository") && page.ends_with("</body></html>\n"));
    }

    #[test]
    fn of_many_the_largest_are_told_apart() {
        let part = |minutes| Part { minutes, ..Part::default() };
        let parts = (0..20).map(|n| (format!("o/{n}"), part(f64::from(n)))).collect();
        let largest = largest(&parts);
        assert_eq!((largest.len(), largest[0].0.as_str(), largest[7].0.as_str()), (8, "o/19", "13 others"));
        let sum: f64 = largest.iter().map(|(_, part)| part.minutes).sum();
        assert!((sum - 190.0).abs() < 1e-9, "none is lost");
    }

    proptest! {
        /// Whoever may name a repository or a fleet can't write into the page.
        #[test]
        fn no_name_breaks_out(name in "\\PC*[<>&\"']\\PC*") {
            let safe = escaped(&name);
            prop_assert!(!safe.contains(['<', '>', '"', '\'']));
            let mut it = report();
            let part = it.all.clone();
            for parts in [&mut it.fleets, &mut it.repositories, &mut it.days] {
                parts.insert(name.clone(), part.clone());
            }
            let (plain, named) = (page(&report(), &[], ""), page(&it, std::slice::from_ref(&name), &name));
            // All tags are of the page's own kinds, and as many open as close.
            prop_assert_eq!(named.matches('<').count(), named.matches('>').count());
            prop_assert_eq!(plain.matches("<script").count(), named.matches("<script").count());
            prop_assert!(named.contains(&safe));
        }
    }
}
