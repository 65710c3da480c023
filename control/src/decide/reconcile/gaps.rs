//! Whether webhooks were missed for a time, and what is looked through then.
//!
//! A webhook that failed is in GitHub's list, and is sent again. What is not in that list, or not any more, nobody tells
//! of: a job that was queued then waits for ever. There is no list of what was not sent, so it is told by signs
//! ([`find`]); then the runs of the known repositories that are not over are looked through once ([`Scan`]), a few calls
//! each minute, and a queued job that is found is taken as its webhook would be.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use super::MOST_REMEMBERED;
use crate::{clock::Millis, github::runs::OpenRun};

/// GitHub forgets deliveries after three days.
const KEPT: Duration = Duration::from_hours(72);
/// A delivery that GitHub says was taken is heard of within this time. Webhooks are seconds late, at times minutes; and it
/// is noted once a minute that one was heard.
const SLACK: Duration = Duration::from_mins(10);
/// So long before a job moved unheard GitHub has delivered nothing: then it delivers nothing to us.
const SILENT: Duration = Duration::from_mins(30);
/// What was missed counts for so long.
const FRESH: Duration = Duration::from_hours(1);
/// So many jobs that moved unheard within that time are a gap, whatever GitHub's list says.
const MANY: usize = 3;
/// Repositories are looked through again after this time at the earliest.
const PAUSE: Duration = Duration::from_mins(30);
/// How often GitHub is asked when it delivered last.
const LOOK: Duration = Duration::from_mins(5);
/// The most repositories that are known, those heard of latest.
const MOST_REPOSITORIES: usize = 1000;
/// A repository that was not heard of for so long is not looked through any more.
const FORGOTTEN: Duration = Duration::from_hours(30 * 24);
/// The states of runs that may have queued jobs: GitHub calls a run `in_progress` once its first job has begun.
pub const STATUSES: [&str; 2] = ["queued", "in_progress"];
/// The most pages of runs that are read of one repository in each state.
pub const MOST_PAGES: u32 = 3;

/// Why webhooks are taken to have been missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gap {
    /// Deliveries failed to the end, or were forgotten by GitHub before they could be sent again.
    Lost,
    /// The list of deliveries was not read for longer than GitHub has it.
    Unread,
    /// GitHub has delivered, and nothing was heard here.
    Unheard,
    /// Jobs ran, and GitHub has delivered nothing.
    Silent,
    /// Several jobs ran of which nothing was heard.
    Missed,
}

impl Gap {
    /// A word for it, for metrics and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Unread => "unread",
            Self::Unheard => "unheard",
            Self::Silent => "silent",
            Self::Missed => "missed",
        }
    }
}

/// When GitHub delivered last, as its list says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delivered {
    /// An event about jobs, whatever came of it.
    pub any: Option<Millis>,
    /// One that was taken.
    pub good: Option<Millis>,
}

impl Delivered {
    /// The later of both: of several hooks one may be idle.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self { any: self.any.max(other.any), good: self.good.max(other.good) }
    }
}

/// What is remembered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Memory {
    /// When each job was found to have moved unheard.
    pub missed: BTreeMap<u64, Millis>,
    /// When a delivery was lost for good, since the last scan.
    pub lost: Option<Millis>,
    /// When it was seen that the list had not been read for too long.
    pub unread: Option<Millis>,
    /// When GitHub was asked last when it delivered.
    pub looked_at: Millis,
    /// When the last scan began.
    pub scanned_at: Millis,
    /// The one under way.
    pub scan: Option<Scan>,
}

impl Memory {
    /// Notes that `job` has moved, and no webhook told of it.
    pub fn miss(&mut self, job: u64, now: Millis) {
        if self.missed.len() < MOST_REMEMBERED {
            self.missed.insert(job, now);
        }
    }

    /// Forgets what is too old to mean anything.
    pub fn tidy(&mut self, now: Millis) {
        self.missed.retain(|_, at| *at + millis(FRESH) > now);
    }

    /// Whether GitHub is to be asked when it delivered last.
    #[must_use]
    pub fn is_due(&self, now: Millis) -> bool {
        self.looked_at + millis(LOOK) <= now
    }

    /// Begins to look through `repositories` for this reason. What it was told by has done its work.
    pub fn begin(&mut self, why: Gap, repositories: Vec<String>, now: Millis) {
        let looked_at = self.looked_at;
        let scan = Scan { why, began_at: now, todo: repositories, ..Scan::default_of(why) };
        *self = Self { looked_at, scanned_at: now, scan: Some(scan), ..Self::default() };
    }
}

/// Whether the list of deliveries, known up to `known_until` (0: never read), was left unread for too long.
#[must_use]
pub fn is_unread(known_until: Millis, now: Millis) -> bool {
    known_until > 0 && known_until + millis(KEPT) < now
}

/// Whether webhooks were missed. `heard` is when one was last heard here, `delivered` when GitHub says that it made one;
/// neither where it is not known.
#[must_use]
pub fn find(memory: &Memory, heard: Option<Millis>, delivered: Option<Delivered>, now: Millis) -> Option<Gap> {
    if memory.scan.is_some() || memory.scanned_at + millis(PAUSE) > now {
        return None;
    }
    if memory.lost.is_some() {
        return Some(Gap::Lost);
    }
    if memory.unread.is_some() {
        return Some(Gap::Unread);
    }
    // What an earlier scan has seen to is none of this one's.
    let good = delivered.and_then(|it| it.good).filter(|at| *at > memory.scanned_at);
    if let (Some(heard), Some(good)) = (heard, good)
        && heard + millis(SLACK) < good
    {
        return Some(Gap::Unheard);
    }
    let fresh: Vec<Millis> = memory.missed.values().copied().filter(|at| *at + millis(FRESH) > now).collect();
    if let (Some(first), Some(delivered)) = (fresh.iter().min(), delivered)
        && delivered.any.unwrap_or(0) + millis(SILENT) < *first
    {
        return Some(Gap::Silent);
    }
    (fresh.len() >= MANY).then_some(Gap::Missed)
}

