//! A runner's states in the ledger: one runner is one instance and takes at most one job, unless it is reusable: then it
//! goes from [`RunnerState::Busy`] back to [`RunnerState::Registered`], and [`super::reusable`] says when.
//!
//! The two that tell of a runner, GitHub's webhooks and the instance itself, come by different ways and overtake each
//! other. Hence two states that outlive the instance:
//!
//! - [`RunnerState::Spent`]: the instance ran a job and is gone, and no webhook has named it yet. The job's marker still
//!   stands among the queued; so this runner still counts as supply, else another would be launched for a job that has
//!   already run.
//! - [`RunnerState::Gone`]: the instance gave up before the ledger had heard of it (the scale-up that launched it was
//!   killed before it could write it down). Whoever writes down the reservation's instances finds this and leaves it out.
//!
//! An instance of a pool has no registration before a job comes: it is [`RunnerState::Warming`] and then
//! [`RunnerState::Standby`], until [`super::pool`] gives it to a job or withdraws it. In a pool of stopped instances it is
//! [`RunnerState::Stopping`] after that, and [`RunnerState::Stopped`] once EC2 says so.

/// Where a runner stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RunnerState {
    /// Its instance was launched.
    Launched,
    /// Its registration was handed over.
    Registered,
    /// GitHub gave it a job.
    Busy,
    /// It ran a job and is gone, and no webhook has said so yet.
    Spent,
    /// It is gone and was never written down.
    Gone,
    /// Its instance was launched for a pool, and boots.
    Warming,
    /// Its instance has booted and waits for a registration.
    Standby,
    /// It stood by, and control has EC2 stop its instance.
    Stopping,
    /// Its instance is stopped, and is started when a job comes.
    Stopped,
    /// It stood by, and no job gets it any more: its agent ends it.
    Withdrawn,
    /// It listened, and is to get no further job: it is deleted at GitHub, which ends it.
    Retiring,
}

impl RunnerState {
    /// All states.
    pub const ALL: [Self; 11] = [
        Self::Launched,
        Self::Registered,
        Self::Busy,
        Self::Spent,
        Self::Gone,
        Self::Warming,
        Self::Standby,
        Self::Stopping,
        Self::Stopped,
        Self::Withdrawn,
        Self::Retiring,
    ];

    /// The state's name in the ledger.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Launched => "launched",
            Self::Registered => "registered",
            Self::Busy => "busy",
            Self::Spent => "spent",
            Self::Gone => "gone",
            Self::Warming => "warming",
            Self::Standby => "standby",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Withdrawn => "withdrawn",
            Self::Retiring => "retiring",
        }
    }

    /// The state called `name`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    /// Whether its instance is counted in the fleet's `alive`.
    #[must_use]
    pub const fn is_alive(self) -> bool {
        !matches!(self, Self::Spent | Self::Gone)
    }

    /// Whether it never had a registration.
    #[must_use]
    pub const fn is_unregistered(self) -> bool {
        matches!(self, Self::Warming | Self::Standby | Self::Stopping | Self::Stopped | Self::Withdrawn)
    }

    /// Whether its instance is stopped, or about to be: its agent says nothing, and is not dead for that.
    #[must_use]
    pub const fn is_asleep(self) -> bool {
        matches!(self, Self::Stopping | Self::Stopped)
    }
}

/// What may be heard of a runner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RunnerEvent {
    /// Scale-up handed its registration over.
    Registered,
    /// A webhook says that it has, or had, a job.
    Job,
    /// A reusable runner has no job any more, and takes another.
    JobEnded,
    /// The agent of a reusable runner lives and has claimed its registration.
    Listening,
    /// The agent says that it waits for a registration.
    StandsBy,
    /// The instance ended and had a job.
    EndedAfterJob,
    /// The instance ended without a job, but had claimed its registration.
    EndedIdle,
    /// The instance ended and never had its registration.
    EndedUnclaimed,
}

impl RunnerEvent {
    /// All events.
    pub const ALL: [Self; 8] = [
        Self::Registered,
        Self::Job,
        Self::JobEnded,
        Self::Listening,
        Self::StandsBy,
        Self::EndedAfterJob,
        Self::EndedIdle,
        Self::EndedUnclaimed,
    ];
}

