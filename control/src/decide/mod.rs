//! What to do, as pure functions: no clock, no chance, no service.
//!
//! - [`route`]: which fleet a job belongs to.
//! - [`jobs`], [`runners`]: the two state machines.
//! - [`events`]: what a webhook or a lifecycle message changes in the ledger, by these machines; [`words`], [`reusable`]:
//!   what an agent's word on the way does.
//! - [`doubt`]: when GitHub is asked again about a job that nothing else will tell of.
//! - [`waiting`]: how long a job waited.
//! - [`plan`]: how many instances are missing.
//! - [`asks`]: what a job's labels ask for beyond its fleet; [`wishes`]: which of them steer the launch.
//! - [`offers`], [`launch`]: what EC2 is asked for; [`errors`], [`answer`]: what its answer means.
//! - [`breaker`]: what is not asked for now, of EC2 and (by [`refusals`]) of GitHub; [`bucket`]: how fast services may be
//!   called.
//! - [`lives`]: what is kept of instances for reports.
//! - [`rerun`]: which interrupted jobs are run again, and how.
//! - [`releases`]: which versions of the runner are kept in S3.
//! - [`housekeeping`]: which images and leftovers may go.
//! - [`explain`]: why a job has a runner, or none.
//! - [`reconcile`]: what is done about what nobody told of.

pub mod answer;
pub mod asks;
pub mod breaker;
pub mod bucket;
pub mod doubt;
pub mod errors;
pub mod events;
pub mod explain;
pub mod failures;
pub mod housekeeping;
pub mod jobs;
pub mod launch;
pub mod lives;
pub mod offers;
pub mod plan;
pub mod pool;
pub mod reconcile;
pub mod refusals;
pub mod releases;
pub mod rerun;
pub mod reusable;
pub mod route;
pub mod runners;
pub mod waiting;
pub mod wishes;
pub mod words;
