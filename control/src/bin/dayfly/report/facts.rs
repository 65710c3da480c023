//! The report, as a pure function of what the ledger keeps.
//!
//! An instance is paid for from its launch to its end, whether or not it has a job, but for the time that it is stopped:
//! that is taken off at the beginning, as a pool's instance is stopped soon after its launch, and has its job at the end.
//! So minutes and costs are those of instances, and each instance's go to the repositories of its jobs: to one job's all
//! of them, boot and end with it; of several jobs, as long as each ran. Instances without a job have no repository.

use std::collections::{BTreeMap, BTreeSet};

use dayfly_contract::names;
use dayfly_control::{
    clock::Millis,
    fleets::Market,
    ledger::{Job, Life, Runner},
};

use super::{
    period::{DAY, day},
    prices::Prices,
};

/// Where what no job had is counted.
pub(crate) const NO_JOB: &str = "(no job)";

/// What the report is made of.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) jobs: Vec<Job>,
    pub(crate) lives: Vec<Life>,
    /// Those that live are instances too.
    pub(crate) runners: Vec<Runner>,
    pub(crate) since: Millis,
    pub(crate) until: Millis,
}

/// A report.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Report {
    pub(crate) since: Millis,
    pub(crate) until: Millis,
    pub(crate) all: Part,
    pub(crate) fleets: BTreeMap<String, Part>,
    pub(crate) repositories: BTreeMap<String, Part>,
    pub(crate) days: BTreeMap<String, Part>,
    /// Instance types that have no price, or were not known, and the minutes that they ran.
    pub(crate) unpriced: BTreeMap<String, f64>,
}

/// What is counted of a fleet, a repository or a day.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Part {
    /// Jobs that were queued, or were first heard of, in the time.
    pub(crate) jobs: u64,
    /// How long those of them that began had waited, in milliseconds, in order.
    pub(crate) waits: Vec<Millis>,
    /// Those of them that ended without a runner.
    pub(crate) without_runner: u64,
    /// Instances that lived in the time. Of a repository or a day, those of which some part is its own.
    pub(crate) instances: u64,
    /// Their minutes.
    pub(crate) minutes: f64,
    /// What those minutes cost that have a price, in US dollars.
    pub(crate) dollars: f64,
    /// Minutes without a price.
    pub(crate) unpriced_minutes: f64,
}

impl Part {
    /// The `percent`th percentile of the waits, by nearest rank.
    pub(crate) fn wait(&self, percent: usize) -> Option<Millis> {
        let rank = (self.waits.len() * percent).div_ceil(100).max(1);
        self.waits.get(rank - 1).copied()
    }

    fn hear(&mut self, job: &Job) {
        self.jobs += 1;
        match (job.queued_at, job.running_at, job.done_at) {
            (Some(queued), Some(running), _) => self.waits.push(running.saturating_sub(queued)),
            (_, None, Some(_)) if job.runner_name.is_none() => self.without_runner += 1,
            _ => {}
        }
    }

    fn pay(&mut self, minutes: f64, hour: Option<f64>) {
        self.instances += 1;
        self.minutes += minutes;
        match hour {
            Some(hour) => self.dollars += minutes / 60.0 * hour,
            None => self.unpriced_minutes += minutes,
        }
    }
}

/// An instance that lived in the time.
struct Lived<'a> {
    fleet: &'a str,
    instance: &'a str,
    instance_type: Option<&'a str>,
    market: Option<Market>,
    from: Millis,
    to: Millis,
}