/// A run to be looked through.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Open {
    /// GitHub's id of it.
    pub id: u64,
    /// Whether it runs a fork's code in a public repository.
    pub public_fork: bool,
    /// Whether its repository is a person's.
    pub of_person: bool,
}

impl Open {
    /// Of a run of `repository`.
    #[must_use]
    pub fn of(run: &OpenRun, repository: &str) -> Self {
        // A fork that is deleted has left its commits.
        let own = run.head_repository.as_ref().is_some_and(|head| head.eq_ignore_ascii_case(repository));
        Self { id: run.id, public_fork: run.public && !own, of_person: run.of_person }
    }
}

/// What is asked next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// The runs of this repository in this state.
    Runs {
        /// `owner/repo`.
        repository: String,
        /// One of [`STATUSES`].
        status: &'static str,
        /// From 1.
        page: u32,
    },
    /// The jobs of this run.
    Jobs {
        /// `owner/repo`.
        repository: String,
        /// The run.
        run: Open,
    },
}

/// So often one question may fail, a minute each.
pub const MOST_FAILURES: u32 = 30;

/// A look through all known repositories, and how far it has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scan {
    /// What it was begun for.
    pub why: Gap,
    /// When.
    pub began_at: Millis,
    /// Repositories that are left, the one under way first.
    pub todo: Vec<String>,
    /// Which of [`STATUSES`] is asked for next in it.
    pub status: usize,
    /// Which page of that.
    pub page: u32,
    /// Runs of it whose jobs are to be looked at.
    pub runs: Vec<Open>,
    /// Jobs that were found.
    pub found: u64,
    /// How often the next question has failed.
    #[serde(default)]
    pub failures: u32,
}

impl Scan {
    fn default_of(why: Gap) -> Self {
        Self { why, began_at: 0, todo: vec![], status: 0, page: 1, runs: vec![], found: 0, failures: 0 }
    }

    /// What is asked next; nothing where it is over.
    #[must_use]
    pub fn next(&self) -> Option<Question> {
        let repository = self.todo.first()?.clone();
        if let Some(run) = self.runs.first() {
            return Some(Question::Jobs { repository, run: run.clone() });
        }
        let status = STATUSES.get(self.status)?;
        Some(Question::Runs { repository, status, page: self.page })
    }

    /// The runs that were asked for are these, and there may be more.
    pub fn listed(&mut self, runs: &[OpenRun], more: bool) {
        let Some(repository) = self.todo.first().cloned() else { return };
        // A run that has begun meanwhile is in both lists.
        for run in runs {
            if !self.runs.iter().any(|it| it.id == run.id) {
                self.runs.push(Open::of(run, &repository));
            }
        }
        if more && self.page < MOST_PAGES {
            self.page += 1;
        } else {
            (self.status, self.page) = (self.status + 1, 1);
        }
        self.go_on();
    }

    /// The first of the runs was looked through, and so many jobs were found in it.
    pub fn looked(&mut self, found: u64) {
        self.found += found;
        if !self.runs.is_empty() {
            self.runs.remove(0);
        }
        self.go_on();
    }

    /// The next question failed, or a job that it found could not be taken. Whether it is passed over now: it may fail for
    /// ever, and all others wait behind it.
    pub fn failed(&mut self) -> bool {
        self.failures += 1;
        if self.failures < MOST_FAILURES {
            return false;
        }
        if self.runs.is_empty() {
            self.skip();
        } else {
            self.looked(0);
        }
        true
    }

    /// The repository under way can't be looked through.
    pub fn skip(&mut self) {
        self.runs.clear();
        self.status = STATUSES.len();
        self.go_on();
    }

    fn go_on(&mut self) {
        self.failures = 0;
        if self.runs.is_empty() && self.status >= STATUSES.len() && !self.todo.is_empty() {
            self.todo.remove(0);
            (self.status, self.page) = (0, 1);
        }
    }
}

/// A repository that jobs of ours were of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// The App's installation there, as a webhook named it.
    pub installation: Option<u64>,
    /// When it was last heard of, to the day: a note that changes each minute is written each minute.
    pub day: u64,
}

/// The repositories that jobs of ours were of, by `owner/repo`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Repositories(pub BTreeMap<String, Known>);

impl Repositories {
    /// Notes that a job of `repository` is there.
    pub fn learn(&mut self, repository: &str, installation: Option<u64>, now: Millis) {
        let day = day(now);
        let known = self.0.entry(repository.to_owned()).or_insert(Known { installation, day });
        *known = Known { installation: installation.or(known.installation), day };
    }

    /// Forgets those that were not heard of for long, and more where they are too many: those heard of longest ago.
    /// Answers how many of the latter.
    pub fn tidy(&mut self, now: Millis) -> usize {
        let old = day(now.saturating_sub(millis(FORGOTTEN)));
        self.0.retain(|_, it| it.day >= old);
        let mut cut = 0;
        while self.0.len() > MOST_REPOSITORIES {
            let oldest = self.0.iter().min_by_key(|(_, it)| it.day).map(|(name, _)| name.clone());
            let Some(oldest) = oldest else { break };
            self.0.remove(&oldest);
            cut += 1;
        }
        cut
    }
}

fn day(at: Millis) -> u64 {
    at / (24 * 3_600_000)
}

fn millis(duration: Duration) -> Millis {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
