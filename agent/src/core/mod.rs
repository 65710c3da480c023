//! The decisions: `(state, event, uptime) → (state, actions)`, without I/O, time or randomness.
//!
//! Start at [`step`]. [`State`] is all there is to know, and can be saved and loaded: an agent that systemd restarts
//! goes on from it. [`lines`] reads the runner's output, `exits` its exit codes, [`report`] writes the message that
//! tells control how the instance ended.
//!
//! ```text
//! Booting → Claiming → Installing → Starting → Listening ⇄ Running → Retiring → Draining → Ending
//! ```
//! Every state may go to `Ending`, and none leaves it. `leaving` is about a runner that shall take no further job,
//! `ending` about the way from its stop to the instance's end.

mod action;
mod ending;
mod event;
mod exits;
mod facts;
mod leaving;
mod limits;
pub mod lines;
pub mod report;
mod standby;
mod state;
mod step;
#[cfg(test)]
pub(crate) mod tests;

pub use action::{Action, Disagreement};
pub use event::{Event, Exit, HookCall, Notice, Saying};
pub use facts::{Claimed, Facts, Leaving, RunnerId, Signs, Verdict};
pub use limits::Limits;
pub use state::{EXIT_NOT_ENDED, Ending, Stage, Starting, State};
pub use step::step;
