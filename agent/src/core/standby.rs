//! An instance that stands by: it has booted, its runner is ready, and it waits for a registration.
//!
//! Two keys end it as they end a runner. At its lifetime it asks control, which then gives it to no job any more. What
//! control had written just before is found while it waits for that; so no claim is lost for want of a moment.

use dayfly_contract::{Kind, Reason};

use super::{Action, Ending, Facts, Leaving, Limits, Stage, ending};
use crate::clock::Uptime;

/// Whether the instance is ready for a registration that may come long after this.
pub(super) fn is_ready(facts: &Facts, limits: &Limits) -> bool {
    limits.standby.is_some() && facts.prepared
}

/// The machine goes down, and is to come up again: ended by EC2's API it never would, and control knows without a word of
/// ours, since it asked for the stop. Where somebody else did, or stopped the agent alone, `reconcile` finds an instance
/// that the ledger has otherwise, or that is silent.
pub(super) fn stopped() -> (Stage, Vec<Action>) {
    (Stage::Ending(Ending::Over { code: 0 }), vec![Action::StopClaiming, Action::StopPreparing, Action::Exit(0)])
}

/// Its lifetime is over, or control has had its time to say so.
pub(super) fn waited(facts: &mut Facts, limits: &Limits, now: Uptime) -> (Stage, Vec<Action>) {
    if let Some(leaving) = &facts.leaving {
        let verdict = leaving.verdict();
        return ending::end(facts, limits, verdict, now);
    }
    let lifetime = limits.standby.unwrap_or_default().as_secs();
    let detail = Some(format!("no job within {lifetime} s"));
    facts.leaving = Some(Leaving { detail, ..Leaving::of(Reason::MaxLifetime) });
    (Stage::Claiming { until: now + limits.retire }, vec![Action::Tell(Kind::Retire)])
}
