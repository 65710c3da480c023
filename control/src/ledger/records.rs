//! The ledger's records, as the decisions see them. Times are milliseconds since 1970, `expires` is in seconds.

use crate::{
    clock::Millis,
    decide::{jobs::JobState, runners::RunnerState},
    fleets::Scope,
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
    /// When it stops counting: GitHub gives up a job that no runner took within a day.
    pub expires: u64,
}

/// What is counted of a fleet as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Meta {
    /// Moved by every reservation, on condition that nobody else has moved it: of two scale-ups that read the same
    /// level, one launches.
    pub rev: u64,
    /// Instances reserved, launching or running.
    pub alive: u64,
    /// The fleet is left alone until then.
    pub paused_until: Millis,
    /// Instances that failed one after the other, with no job run in between; those that failed in one pause count once.
    pub failures: u64,
}

/// Instances that may be launched: written before EC2 is asked, gone once its answer is written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reservation {
    /// The fleet.
    pub fleet: String,
    /// A UUID: EC2's client token, and a tag on the instances.
    pub id: String,
    /// How many.
    pub count: u32,
    /// Who the runners are for.
    pub scope: Scope,
    /// The App's installation there, as a webhook named it.
    pub installation: Option<u64>,
    /// When it was made.
    pub created_at: Millis,
    /// Until then an invocation works on it; afterwards another may take it over.
    pub lease_until: Millis,
    /// Version as read; 0 for a new one.
    pub version: u64,
}

/// A runner: one instance, at most one job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Runner {
    /// The fleet.
    pub fleet: String,
    /// Its instance.
    pub instance: String,
    /// Where it stands.
    pub state: RunnerState,
    /// The reservation it was launched under; empty if it was gone before it was written down.
    pub reservation: String,
    /// Who it is for; none if it was gone before it was written down.
    pub scope: Option<Scope>,
    /// The App's installation there, as a webhook named it.
    pub installation: Option<u64>,
    /// GitHub's id of it, once it is registered.
    pub runner_id: Option<u64>,
    /// When its reservation was made.
    pub launched_at: Millis,
    /// Until then it counts as about to take a job.
    pub boot_deadline: Millis,
    /// Until then an invocation works on its registration; afterwards another may take it over.
    pub lease_until: Millis,
    /// When it stops counting and DynamoDB may delete the item; none while its instance lives.
    pub expires: Option<u64>,
    /// Version as read; 0 for a new one.
    pub version: u64,
}

/// A fleet's whole level.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// Of the fleet as a whole.
    pub meta: Meta,
    /// The queued jobs.
    pub queued: Vec<Marker>,
    /// The unresolved reservations.
    pub reservations: Vec<Reservation>,
    /// The runners.
    pub runners: Vec<Runner>,
}

/// One change. A record that carries a version is changed only if the ledger still has the version that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// Puts a job.
    PutJob(Job),
    /// Puts a marker.
    PutMarker(Marker),
    /// Takes a marker away, if it is there.
    TakeMarker {
        /// The fleet.
        fleet: String,
        /// The job.
        job: u64,
    },
    /// Counts `count` more instances, if `rev` is unmoved and no more than `max` come of it. Moves `rev`.
    Reserve {
        /// The fleet.
        fleet: String,
        /// `rev` as read.
        rev: u64,
        /// How many.
        count: u32,
        /// The fleet's limit.
        max: u64,
    },
    /// Counts this many instances less.
    Free {
        /// The fleet.
        fleet: String,
        /// How many.
        count: u32,
        /// Whether a job was run: then the fleet's instances are good, and its failures are forgotten.
        ran_job: bool,
    },
    /// Puts a reservation.
    PutReservation(Reservation),
    /// Deletes a reservation.
    DropReservation(Reservation),
    /// Puts a runner.
    PutRunner(Runner),
    /// Deletes a runner.
    DropRunner(Runner),
}