/// Makes the report.
pub(crate) fn report(facts: &Facts, prices: &Prices) -> Report {
    let mut report = Report { since: facts.since, until: facts.until, ..Report::default() };
    for job in &facts.jobs {
        let heard = job.queued_at.or(job.running_at).or(job.done_at);
        let Some(at) = heard.filter(|at| (facts.since..facts.until).contains(at)) else { continue };
        report.all.hear(job);
        report.fleets.entry(job.fleet.clone()).or_default().hear(job);
        report.repositories.entry(job.repository.clone()).or_default().hear(job);
        report.days.entry(day(at)).or_default().hear(job);
    }
    let mut by_runner: BTreeMap<&str, Vec<&Job>> = BTreeMap::new();
    for job in &facts.jobs {
        if let Some(name) = &job.runner_name {
            by_runner.entry(name).or_default().push(job);
        }
    }
    for lived in lived(facts) {
        let name = names::runner_name(lived.fleet, lived.instance);
        let jobs = by_runner.get(name.as_str()).map(Vec::as_slice).unwrap_or_default();
        count(&mut report, &lived, jobs, prices);
    }
    for part in [&mut report.all]
        .into_iter()
        .chain(report.fleets.values_mut())
        .chain(report.repositories.values_mut())
        .chain(report.days.values_mut())
    {
        part.waits.sort_unstable();
    }
    report
}

fn count(report: &mut Report, lived: &Lived<'_>, jobs: &[&Job], prices: &Prices) {
    let hour = lived.instance_type.zip(lived.market).and_then(|(kind, market)| prices.hour(kind, market));
    let minutes = minutes(lived.to - lived.from);
    report.all.pay(minutes, hour);
    report.fleets.entry(lived.fleet.to_owned()).or_default().pay(minutes, hour);
    if hour.is_none() {
        let kind = lived.instance_type.unwrap_or("unknown");
        let market = lived.market.map_or("unknown market", Market::name);
        *report.unpriced.entry(format!("{kind} {market}")).or_default() += minutes;
    }
    for (repository, part) in shares(jobs, lived.to) {
        report.repositories.entry(repository).or_default().pay(minutes * part, hour);
    }
    let mut from = lived.from;
    while from < lived.to {
        let to = ((from / DAY + 1) * DAY).min(lived.to);
        report.days.entry(day(from)).or_default().pay(self::minutes(to - from), hour);
        from = to;
    }
}

/// Which part of an instance each repository has: by how long its jobs ran there.
fn shares(jobs: &[&Job], until: Millis) -> BTreeMap<String, f64> {
    let ran = |job: &Job| {
        let from = job.running_at.or(job.queued_at).unwrap_or(until);
        // A job that was over at once had the instance all the same.
        job.done_at.unwrap_or(until).saturating_sub(from).max(1)
    };
    let all: u64 = jobs.iter().map(|job| ran(job)).sum();
    if all == 0 {
        return BTreeMap::from([(NO_JOB.to_owned(), 1.0)]);
    }
    let mut shares = BTreeMap::new();
    for job in jobs {
        *shares.entry(job.repository.clone()).or_default() += number(ran(job)) / number(all);
    }
    shares
}

/// The instances that lived in the time, as far as they did so.
fn lived(facts: &Facts) -> Vec<Lived<'_>> {
    let clipped = |from: Millis, to: Millis| {
        let (from, to) = (from.max(facts.since), to.min(facts.until));
        (from < to).then_some((from, to))
    };
    let mut seen = BTreeSet::new();
    let over = facts.lives.iter().filter_map(|it| {
        let (from, to) = clipped(it.launched_at + it.stopped_ms, it.ended_at)?;
        let (instance_type, market) = (it.instance_type.as_deref(), it.market);
        Some(Lived { fleet: &it.fleet, instance: &it.instance, instance_type, market, from, to })
    });
    let alive = facts.runners.iter().filter(|it| it.state.is_alive()).filter_map(|it| {
        let (from, to) = clipped(it.launched_at + it.stops.total(facts.until), facts.until)?;
        let (instance_type, market) = (it.instance_type.as_deref(), it.market);
        Some(Lived { fleet: &it.fleet, instance: &it.instance, instance_type, market, from, to })
    });
    // One may have ended between the two scans: it counts once.
    over.chain(alive).filter(|it| seen.insert(it.instance)).collect()
}

fn minutes(millis: Millis) -> f64 {
    number(millis) / 60_000.0
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds of some days are far below 2^52")]
fn number(it: u64) -> f64 {
    it as f64
}

#[cfg(test)]
mod tests;
