//! What an agent has learned.

use std::collections::BTreeMap;

use dayfly_contract::{Job, JobFacts, Kind, Phase, Reason};
use serde::{Deserialize, Serialize};

use super::{HookCall, Limits, Saying};
use crate::clock::Uptime;

/// What an agent has learned.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// When each phase began: the first time, or with the last job for those of a job.
    pub phases: BTreeMap<Phase, Uptime>,
    /// When an agent began its work here: the last few times.
    pub begins: Vec<Uptime>,
    /// The registration that was taken.
    pub claimed: Option<Claimed>,
    /// Whether it was refused, or was none, and deleted.
    pub refused: bool,
    /// Why it was not taken so far.
    pub claim_trouble: Option<String>,
    /// Whether the runner's files are there.
    pub prepared: bool,
    /// The runner's process, while it runs.
    pub runner: Option<RunnerId>,
    /// How often the runner was started since its last job.
    pub starts: u32,
    /// How many lines of its output were heard.
    pub heard: u64,
    /// What speaks for a job.
    pub signs: Signs,
    /// What the last hook told of its job, until the job is known.
    pub hooked: Option<JobFacts>,
    /// The job it runs, or ran last.
    pub job: Option<Job>,
    /// Why it shall take no further job.
    pub leaving: Option<Leaving>,
    /// Whether control was told that a job was interrupted.
    pub interrupted: bool,
    /// The exit code of the runner's last process.
    pub exit_code: Option<i32>,
    /// Why the instance ends.
    pub verdict: Option<Verdict>,
}

impl Facts {
    /// Notes that `phase` began at `now`, unless it did before.
    pub fn began(&mut self, phase: Phase, now: Uptime) {
        self.phases.entry(phase).or_insert(now);
    }

    /// Whether the runner is for one job.
    #[must_use]
    pub fn is_ephemeral(&self) -> bool {
        self.claimed.as_ref().is_none_or(|claimed| claimed.ephemeral)
    }

    /// Whether a job has run to its end, or to the runner's.
    #[must_use]
    pub fn had_job(&self) -> bool {
        self.job.is_some() && !self.signs.busy()
    }

    /// Until when a Worker may live whose job the runner has called over; `None` where there is none.
    #[must_use]
    pub fn lingers_until(&self) -> Option<Uptime> {
        let ended = *self.phases.get(&Phase::JobEnded)?;
        (self.signs.worker && !self.signs.word).then(|| ended + Limits::LINGER)
    }

    /// Takes what the runner says of its job.
    pub(super) fn heard(&mut self, saying: &Saying, now: Uptime) {
        match saying {
            Saying::Listening => self.began(Phase::Listening, now),
            Saying::JobStarted { name } => {
                self.signs.word = true;
                match &mut self.job {
                    // The Worker was seen first.
                    Some(job) if job.result.is_none() && job.name.is_empty() => job.name.clone_from(name),
                    _ => self.new_job(name.clone(), now),
                }
            }
            Saying::JobEnded { result } => {
                self.signs.word = false;
                self.starts = 0;
                if let Some(job) = &mut self.job {
                    job.result = Some(result.clone());
                    self.began(Phase::JobEnded, now);
                }
            }
        }
    }

    /// Takes what a hook says.
    pub(super) fn hooked(&mut self, call: &HookCall) {
        match call {
            HookCall::Started(facts) => {
                self.signs.hook = true;
                // Ours is a job's first step: the first call counts, and any step can make another.
                match &mut self.job {
                    Some(job) if self.signs.busy() && job.result.is_none() => {
                        if job.facts == JobFacts::default() {
                            job.facts = facts.clone();
                        }
                    }
                    _ => self.hooked = self.hooked.take().or_else(|| Some(facts.clone())),
                }
            }
            HookCall::Completed(_) => self.signs.hook = false,
        }
    }

    /// Takes whether there is a Worker. Where there is none, no hook was a job's.
    pub(super) fn worker(&mut self, there: bool, now: Uptime) {
        self.signs.worker = there;
        if !there {
            self.signs.hook = false;
            self.hooked = None;
        } else if self.job.is_none() {
            self.new_job(String::new(), now);
        }
    }

    fn new_job(&mut self, name: String, now: Uptime) {
        let facts = self.hooked.take().unwrap_or_default();
        self.job = Some(Job { name, result: None, facts });
        self.phases.insert(Phase::JobStarted, now);
        self.phases.remove(&Phase::JobEnded);
    }
}

/// What speaks for a job that runs. Each may be wrong or late: a job's name may look like a line of the runner's, and
/// anybody in a job can call a hook. So either the runner's word or its Worker is enough to keep an instance alive, and
/// a hook is a reason to look for a Worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signs {
    /// The runner's own word, by its output.
    pub word: bool,
    /// A hook.
    pub hook: bool,
    /// The Worker process.
    pub worker: bool,
}

impl Signs {
    /// Whether a job runs.
    #[must_use]
    pub fn busy(self) -> bool {
        self.word || self.worker
    }
}

/// Why a runner shall take no further job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leaving {
    /// Why, for programs.
    pub reason: Reason,
    /// Why, for people, where there is more to tell.
    pub detail: Option<String>,
    /// When a job that still runs is asked to stop; never where absent.
    pub hard: Option<Uptime>,
    /// Whether the instance has failed: control pauses before it launches the like again.
    pub failed: bool,
}

impl Leaving {
    /// For `reason`, which needs no further words and lets a job run on.
    #[must_use]
    pub fn of(reason: Reason) -> Self {
        Self { reason, detail: None, hard: None, failed: false }
    }

    /// How a life ends that ends for this.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let kind = if self.failed { Kind::Failed } else { Kind::Finished };
        Verdict { kind, reason: self.reason, detail: self.detail.clone() }
    }

    /// The more pressing of two: the one whose job has less time.
    #[must_use]
    pub(super) fn or(self, other: Self) -> Self {
        match (self.hard, other.hard) {
            (Some(ours), Some(theirs)) if theirs < ours => other,
            (None, Some(_)) => other,
            _ => self,
        }
    }
}

/// A registration as far as it is no secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claimed {
    /// The reservation this instance was launched under.
    pub reservation: String,
    /// The runner's id at GitHub, where it has one before it registers.
    pub runner_id: Option<u64>,
    /// The runner's name at GitHub.
    pub runner_name: String,
    /// Whether it is for one job.
    pub ephemeral: bool,
    /// The trace that the instance was launched in, for log lines alone.
    #[serde(default)]
    pub trace: Option<String>,
}

/// A process, told apart from a later one with the same number by when it started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunnerId {
    /// Process id, and id of its process group.
    pub pid: i32,
    /// Field 22 of `/proc/<pid>/stat`: clock ticks from boot to its start.
    pub start_ticks: u64,
}

/// Why an instance ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// Whether it did what it was launched for.
    pub kind: Kind,
    /// The reason, for programs.
    pub reason: Reason,
    /// The reason, for people, where there is more to tell.
    pub detail: Option<String>,
}

impl Verdict {
    pub(super) fn finished(reason: Reason) -> Self {
        Self { kind: Kind::Finished, reason, detail: None }
    }

    pub(super) fn failed(reason: Reason, detail: impl Into<String>) -> Self {
        Self { kind: Kind::Failed, reason, detail: Some(detail.into()) }
    }
}
