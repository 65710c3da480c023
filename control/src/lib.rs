//! Dayfly's control plane: GitHub's webhooks in, EC2 instances out.
//!
//! Start at the [`handlers`]. Each is one Lambda function in the same binary and does no more than read, ask
//! [`decide`], write, and tell:
//!
//! - [`handlers::webhook`] takes GitHub's `workflow_job` events into the [`ledger`] and sends a [`wake`]-up. Where a
//!   [`bus`] is configured, it puts them there as well.
//! - [`handlers::scale_up`] is woken for a fleet, reads its whole level, and launches what is missing: a reservation in
//!   the ledger, instances from [`compute`], a JIT config from [`github`], the [`handover`] to the instance.
//! - [`handlers::lifecycle`] hears from the instances' agents and settles the ledger.
//! - [`handlers::reconcile`] looks after everything each minute, and puts right what nobody told of.
//! - [`handlers::sync_runner`] and [`handlers::housekeep`], the keepers, run by a schedule and without the ledger: the one
//!   brings [`releases`] of the runner into S3, the other looks at what the account has ([`estate`]) and clears away what
//!   nobody needs. Both speak of [`objects`] in a bucket.
//!
//! [`decide`] is pure: which fleet a job belongs to, how many instances are missing, what a job's or runner's next
//! state is, what an error of EC2 means. `ledger`, `compute`, `github`, `handover` and `wake` are ports, as wide as
//! the handlers need, with their AWS or GitHub side in a file of their own. `simulation` (tests only) has all of them in
//! memory; `tests/sim` runs the same handlers against them, in random orders, with crashes and faults of every kind.
//!
//! [`dry`] stands before ports, where a handler is to tell what it would do and do nothing (`dayfly reconcile --dry-run`).
//!
//! [`metrics`] are collected while a handler works and written as one or a few lines at its end; a [`trace`] is passed
//! on from the webhook to the instance.
//!
//! What changes is [`told`] to others, on a bus of theirs.
//!
//! [`config`] reads the environment, [`fleets`] the fleets document; both tell every mistake at once.

pub mod aws;
pub mod bus;
pub mod clock;
pub mod compute;
pub mod config;
pub mod decide;
pub mod dry;
pub mod estate;
pub mod fleets;
pub mod github;
pub mod handlers;
pub mod handover;
pub mod ledger;
pub mod logging;
pub mod metrics;
pub mod objects;
pub mod releases;
pub mod report;
pub mod told;
pub mod trace;
pub mod wake;

#[cfg(any(test, feature = "simulation"))]
pub mod simulation;
