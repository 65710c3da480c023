//! What is remembered of a fleet from one run to the next.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    decide::reconcile::{Since, counter::Mismatch},
    fleets::{Fleet, Scope, Target},
    ledger::View,
};

/// The most owners that are remembered of one fleet.
const MOST_SCOPES: usize = 100;

/// A fleet's note.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Memory {
    /// Silent runners that GitHub does not see, and since when.
    pub(super) unseen: Since,
    /// Whose registration was taken away before it was claimed, and when.
    pub(super) taken: Since,
    /// A count that was wrong.
    pub(super) mismatch: Option<Mismatch>,
    /// Who the fleet's runners were for, as far as is known, and the App's installation there.
    pub(super) scopes: BTreeMap<String, Option<u64>>,
}

impl Memory {
    /// Adds the owners that the fleet's level tells of.
    pub(super) fn learn(&mut self, fleet: Option<&Fleet>, view: &View) {
        let runners = view.runners.iter().filter_map(|it| Some((it.scope.clone()?, it.installation)));
        let reservations = view.reservations.iter().map(|it| (it.scope.clone(), it.installation));
        let markers = view.queued.iter().filter_map(|it| Some((fleet?.scope_for(&it.repository), it.installation)));
        for (scope, installation) in runners.chain(reservations).chain(markers) {
            let known = self.scopes.len();
            match self.scopes.get_mut(&scope.to_string()) {
                Some(before) => *before = installation.or(*before),
                None if known < MOST_SCOPES => drop(self.scopes.insert(scope.to_string(), installation)),
                None => {}
            }
        }
    }

    /// The owners, to be asked about runners.
    pub(super) fn targets(&self) -> Vec<Target> {
        let target = |(scope, installation): (&String, &Option<u64>)| {
            let scope: Scope = scope.parse().ok()?;
            let installation = installation.filter(|_| !matches!(scope, Scope::Enterprise(_)));
            Some(Target { scope, installation })
        };
        self.scopes.iter().filter_map(target).collect()
    }
}
