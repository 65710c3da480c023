//! The ledger's records, as the decisions see them. Times are milliseconds since 1970, `expires` is in seconds.

use super::{Stops, history::History};
use crate::{
    clock::Millis,
    decide::{breaker::Breakers, doubt::Why, jobs::JobState, runners::RunnerState},
    fleets::{Market, Scope},
};

/// A job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// GitHub's id of it.
    pub id: u64,
    /// How far it has come.
    pub state: JobState,
    /// The fleet it was routed to when it was first heard of.
    pub fleet: String,
    /// What it asks for.
    pub labels: Vec<String>,
    /// `owner/repo`.
    pub repository: String,
    /// The workflow run.
    pub run_id: u64,
    /// The run's attempt.
    pub run_attempt: u64,
    /// The App's installation that told of it.
    pub installation: Option<u64>,
    /// The runner that took it.
    pub runner_name: Option<String>,
    /// When it was heard to be queued.
    pub queued_at: Option<Millis>,
    /// When it was heard to run.
    pub running_at: Option<Millis>,
    /// When it was heard to have ended.
    pub done_at: Option<Millis>,
    /// What happened to it.
    pub history: History,
    /// When DynamoDB may delete the item.
    pub expires: u64,
    /// Version as read; 0 for a new one.
    pub version: u64,
}

/// A queued job, in its fleet's partition: put and taken in the transaction that changes the job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marker {
    /// The fleet.
    pub fleet: String,
    /// The job's id.
    pub job: u64,
    /// When it was heard to be queued.
    pub queued_at: Millis,
    /// The App's installation that told of it.
    pub installation: Option<u64>,
    /// `owner/repo`.
    pub repository: String,
    /// What it asks for beyond its fleet, see [`crate::decide::asks`].
    pub asks: Vec<String>,
    /// Whether it makes up for a job whose spot instance was taken away, and an on-demand one is launched for it.
    pub on_demand: bool,
    /// When it stops counting: GitHub gives up a job that no runner took within a day.
    pub expires: u64,
}

/// A job that is noted as waiting and of which GitHub has to be asked again, in its fleet's partition. It is put in a
/// transaction with its job, and does no harm where it outlives the job's wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// The fleet that the job was noted for.
    pub fleet: String,
    /// The job's id.
    pub job: u64,
    /// Why nothing is launched for it yet.
    pub why: Why,
    /// When it was noted.
    pub since: Millis,
    /// When GitHub is to be asked next.
    pub ask_at: Millis,
    /// When nobody asks any more.
    pub expires: u64,
}

/// What is counted of a fleet as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meta {
    /// Moved by every reservation, on condition that nobody else has moved it: of two scale-ups that read the same
    /// level, one launches.
    pub rev: u64,
    /// Instances reserved, launching or running.
    pub alive: u64,
    /// The fleet is left alone until then.
    pub paused_until: Millis,
    /// Instances that failed one after the other, with no job run in between; those that failed in one pause count
    /// once.
    pub failures: u64,
    /// When capacity was last reserved.
    pub reserved_at: Millis,
    /// Since when the fleet is drained: a person wants it to launch nothing more.
    pub drained_at: Option<Millis>,
    /// What keeps the fleet from launching until a person changes something; gone with the next instance that comes.
    pub last_error: Option<LastError>,
    /// What the last plan came to that launched something or had to hold something back.
    pub last_plan: Option<LastPlan>,
}

/// What EC2 or GitHub refused for good.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LastError {
    /// EC2's code, or `GitHub`.
    pub code: String,
    /// What it says.
    pub message: String,
    /// When.
    pub at: Millis,
    /// How often in a row.
    pub count: u64,
}

/// What EC2 has none of at present.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offers {
    /// The fleet.
    pub fleet: String,
    /// The breakers that are not closed.
    pub breakers: Breakers,
    /// Version as read; 0 for none yet.
    pub version: u64,
}

/// What a plan came to, for whoever asks why there is a runner or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastPlan {
    /// When it was made. Plans that come to the same one after the other are told once.
    pub at: Millis,
    /// Jobs past the fleet's delay, and what people asked for.
    pub demand: u64,
    /// Runners that will take one.
    pub supply: u64,
    /// Instances that it asked for.
    pub launched: u64,
    /// Instances that are missing and did not fit under `max`.
    pub held_back: u64,
    /// The fleet's limit at that time; 0 where it was drained.
    pub max: u64,
    /// Until when the fleet was paused, or cooled down from a launch; 0 if it did neither.
    pub paused_until: Millis,
}

impl LastPlan {
    /// Whether both came to the same, whenever that was.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        *self == Self { at: self.at, ..*other }
    }

    /// Why it launched no more than it did.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self { paused_until: 1.., .. } => "paused",
            // No fleet has such a limit of its own.
            Self { held_back: 1.., max: 0, .. } => "drained",
            Self { held_back: 1.., .. } => "max",
            // EC2 has none at present, or the fleet does not allow what a job asks for.
            Self { demand, supply, launched, .. } if *demand > supply + launched => "later",
            _ => "met",
        }
    }
}

/// Demand that no job made: a person wants runners to be ready for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manual {
    /// The fleet.
    pub fleet: String,
    /// A UUID.
    pub id: String,
    /// How many runners are to be ready.
    pub count: u32,
    /// The repository whose jobs they are for: `owner/repo`. It decides who they register for.
    pub repository: String,
    /// The App's installation there, where it is known.
    pub installation: Option<u64>,
    /// When it was asked for.
    pub created_at: Millis,
    /// When it stops counting, in seconds.
    pub expires: u64,
}

