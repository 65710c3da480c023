//! What [`crate::handlers::reconcile`] does about what it has seen, each minute.
//!
//! - [`deaths`]: which runner is certainly dead, and which instance may be ended.
//! - [`jobs`]: which jobs GitHub is asked about, and what follows from its answer.
//! - [`counter`]: whether a fleet's count of instances is wrong.
//! - [`strays`]: what becomes of an instance that the ledger does not know.
//! - [`drained`]: which runners of a drained fleet are retired.
//! - [`deliveries`]: which webhooks are sent again.
//! - [`gaps`]: whether webhooks were missed, and what is looked through then.
//! - [`asleep`]: what becomes of instances that are to be stopped, or are.
//! - [`voices`]: whether agents are silent since nobody's messages come through.
//! - [`wakes`]: which fleets have to be looked at.
//! - [`leftovers`]: which registrations and which runners at GitHub nobody will use any more.
//!
//! Several of these act only on what they see twice: [`Since`] remembers since when. All of what is remembered is a
//! note in the ledger; one that is lost is seen again, and costs a minute.

pub mod asleep;
pub mod counter;
pub mod deaths;
pub mod deliveries;
pub mod drained;
pub mod gaps;
pub mod jobs;
pub mod leftovers;
pub mod strays;
pub mod voices;
pub mod wakes;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::clock::Millis;

/// The most that is remembered of one kind: a note is one item of the ledger, which has room for 400 KB.
pub const MOST_REMEMBERED: usize = 2000;

/// Since when something has been seen at each look, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Since(pub BTreeMap<String, Millis>);

impl Since {
    /// Notes that `name` is seen now; answers since when it has been.
    pub fn see(&mut self, name: &str, now: Millis) -> Millis {
        if !self.0.contains_key(name) && self.0.len() >= MOST_REMEMBERED {
            return now;
        }
        *self.0.entry(name.to_owned()).or_insert(now)
    }

    /// Forgets all that is not `seen` any more: whatever is seen again later is new.
    pub fn retain(&mut self, seen: impl Fn(&str) -> bool) {
        self.0.retain(|name, _| seen(name));
    }
}

#[cfg(test)]
mod tests {
    use super::{MOST_REMEMBERED, Since};

    #[test]
    fn what_goes_unseen_once_is_new_again() {
        let mut since = Since::default();
        assert_eq!((since.see("a", 5), since.see("a", 9), since.see("b", 9)), (5, 5, 9));
        since.retain(|name| name != "a");
        assert_eq!((since.see("a", 12), since.see("b", 12)), (12, 9));
    }

    #[test]
    fn a_full_memory_acts_on_nothing_new() {
        let mut since = Since::default();
        for n in 0..MOST_REMEMBERED {
            since.see(&n.to_string(), 1);
        }
        assert_eq!((since.see("more", 7), since.see("more", 9), since.see("0", 9)), (7, 9, 1));
        assert_eq!(since.0.len(), MOST_REMEMBERED);
    }
}
