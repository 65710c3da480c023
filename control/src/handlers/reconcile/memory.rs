//! What is remembered of a fleet from one run to the next.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Ports, Run, gaps};
use crate::{
    decide::reconcile::{Since, counter::Mismatch},
    fleets::{Fleet, Scope, Target},
    ledger::{LedgerError, View},
};

/// The most owners that are remembered of one fleet.
const MOST_SCOPES: usize = 100;

/// The most owners that are asked about a fleet of which none is known.
const MOST_OWNERS: usize = 20;

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

/// Whom runners of the fleet `name` may be registered for: those that runners of it were for. Where none was met, since the
/// ledger has lost its first one before the first look, whoever has a repository that a job of ours was of: if the runner has
/// a job, that is one of those.
pub(super) async fn owners<P: Ports>(run: &Run<'_, P>, name: &str) -> Result<Vec<Target>, LedgerError> {
    let memory: Memory = run.recall(&format!("fleet#{name}")).await?;
    let (known, fleet) = (memory.targets(), run.deps.fleets.get(name));
    let Some(fleet) = fleet.filter(|_| known.is_empty()) else { return Ok(known) };
    let mut all = BTreeMap::new();
    for (repository, it) in &gaps::repositories(run).await?.0 {
        let scope = fleet.scope_for(repository);
        all.entry(scope.to_string()).or_insert_with(|| fleet.target(scope, it.installation));
    }
    // Of more owners than can be asked in a run nothing is known in the end, and all are let be.
    Ok(if all.len() > MOST_OWNERS { Vec::new() } else { all.into_values().collect() })
}
