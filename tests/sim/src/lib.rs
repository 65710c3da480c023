//! The control plane over a simulated world: the same handlers that ship, GitHub, EC2 and the agents in memory, a clock
//! that jumps, and faults that a seed decides.
//!
//! Start at [`Model::play`]. A [`Setting`] says what a run is like, by hand or by a seed ([`Setting::of_seed`]);
//! [`faults`] what goes wrong. [`Model`] takes a step after the other: [`functions`] are Lambda's invocations, [`github`]
//! has jobs, runs and webhooks, [`lives`] the instances and their agents. After each step [`checks`] looks whether all
//! that must hold does. [`week`] is a week with very many jobs.
//!
//! What handlers see is `dayfly_control::simulation`; how that came about is in `docs/decisions/0027`.

mod checks;
mod claim;
pub mod documents;
mod faults;
mod functions;
mod github;
mod lives;
mod model;
mod queue;
mod setting;
mod summary;
pub mod week;

pub use faults::Faults;
pub use model::Model;
pub use setting::Setting;
pub use summary::Summary;

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Plays `seed` and answers what came of it.
///
/// # Errors
///
/// What went wrong, a panic too; with the whole story before it where it is `told`.
pub fn play(setting: Setting, seed: u64, told: bool) -> Result<Summary, String> {
    let mut model = Model::new(setting, seed);
    model.port.0.telling.set(told);
    let played = run(&mut model);
    match played {
        Ok(()) => Ok(model.summary()),
        Err(wrong) if told => Err(format!("{}\n{wrong}", model.story())),
        Err(wrong) => Err(wrong),
    }
}

/// Plays `model` to its end.
///
/// # Errors
///
/// What went wrong, a panic too.
pub fn run(model: &mut Model) -> Result<(), String> {
    // The model is looked at afterwards for its story alone.
    let played = catch_unwind(AssertUnwindSafe(|| model.play()));
    played.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a word");
        Err(model.wrong(&format!("a panic: {text}")))
    })
}
