//! Which interrupted jobs are run again, and how GitHub is asked for that.
//!
//! An agent tells that EC2 takes its instance away with a job in it. GitHub runs a job again only once its whole run has
//! completed, so what was told is noted under the run ([`Note`]), and looked at again and again ([`look_at`]) until it has.
//! Then [`judge`] says of each job what becomes of it ([`Fate`]), and what is asked of GitHub, if anything: see
//! `docs/decisions/0023`.
//!
//! Nothing here is done twice: an attempt that is to be run again is noted ([`Note::claim`]) before GitHub is asked, and
//! GitHub runs an attempt again once. What GitHub says of the run the next time tells whether it was.

use serde::{Deserialize, Serialize};

mod judge;
mod noting;

pub use judge::{Verdict, judge};
pub use noting::{fated, interruption, is_taken_away, job_of, raise, told};

use crate::clock::{Millis, seconds};

/// When the run is looked at for the first time after an interruption: its job is asked to stop just then.
pub const FIRST_LOOK: Millis = 15_000;
/// And once the job is heard to have ended. GitHub's run follows its last job within a second or two.
pub const AFTER_JOB: Millis = 3000;
/// The longest from one look to the next, which is the longest that SQS delays a message.
const LONGEST: Millis = 15 * 60 * 1000;
/// So long after its last interruption a run is waited for. GitHub would wait for 35 days; a job that is run again after a
/// day surprises people more than it helps them.
const PATIENCE: Millis = 24 * 3600 * 1000;
/// How long a run is remembered after it was last changed: as long as its jobs.
const KEPT_SECONDS: u64 = 8 * 24 * 3600;
/// So often GitHub is asked to run one attempt again, where its answer is not known.
const MOST_TRIES: u32 = 8;
/// The most interruptions of one run that are noted: its note is one item.
const MOST_JOBS: usize = 256;

/// What its history calls a job whose instance was taken away.
pub const INTERRUPTED: &str = "interrupted";
/// And one that is run again, or stands in for one.
pub const AGAIN: &str = "re-run";
/// And one that is not.
pub const NOT_AGAIN: &str = "not re-run";

/// A job that was interrupted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interrupted {
    /// The fleet of its runner.
    pub fleet: String,
    /// The name of its runner at GitHub, by which GitHub itself says whose job it was.
    pub runner: String,
    /// Its display name, by its agent's word; it only tells jobs of one reusable runner from another.
    pub name: String,
    /// GitHub's id of it, once it is known.
    pub id: Option<u64>,
    /// Why its instance was taken away.
    pub reason: String,
    /// When its agent told.
    pub at: Millis,
    /// What becomes of it.
    pub fate: Fate,
}

/// What becomes of an interrupted job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// Its run has not completed, or another job of it is run again first.
    Waiting,
    /// It is run again, in this attempt of its run.
    Again(u64),
    /// It is not.
    Left(Why),
}

/// Why a job is not run again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// It succeeded all the same.
    Succeeded,
    /// It ended as no interruption ends a job: skipped, timed out.
    NotFailed,
    /// A step of it had failed before the interruption.
    Code,
    /// A person cancelled it, or its run.
    Cancelled,
    /// Its run succeeded without it.
    RunSucceeded,
    /// Somebody has run it again.
    Already,
    /// GitHub names no job of this run for its runner.
    Unknown,
    /// Its fleet runs no job again.
    Off,
    /// It was run again as often as its fleet allows.
    Limit,
    /// Its run has not completed in time.
    Late,
    /// GitHub refuses.
    Refused,
    /// GitHub was asked often and never answered.
    Silent,
}

impl Why {
    /// A word for it, for metrics and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::NotFailed => "not_failed",
            Self::Code => "code",
            Self::Cancelled => "cancelled",
            Self::RunSucceeded => "run_succeeded",
            Self::Already => "already",
            Self::Unknown => "unknown",
            Self::Off => "off",
            Self::Limit => "limit",
            Self::Late => "late",
            Self::Refused => "refused",
            Self::Silent => "silent",
        }
    }

    /// The same in a sentence for people.
    #[must_use]
    pub const fn says(self) -> &'static str {
        match self {
            Self::Succeeded => "it succeeded all the same",
            Self::NotFailed => "it ended as no interruption ends a job",
            Self::Code => "a step had failed before the interruption",
            Self::Cancelled => "it, or its run, was cancelled",
            Self::RunSucceeded => "its run succeeded without it",
            Self::Already => "somebody has run it again",
            Self::Unknown => "GitHub names no job of its run for this runner",
            Self::Off => "its fleet runs no job again",
            Self::Limit => "it was run again as often as its fleet allows",
            Self::Late => "its run did not complete within a day",
            Self::Refused => "GitHub refused; does the App have the permission \"actions: write\"?",
            Self::Silent => "GitHub was asked often and did not answer",
        }
    }
}

/// An attempt of a run that GitHub was asked, or is about to be asked, to run again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rerun {
    /// The attempt that had completed; what is run again belongs to the next one.
    pub attempt: u64,
    /// The runners of the jobs that are run again, as [`Interrupted::runner`].
    pub runners: Vec<String>,
    /// Their names at GitHub.
    pub names: Vec<String>,
    /// When GitHub was asked.
    pub at: Millis,
    /// Until then whoever asks is at it.
    pub until: Millis,
    /// How often it was asked for.
    pub tries: u32,
    /// Whether GitHub is known to have done it.
    pub done: bool,
}

