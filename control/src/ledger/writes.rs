//! What a transaction is made of.

use super::{
    Life,
    records::{Doubt, Failure, Job, LastPlan, Marker, Offers, Reservation, Runner},
};
use crate::clock::Millis;

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
    /// Puts a doubt.
    PutDoubt(Doubt),
    /// Deletes a doubt, if it is there.
    DropDoubt {
        /// The fleet.
        fleet: String,
        /// The job.
        job: u64,
    },
    /// Changes nothing, and fails where a job is not queued any more.
    StillQueued {
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
        /// Now.
        at: Millis,
        /// The plan that it comes from, to be told to whoever asks.
        plan: Option<LastPlan>,
    },
    /// Moves `rev`, if it is unmoved, and counts nothing: for what is decided by the whole level and launches nothing.
    Advance {
        /// The fleet.
        fleet: String,
        /// `rev` as read.
        rev: u64,
    },
    /// Counts this many instances less.
    Free {
        /// The fleet.
        fleet: String,
        /// How many; 0 for a failure of an instance that was never counted.
        count: u32,
        /// Whether a job was run: then the fleet's instances are good, and its failures are forgotten.
        ran_job: bool,
        /// A failure that is counted with it.
        failure: Option<Failure>,
    },
    /// Forgets the fleet's last error: an instance has come.
    Recover {
        /// The fleet.
        fleet: String,
    },
    /// Puts a fleet's breakers.
    PutOffers(Offers),
    /// Puts a reservation.
    PutReservation(Reservation),
    /// Deletes a reservation.
    DropReservation(Reservation),
    /// Puts a runner.
    PutRunner(Runner),
    /// Deletes a runner.
    DropRunner(Runner),
    /// Puts what is kept of an instance that has ended.
    PutLife(Life),
}
