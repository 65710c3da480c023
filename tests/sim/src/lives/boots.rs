//! How instances boot, the first time and whenever EC2 has stopped and started them.

use super::{Doom, Instance, Life, MINUTE, SECOND};
use crate::Model;

impl Model {
    /// Something may befall `it`, which boots.
    pub(super) fn may_not_boot(&mut self, it: &mut Instance) {
        let now = self.now();
        if self.has_faults() && self.random.chance(self.setting.faults.boots) {
            self.count("instances that did not boot");
            match self.random.below(3) {
                // Nobody would notice the others.
                _ if self.setting.alone => it.doom = Some((now + self.random.below(30 * SECOND), Doom::Fails)),
                0 => it.doom = Some((now + self.random.below(30 * SECOND), Doom::Vanishes)),
                1 => it.mute = true,
                // It can't install its runner, and says so: perhaps before the ledger has heard of it.
                _ => it.doom = Some((now + self.random.below(5 * SECOND), Doom::Fails)),
            }
        }
        if let Some((at, _)) = it.doom {
            it.due = it.due.min(at);
        }
    }

    /// EC2 starts an instance, which boots again and knows nothing, or stops it. One that has claimed a registration may have
    /// a job, and is never stopped.
    pub(super) fn switch(&mut self, id: &str, starts: bool) -> Result<(), String> {
        let now = self.now();
        let Some(mut it) = self.instances.get(id).cloned() else { return Ok(()) };
        self.due.remove(&(it.due, id.to_owned()));
        (it.heartbeat, it.doom, it.mute, it.cut_until) = (u64::MAX, None, false, 0);
        match (&it.life, starts) {
            (Life::Asleep, true) => {
                self.count("instances started");
                (it.life, it.due) = (Life::Booting, now + self.random.range(5 * SECOND, 40 * SECOND));
                self.may_not_boot(&mut it);
            }
            (
                Life::Booting | Life::Claiming { .. } | Life::StandingBy { .. } | Life::Leaving { .. } | Life::Asleep,
                false,
            ) => {
                self.count("instances stopped");
                (it.life, it.due) = (Life::Asleep, u64::MAX);
                if self.has_faults() && self.random.chance(self.setting.faults.dooms) {
                    it.due = now + self.random.below(10 * MINUTE);
                    it.doom = Some((it.due, Doom::Vanishes));
                }
            }
            _ => return Err(self.wrong(&format!("control has {id} stopped or started, which is {:?}", it.life))),
        }
        if it.due < u64::MAX {
            self.due.insert((it.due, id.to_owned()));
        }
        self.instances.insert(id.to_owned(), it);
        Ok(())
    }
}
