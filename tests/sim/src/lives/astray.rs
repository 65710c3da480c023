//! Instances that others lose sight of: the ledger their items, GitHub their runners.

use dayfly_control::decide::runners::RunnerState;

use super::{Doom, Instance, Life, MINUTE, SECOND};
use crate::Model;

impl Model {
    /// The ledger loses the item of `it`, which has a registration; its fleet's count is what it was. Perhaps something befalls it
    /// then.
    pub(super) fn forget_item(&mut self, id: &str, it: &mut Instance) {
        let (faults, now) = (&self.setting.faults, self.now());
        let (unseen, dooms) = (faults.unseen, faults.dooms);
        if self.random.chance(unseen) {
            it.doom = Some((now + SECOND, self.blindness()));
        } else if self.random.chance(dooms) {
            let doom = if self.random.chance(20) { Doom::Vanishes } else { Doom::LosesAgent };
            it.doom = Some((now + self.random.below(5 * MINUTE), doom));
        }
        let key = (it.fleet.clone(), id.to_owned());
        let mut ledger = self.port.0.ledger.borrow_mut();
        let is_registered = |state| matches!(state, RunnerState::Registered | RunnerState::Busy);
        if !ledger.runners.get(&key).is_some_and(|it| is_registered(it.state)) {
            return;
        }
        ledger.runners.remove(&key);
        ledger.changes += 1;
        let counts = ledger.metas.get(&it.fleet).map_or(0, |meta| meta.alive);
        self.skew.insert(it.fleet.clone(), counts.saturating_sub(ledger.counted(&it.fleet)));
        drop(ledger);
        it.astray = true;
        self.count("runners that the ledger lost");
        self.note(|| format!("ledger: the item of {id} is lost"));
    }

    /// GitHub loses sight of a runner for longer than one that is dead may be kept.
    pub(super) fn blindness(&mut self) -> Doom {
        Doom::Unseen(self.random.range(35 * MINUTE, 60 * MINUTE))
    }

    /// GitHub takes it for offline.
    pub(super) fn lose_sight(&mut self, it: &mut Instance, lasts: u64) {
        self.count("runners that GitHub did not see");
        it.unseen_until = self.now() + lasts;
        self.set_online(&it.name, false);
        self.set_busy(&it.name, false);
    }

    /// GitHub sees it again.
    pub(super) fn see_again(&mut self, id: &str, it: &mut Instance) {
        it.unseen_until = 0;
        self.set_online(&it.name, true);
        self.set_busy(&it.name, matches!(it.life, Life::Running { .. }));
        self.assignable = true;
        self.note(|| format!("GitHub sees {id} again"));
    }
}