/// What becomes of the runner's item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunnerNext {
    /// Nothing.
    Keep,
    /// It is put in this state.
    Be(RunnerState),
    /// It is deleted.
    Delete,
}

/// What an event does to a runner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunnerStep {
    /// What becomes of its item.
    pub next: RunnerNext,
    /// Whether the fleet's `alive` goes down by one.
    pub frees: bool,
    /// Whether the runner was supply before and is not after.
    pub used_up: bool,
}

impl RunnerStep {
    /// Nothing changes.
    pub const NONE: Self = Self { next: RunnerNext::Keep, frees: false, used_up: false };
}

/// What hearing `event` does to a runner that was `now` (none: the ledger has no item of it).
#[must_use]
pub fn step(now: Option<RunnerState>, event: RunnerEvent) -> RunnerStep {
    use RunnerEvent::{EndedAfterJob, EndedIdle, EndedUnclaimed, Job, JobEnded, Listening, Registered, StandsBy};
    use RunnerState::{Busy, Gone, Launched, Retiring, Spent, Standby, Stopped, Stopping, Warming, Withdrawn};
    let keep = RunnerStep::NONE;
    match (now, event) {
        // It gave up before it was written down. One that had claimed its registration had been: that is a duplicate.
        (None, EndedUnclaimed) => RunnerStep { next: RunnerNext::Be(Gone), ..keep },

        (Some(Launched), Registered) => RunnerStep { next: RunnerNext::Be(RunnerState::Registered), ..keep },

        // What has a job has one, whatever it was taken for.
        (Some(Launched | RunnerState::Registered | Retiring | Warming | Standby | Stopping | Stopped | Withdrawn), Job) => {
            RunnerStep { next: RunnerNext::Be(Busy), frees: false, used_up: true }
        }
        (Some(Spent), Job | JobEnded) => RunnerStep { next: RunnerNext::Delete, frees: false, used_up: true },

        (Some(Launched | RunnerState::Registered | Busy), JobEnded)
        // Whether it is busy is for the webhooks to say: the agent's word may be an old one.
        | (Some(Launched | RunnerState::Registered | Retiring | Warming | Standby | Stopping | Stopped | Withdrawn), Listening) => {
            RunnerStep { next: RunnerNext::Be(RunnerState::Registered), ..keep }
        }

        (Some(Warming | Standby), StandsBy) => RunnerStep { next: RunnerNext::Be(Standby), ..keep },

        (Some(Launched | RunnerState::Registered | Retiring | Warming | Standby | Stopping | Stopped | Withdrawn), EndedAfterJob) => {
            RunnerStep { next: RunnerNext::Be(Spent), frees: true, used_up: false }
        }
        (Some(Launched | RunnerState::Registered), EndedIdle | EndedUnclaimed) => {
            RunnerStep { next: RunnerNext::Delete, frees: true, used_up: true }
        }
        (Some(Busy), EndedAfterJob | EndedIdle | EndedUnclaimed)
        // These were no job's.
        | (Some(Retiring | Warming | Standby | Stopping | Stopped | Withdrawn), EndedIdle | EndedUnclaimed) => {
            RunnerStep { next: RunnerNext::Delete, frees: true, used_up: false }
        }

        // Settled, or never known: late and repeated news. A webhook or its own end told of it before scale-up got to
        // write its registration. The same message again. A job that ended before it retired. One that was given to a
        // job, or is to end or to be stopped, says that it still waits.
        (None | Some(Gone), _)
        | (Some(_), Registered)
        | (Some(Busy), Job)
        | (Some(Busy | Spent), Listening)
        | (Some(Retiring | Warming | Standby | Stopping | Stopped | Withdrawn), JobEnded)
        | (Some(Launched | RunnerState::Registered | Busy | Spent | Retiring | Stopping | Stopped | Withdrawn), StandsBy)
        | (Some(Spent), EndedAfterJob | EndedIdle | EndedUnclaimed) => keep,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{
        RunnerEvent::{self, EndedAfterJob, EndedIdle, EndedUnclaimed, Job, JobEnded, Listening, StandsBy},
        RunnerNext::{self, Be, Delete, Keep},
        RunnerState::{
            self, Busy, Gone, Launched, Registered, Retiring, Spent, Standby, Stopped, Stopping, Warming, Withdrawn,
        },
        RunnerStep, step,
    };

    type Row = (Option<RunnerState>, RunnerEvent, RunnerNext, bool, bool);

    #[test]
    #[expect(clippy::too_many_lines, reason = "the table has every pair")]
    fn every_pair_of_state_and_event() {
        let told = RunnerEvent::Registered;
        let table: [Row; 96] = [
            // (now, event) -> next, frees, used up
            (None, told, Keep, false, false), // ended meanwhile: scale-up cleans up
            (None, Job, Keep, false, false),  // settled, and the webhook is late or repeated
            (None, JobEnded, Keep, false, false),
            (None, Listening, Keep, false, false),
            (None, EndedAfterJob, Keep, false, false),
            (None, EndedIdle, Keep, false, false),
            (None, EndedUnclaimed, Be(Gone), false, false),
            (Some(Launched), told, Be(Registered), false, false),
            (Some(Launched), Job, Be(Busy), false, true), // scale-up died between handover and ledger
            (Some(Launched), JobEnded, Be(Registered), false, false),
            (Some(Launched), Listening, Be(Registered), false, false),
            (Some(Launched), EndedAfterJob, Be(Spent), true, false),
            (Some(Launched), EndedIdle, Delete, true, true),
            (Some(Launched), EndedUnclaimed, Delete, true, true),
            (Some(Registered), told, Keep, false, false),
            (Some(Registered), Job, Be(Busy), false, true),
            (Some(Registered), JobEnded, Be(Registered), false, false),
            (Some(Registered), Listening, Be(Registered), false, false),
            (Some(Registered), EndedAfterJob, Be(Spent), true, false),
            (Some(Registered), EndedIdle, Delete, true, true),
            (Some(Registered), EndedUnclaimed, Delete, true, true),
            (Some(Busy), told, Keep, false, false),
            (Some(Busy), Job, Keep, false, false),
            (Some(Busy), JobEnded, Be(Registered), false, false),
            (Some(Busy), Listening, Keep, false, false),
            (Some(Busy), EndedAfterJob, Delete, true, false),
            (Some(Busy), EndedIdle, Delete, true, false),
            (Some(Busy), EndedUnclaimed, Delete, true, false),
            (Some(Spent), told, Keep, false, false),
            (Some(Spent), Job, Delete, false, true),
            (Some(Spent), JobEnded, Delete, false, true),
            (Some(Spent), Listening, Keep, false, false),
            (Some(Spent), EndedAfterJob, Keep, false, false),
            (Some(Spent), EndedIdle, Keep, false, false),
            (Some(Spent), EndedUnclaimed, Keep, false, false),
            (Some(Gone), told, Keep, false, false),
            (Some(Gone), Job, Keep, false, false),
            (Some(Gone), JobEnded, Keep, false, false),
            (Some(Gone), Listening, Keep, false, false),
            (Some(Gone), EndedAfterJob, Keep, false, false),
            (Some(Gone), EndedIdle, Keep, false, false),
            (Some(Gone), EndedUnclaimed, Keep, false, false),
            (None, StandsBy, Keep, false, false),
            (Some(Launched), StandsBy, Keep, false, false), // it was given to a job meanwhile
            (Some(Registered), StandsBy, Keep, false, false),
            (Some(Busy), StandsBy, Keep, false, false),
            (Some(Spent), StandsBy, Keep, false, false),
            (Some(Gone), StandsBy, Keep, false, false),
            (Some(Warming), told, Keep, false, false),
            (Some(Warming), Job, Be(Busy), false, true),
            (Some(Warming), JobEnded, Keep, false, false),
            (Some(Warming), Listening, Be(Registered), false, false),
            (Some(Warming), StandsBy, Be(Standby), false, false),
            (Some(Warming), EndedAfterJob, Be(Spent), true, false),
            (Some(Warming), EndedIdle, Delete, true, false),
            (Some(Warming), EndedUnclaimed, Delete, true, false),
            (Some(Standby), told, Keep, false, false),
            (Some(Standby), Job, Be(Busy), false, true),
            (Some(Standby), JobEnded, Keep, false, false),
            (Some(Standby), Listening, Be(Registered), false, false),
            (Some(Standby), StandsBy, Be(Standby), false, false),
            (Some(Standby), EndedAfterJob, Be(Spent), true, false),
            (Some(Standby), EndedIdle, Delete, true, false),
            (Some(Standby), EndedUnclaimed, Delete, true, false),
            (Some(Stopping), told, Keep, false, false),
            (Some(Stopping), Job, Be(Busy), false, true),
            (Some(Stopping), JobEnded, Keep, false, false),
            (Some(Stopping), Listening, Be(Registered), false, false),
            (Some(Stopping), StandsBy, Keep, false, false), // it was said before
            (Some(Stopping), EndedAfterJob, Be(Spent), true, false),
            (Some(Stopping), EndedIdle, Delete, true, false),
            (Some(Stopping), EndedUnclaimed, Delete, true, false),
            (Some(Stopped), told, Keep, false, false),
            (Some(Stopped), Job, Be(Busy), false, true),
            (Some(Stopped), JobEnded, Keep, false, false),
            (Some(Stopped), Listening, Be(Registered), false, false),
            (Some(Stopped), StandsBy, Keep, false, false), // it was said before
            (Some(Stopped), EndedAfterJob, Be(Spent), true, false),
            (Some(Stopped), EndedIdle, Delete, true, false),
            (Some(Stopped), EndedUnclaimed, Delete, true, false),
            (Some(Withdrawn), told, Keep, false, false),
            (Some(Withdrawn), Job, Be(Busy), false, true),
            (Some(Withdrawn), JobEnded, Keep, false, false),
            (Some(Withdrawn), Listening, Be(Registered), false, false),
            (Some(Withdrawn), StandsBy, Keep, false, false),
            (Some(Withdrawn), EndedAfterJob, Be(Spent), true, false),
            (Some(Withdrawn), EndedIdle, Delete, true, false),
            (Some(Withdrawn), EndedUnclaimed, Delete, true, false),
            (Some(Retiring), told, Keep, false, false),
            (Some(Retiring), Job, Be(Busy), false, true),
            (Some(Retiring), JobEnded, Keep, false, false),
            (Some(Retiring), Listening, Be(Registered), false, false),
            (Some(Retiring), StandsBy, Keep, false, false),
            (Some(Retiring), EndedAfterJob, Be(Spent), true, false),
            (Some(Retiring), EndedIdle, Delete, true, false),
            (Some(Retiring), EndedUnclaimed, Delete, true, false),
        ];
        for (now, event, next, frees, used_up) in table {
            assert_eq!(step(now, event), RunnerStep { next, frees, used_up }, "{now:?} hears {event:?}");
        }
        let pairs: BTreeSet<_> = table.iter().map(|(now, event, ..)| (*now, *event)).collect();
        assert_eq!(pairs.len(), (RunnerState::ALL.len() + 1) * RunnerEvent::ALL.len(), "the table has every pair");
    }

    #[test]
    fn alive_goes_down_exactly_when_a_live_runner_stops_being_one() {
        for now in RunnerState::ALL.into_iter().map(Some).chain([None]) {
            for event in RunnerEvent::ALL {
                let step = step(now, event);
                let lives_on = match step.next {
                    Keep => now.is_some_and(RunnerState::is_alive),
                    Be(state) => state.is_alive(),
                    Delete => false,
                };
                let lived = now.is_some_and(RunnerState::is_alive);
                assert_eq!(step.frees, lived && !lives_on, "{now:?} hears {event:?}");
            }
        }
    }

    #[test]
    fn names_are_read_back() {
        for state in RunnerState::ALL {
            assert_eq!(RunnerState::named(state.name()), Some(state));
        }
    }
}