/// Instances that may be launched: written before EC2 is asked, gone once its answer is written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reservation {
    /// The fleet.
    pub fleet: String,
    /// A UUID: EC2's client token, and a tag on the instances.
    pub id: String,
    /// How many requests have been answered already: each market that is asked is one of its own.
    pub group: u32,
    /// How many are still to come.
    pub count: u32,
    /// The market that is asked; none in an item of an older version, which has the fleet's.
    pub market: Option<Market>,
    /// Names of the offers that are left out of the request.
    pub without: Vec<String>,
    /// What the job asks for beyond its fleet.
    pub asks: Vec<String>,
    /// Whether its instances stand by, for a pool, and are given to jobs later.
    pub standby: bool,
    /// Who the runners are for.
    pub scope: Scope,
    /// The App's installation there, as a webhook named it.
    pub installation: Option<u64>,
    /// The trace of the webhook that it was made for.
    pub trace: Option<String>,
    /// When it was made.
    pub created_at: Millis,
    /// Until then an invocation works on it; afterwards another may take it over.
    pub lease_until: Millis,
    /// Version as read; 0 for a new one.
    pub version: u64,
}

impl Reservation {
    /// EC2's client token of the present request, and the tag on its instances. Each request has one of its own, so that
    /// whoever takes the reservation over asks the same again and gets the same instances.
    #[must_use]
    pub fn token(&self) -> String {
        if self.group == 0 { self.id.clone() } else { format!("{}-{}", self.id, self.group + 1) }
    }
}

/// A runner: one instance; at most one job, but for a reusable one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Runner {
    /// The fleet.
    pub fleet: String,
    /// Its instance.
    pub instance: String,
    /// Where it stands.
    pub state: RunnerState,
    /// The token of the reservation it was launched under; empty if it was gone before it was written down.
    pub reservation: String,
    /// How its instance was bought; none if it was gone before it was written down, or by an older version.
    pub market: Option<Market>,
    /// Its instance's type; none where EC2 did not tell, or in an item of an older version.
    pub instance_type: Option<String>,
    /// The labels that it carries beside its fleet's.
    pub asks: Vec<String>,
    /// Who it is for; none if it was gone before it was written down.
    pub scope: Option<Scope>,
    /// The App's installation there, as a webhook named it.
    pub installation: Option<u64>,
    /// GitHub's id of it, once it is known.
    pub runner_id: Option<u64>,
    /// What is known of the jobs of a reusable one; none for one that takes a single job.
    pub reuse: Option<Reuse>,
    /// The trace of the webhook that it was launched for.
    pub trace: Option<String>,
    /// What happened to it.
    pub history: History,
    /// When its reservation was made.
    pub launched_at: Millis,
    /// Until then it counts as about to take a job.
    pub boot_deadline: Millis,
    /// Until then an invocation works on its registration; afterwards another may take it over.
    pub lease_until: Millis,
    /// When its instance was stopped, for its fleet's pool.
    pub stops: Stops,
    /// Whether those who had it so far are known to have asked GitHub for nothing: it was not their turn, or their time
    /// was up.
    pub untouched: bool,
    /// When it stops counting and DynamoDB may delete the item; none while its instance lives.
    pub expires: Option<u64>,
    /// Version as read; 0 for a new one.
    pub version: u64,
}

/// The version that a runner begins with which was not launched but heard of.
const HEARD_OF: u64 = 1 << 32;

impl Runner {
    /// The version that it has once it is written. One that is written anew, after it was forgotten, by a message that came
    /// twice or late, does not begin as its launch did: who still works on that would take it for the one it knows, and
    /// bring back what nobody counts.
    #[must_use]
    pub fn next_version(&self) -> u64 {
        let is_launch = matches!(self.state, RunnerState::Launched | RunnerState::Warming);
        if self.version == 0 && !is_launch { HEARD_OF } else { self.version + 1 }
    }
}

/// The jobs of a reusable runner, as far as webhooks have told of them. They come in any order, so it is the jobs that
/// are noted, and not how many: one that has begun is taken away by its own end, whatever came between.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reuse {
    /// Jobs that were heard to run on it and not yet to have ended.
    pub running: Vec<u64>,
    /// When a job was last heard of.
    pub told_at: Option<Millis>,
}

/// A fleet's whole level.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// Of the fleet as a whole.
    pub meta: Meta,
    /// What EC2 has none of.
    pub offers: Offers,
    /// The queued jobs.
    pub queued: Vec<Marker>,
    /// The jobs of which GitHub has to be asked again.
    pub doubts: Vec<Doubt>,
    /// What people asked for.
    pub manual: Vec<Manual>,
    /// The unresolved reservations.
    pub reservations: Vec<Reservation>,
    /// The runners.
    pub runners: Vec<Runner>,
    /// What could not be read.
    pub unread: Vec<Unread>,
}

/// An item of a fleet's level that is not understood, perhaps since a newer version wrote it. The rest of the level is
/// planned without it: `max` is kept by [`Meta::alive`], which counts its instances too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unread {
    /// Its key, and what is wrong with it.
    pub why: String,
    /// What it is likely to give for a while, as far as that can be read: so long nothing is launched in its place.
    pub supply: Option<UnreadSupply>,
}

/// Instances of an item that is not understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnreadSupply {
    /// Who they are for.
    pub scope: Scope,
    /// What they carry beyond their fleet.
    pub asks: Vec<String>,
    /// How many.
    pub count: u32,
    /// Until when they may be relied upon.
    pub until: Millis,
}

/// A failed instance, as it is counted with its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// [`Meta::failures`] as read.
    pub seen: u64,
    /// What it is now.
    pub count: u64,
    /// Now. The fleet must not have been paused meanwhile: who fails within a pause counts no more.
    pub at: Millis,
    /// Until when the fleet is left alone.
    pub until: Millis,
}
