//! GitHub, as far as Dayfly sees it, on the laptop: App authentication, runners, jobs, webhooks, and misbehaviour.
//!
//! Start at [`Github::start`]. `server` puts the routes together; `gate` is what every request passes first (count,
//! fault, caller, rate limit). `routes/` answer like GitHub's REST API, `runner_protocol` speaks with the stand-in
//! runner, `admin` is for people and tests. All of them change the one [`world`], which is synchronous and takes time
//! as an argument; what it has to tell the outside is built and sent by `webhooks/`.

mod admin;
mod answer;
mod assign;
mod auth;
mod calls;
mod clock;
mod config;
mod credentials;
mod faults;
mod gate;
mod github;
mod job_state;
mod limits;
mod model;
mod routes;
mod runner_protocol;
mod server;
mod shared;
mod webhooks;
mod world;

pub use clock::{Clock, ManualClock, SystemClock, WrongClock};
pub use config::{AppKey, Config, Group, LAPTOP_APP_ID, LAPTOP_APP_KEY, Quirks, RunnerRelease, WebhookInstallation};
pub use faults::Fault;
pub use github::Github;
pub use job_state::{Conclusion, JobState};
pub use model::{Happening, Job, JobSpec, Owner, RunnerView, Step, TakenBy};
pub use webhooks::{Chaos, Delivery, Webhook, signature};