/// What is noted of a run with interrupted jobs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// The run.
    pub run: u64,
    /// `owner/repo`.
    pub repository: String,
    /// The App's installation there, as a webhook named it.
    pub installation: Option<u64>,
    /// Its interrupted jobs.
    pub jobs: Vec<Interrupted>,
    /// What was asked for.
    pub reruns: Vec<Rerun>,
    /// When the last interruption was told.
    pub since: Millis,
    /// When it was looked at last.
    pub looked_at: Millis,
    /// When it is looked at next: the message that brings this time is the one that counts.
    pub look_at: Millis,
    /// Version as read; 0 for a new one.
    #[serde(skip)]
    pub version: u64,
}

/// Where an interrupted job is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The run.
    pub run: u64,
    /// `owner/repo`.
    pub repository: String,
    /// The App's installation there.
    pub installation: Option<u64>,
}

impl Note {
    /// The note with `job`, which is of the run at `place`, added; none where it is known already, or there are too many.
    #[must_use]
    pub fn with(before: Option<Self>, place: Place, job: Interrupted) -> Option<Self> {
        let Place { run, repository, installation } = place;
        let look_at = job.at + FIRST_LOOK;
        let new = Self {
            run,
            repository,
            installation,
            jobs: vec![],
            reruns: vec![],
            since: 0,
            looked_at: 0,
            look_at,
            version: 0,
        };
        let mut note = before.unwrap_or(new);
        // One runner has one job at a time; a reusable one may have had others.
        let same =
            |it: &Interrupted| it.runner == job.runner && (it.name == job.name || it.id.is_some() && it.id == job.id);
        if note.jobs.len() >= MOST_JOBS || note.jobs.iter().any(same) {
            return None;
        }
        note.since = note.since.max(job.at);
        note.jobs.push(job);
        Some(note)
    }

    /// Whether something is still to be found out.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.jobs.iter().any(|job| job.fate == Fate::Waiting)
    }

    /// Whether the run was waited for as long as it is.
    #[must_use]
    pub fn is_late(&self, now: Millis) -> bool {
        now.saturating_sub(self.since) >= PATIENCE
    }

    /// When DynamoDB may forget it, in seconds.
    #[must_use]
    pub fn expires(&self, now: Millis) -> u64 {
        seconds(now) + KEPT_SECONDS
    }

    /// The same, looked at now and again after a third of the time that it has waited, within limits.
    #[must_use]
    pub fn looked_at(mut self, now: Millis) -> Self {
        (self.looked_at, self.look_at) = (now, look_at(self.since, now));
        self
    }

    /// What was asked for and is not known to be done.
    #[must_use]
    pub fn claimed(&self) -> Option<&Rerun> {
        self.reruns.last().filter(|it| !it.done)
    }

    /// Whether GitHub may not be asked now: somebody is about to, or it was asked too often.
    #[must_use]
    pub fn is_held(&self, now: Millis) -> bool {
        self.claimed().is_some_and(|it| it.until > now)
    }

    /// Notes that `attempt` is about to be run again for `jobs`, which GitHub calls `names`, by somebody who is at it until
    /// `until`. Answers whether it may be asked: not after too many times.
    pub fn claim(&mut self, attempt: u64, jobs: &[usize], names: Vec<String>, now: Millis, until: Millis) -> bool {
        let tries = match self.reruns.pop_if(|it| !it.done) {
            Some(before) if before.attempt == attempt => before.tries + 1,
            _ => 1,
        };
        if tries > MOST_TRIES {
            for at in jobs {
                self.jobs[*at].fate = Fate::Left(Why::Silent);
            }
            return false;
        }
        let runners = jobs.iter().map(|at| self.jobs[*at].runner.clone()).collect();
        self.reruns.push(Rerun { attempt, runners, names, at: now, until, tries, done: false });
        true
    }

    /// Notes that what was claimed is done; answers which jobs that is about.
    pub fn done(&mut self) -> Vec<usize> {
        let Some(it) = self.reruns.last_mut().filter(|it| !it.done) else { return Vec::new() };
        it.done = true;
        let mut found = Vec::new();
        for (at, job) in self.jobs.iter_mut().enumerate() {
            if job.fate == Fate::Waiting && it.runners.contains(&job.runner) {
                job.fate = Fate::Again(it.attempt + 1);
                found.push(at);
            }
        }
        found
    }

    /// Leaves all that still waits.
    pub fn leave_all(&mut self, why: Why) -> Vec<usize> {
        let waiting: Vec<usize> = (0..self.jobs.len()).filter(|at| self.jobs[*at].fate == Fate::Waiting).collect();
        for at in &waiting {
            self.jobs[*at].fate = Fate::Left(why);
        }
        waiting
    }

    /// Whether this attempt of the run is one that was asked for here: its jobs make up for interrupted ones.
    #[must_use]
    pub fn made(&self, attempt: u64) -> bool {
        self.reruns.iter().any(|it| it.attempt + 1 == attempt)
    }

    /// How often the job that GitHub calls `name` was run again.
    fn times(&self, name: &str) -> u64 {
        self.reruns.iter().filter(|it| it.done && it.names.iter().any(|it| it == name)).count() as u64
    }
}

/// When a run is looked at again that is waited for since `since`.
#[must_use]
pub fn look_at(since: Millis, now: Millis) -> Millis {
    now + (now.saturating_sub(since) / 3).clamp(FIRST_LOOK, LONGEST)
}

#[cfg(test)]
pub(crate) mod tests;
