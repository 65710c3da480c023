//! Which fleet a job belongs to, and why.
//!
//! A job *fits* a fleet where three things hold:
//!
//! 1. Labels, as sets and without regard to case, agree as the fleet's [`Matching`] says. Labels that ask something of
//!    the instance ([`is_wish`]) are left out. A job that has no others fits nothing: an empty list would match by
//!    accident.
//! 2. Both the document and the fleet admit its repository, and its runners can be given the repository's jobs: those
//!    of an organization or enterprise are given none of a person's repositories, nor of another enterprise's.
//!    Code of a fork of a public repository runs only where both say so: the document's word is the outer limit, and
//!    opens nothing by itself.
//! 3. The fleet grants all that its labels ask for.
//!
//! Of several the closest takes it: `exact` before `all` before `any`; of `all` the one with the fewest labels that the
//! job has not, of `any` the one with the most that it has. Then the highest priority decides, then the document's
//! [`Ties`]. The order of fleets and of labels never matters.

mod decision;

pub use decision::{Candidate, Decision, Refusal, Verdict};

use std::{cmp::Reverse, collections::BTreeSet};

use super::{
    events::JobEvent,
    wishes::{Wishes, is_wish},
};
use crate::fleets::{Fleet, Fleets, Matching, Owner, Ties};

/// A job, as far as its fleet depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Job<'a> {
    /// GitHub's id of it, which picks among fleets where ties are spread.
    pub id: u64,
    /// All labels of its `runs-on`.
    pub labels: &'a [String],
    /// `owner/repo`; without one it is not looked at whose jobs are taken.
    pub repository: Option<&'a str>,
    /// What is known of the repository's owner.
    pub owner: &'a Owner,
    /// Whether it runs a fork's code in a public repository.
    pub public_fork: bool,
}

impl<'a> Job<'a> {
    /// The job that `event` tells of, in a repository of `owner`'s.
    #[must_use]
    pub fn of(event: &'a JobEvent, owner: &'a Owner) -> Self {
        let JobEvent { id, ref labels, ref repository, public_fork, .. } = *event;
        Self { id, labels, repository: Some(repository), owner, public_fork }
    }
}

/// How closely labels agree; the greater, the closer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Closeness {
    /// By `any`, with so many in common.
    Any(usize),
    /// By `all`, where the fleet has so many beyond the job's.
    All(Reverse<usize>),
    /// By `exact`.
    Exact,
}

/// The fleet that takes `job`, if any, and what is to be said of each.
#[must_use]
pub fn route<'a>(fleets: &'a Fleets, job: &Job<'_>) -> Decision<'a> {
    let asked: BTreeSet<String> = job.labels.iter().filter(|label| !is_wish(label)).map(|it| lower(it)).collect();
    let fits: Vec<_> = fleets.fleets.iter().map(|fleet| (fleet, fit(fleets, fleet, job, &asked))).collect();
    let fitting = fits.iter().filter_map(|(fleet, fit)| Some((*fleet, *fit.as_ref().ok()?)));
    let best = fitting.max_by_key(|(fleet, closeness)| {
        (*closeness, fleet.priority, draw(fleets.ties, job.id, &fleet.name), Reverse(fleet.name.as_str()))
    });
    let verdict = |fleet: &Fleet, fit| match (fit, best) {
        (Err(refusal), _) => Verdict::Refused(refusal),
        // Whoever fits is no better than the best, which there is then.
        (Ok(closeness), Some((first, closest))) if fleet.name != first.name => {
            let other = first.name.clone();
            match (closest > closeness, first.priority > fleet.priority) {
                (true, _) => Verdict::LessSpecific { than: other },
                (false, true) => Verdict::LowerPriority { than: other },
                (false, false) => Verdict::Tied { with: other, ties: fleets.ties },
            }
        }
        (Ok(_), _) => Verdict::Takes,
    };
    let candidates =
        fits.into_iter().map(|(fleet, fit)| Candidate { fleet: &fleet.name, verdict: verdict(fleet, fit) }).collect();
    Decision { fleet: best.map(|(fleet, _)| fleet), candidates }
}

fn fit(fleets: &Fleets, fleet: &Fleet, job: &Job<'_>, asked: &BTreeSet<String>) -> Result<Closeness, Refusal> {
    let closeness = compare(fleet, asked)?;
    for (whose, admission) in [("document", &fleets.admission), ("fleet", &fleet.admission)] {
        if let Some(bar) = admission.bar(job.repository, job.public_fork) {
            return Err(Refusal::Admission { whose, bar });
        }
    }
    if let Some(why) = fleet.out_of_reach(job.repository, job.owner) {
        return Err(Refusal::OutOfReach(why));
    }
    Wishes::read(job.labels.iter().map(String::as_str), &fleet.steering).map_err(Refusal::Wish)?;
    Ok(closeness)
}

/// How closely the fleet's labels and those that the job asks for agree.
fn compare(fleet: &Fleet, asked: &BTreeSet<String>) -> Result<Closeness, Refusal> {
    if asked.is_empty() {
        return Err(Refusal::NoLabels);
    }
    let carried: BTreeSet<String> = fleet.labels.iter().map(|it| lower(it)).collect();
    let missing: Vec<String> = asked.difference(&carried).cloned().collect();
    let beyond: Vec<String> = carried.difference(asked).cloned().collect();
    match fleet.matching {
        Matching::Exact if missing.is_empty() && beyond.is_empty() => Ok(Closeness::Exact),
        Matching::Exact => Err(Refusal::NotTheSame { missing, beyond }),
        Matching::All if missing.is_empty() => Ok(Closeness::All(Reverse(beyond.len()))),
        Matching::All => Err(Refusal::Missing(missing)),
        Matching::Any if missing.len() < asked.len() => Ok(Closeness::Any(asked.len() - missing.len())),
        Matching::Any => Err(Refusal::NoneInCommon),
    }
}

/// GitHub compares labels without regard to case.
fn lower(label: &str) -> String {
    label.to_lowercase()
}

/// The fleet's lot in a draw that is the same whenever it is made for this job. By a digest of both, each fleet of
/// equals wins its share, and one that is added or removed moves no more jobs than that.
fn draw(ties: Ties, job: u64, fleet: &str) -> Option<Vec<u8>> {
    (ties == Ties::Spread).then(|| {
        let mut lot = ring::digest::Context::new(&ring::digest::SHA256);
        lot.update(&job.to_be_bytes());
        lot.update(fleet.as_bytes());
        lot.finish().as_ref().to_vec()
    })
}

#[cfg(test)]
mod tests;
