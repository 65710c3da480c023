//! The decisions: `(state, event, uptime) → (state, actions)`, without I/O, time or randomness.
//!
//! Start at [`step`]. [`State`] is all there is to know, and can be saved and loaded: an agent that systemd restarts
//! goes on from it. [`lines`] reads the runner's output, `exits` its exit codes, [`report`] writes the message that
//! tells control how the instance ended.
//!
//! ```text
//! Booting → Claiming → Installing → Starting → Listening ⇄ Running → Draining → Ending
//! ```
//! Every state may go to `Ending`, and none leaves it.

mod action;
mod event;
mod exits;
pub mod lines;
pub mod report;
mod state;
mod step;
#[cfg(test)]
mod tests;

pub use action::Action;
pub use event::{Event, Exit};
pub use state::{Claimed, EXIT_NOT_ENDED, Ending, Facts, Limits, RunnerId, Stage, Starting, State, Verdict};
pub use step::step;
