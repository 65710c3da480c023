//! Instances of a pool, which wait for their registration.

use dayfly_contract::{Kind, Reason};

use super::{Instance, Life, MINUTE, POLL, RETIRE};
use crate::{Model, claim::Claim};

impl Model {
    /// Whether instances of `fleet` may wait for a registration.
    pub(super) fn stands_by(&self, fleet: &str) -> bool {
        let pool = self.setting.fleets.get(fleet).and_then(|fleet| fleet.pool.as_ref());
        pool.is_some_and(|pool| pool.kind.stands_by())
    }

    /// The next step of one that may stand by.
    pub(super) fn stand_by(&mut self, id: &str, it: &mut Instance, life: &Life) -> Option<(Life, u64)> {
        let now = self.now();
        let found = self.port.0.parameters.borrow_mut().remove(id);
        if let Some(found) = found {
            let Some(claim) = Claim::of(found) else {
                self.end(id, it, Kind::Finished, Reason::Idle, None);
                return None;
            };
            self.note(|| format!("{id} has claimed its registration"));
            return Some(self.start_runner(claim));
        }
        match *life {
            Life::StandingBy { until } if until <= now => {
                self.tell_of_standby(id, it, Kind::Retire);
                Some((Life::Leaving { until: now + RETIRE }, POLL))
            }
            Life::StandingBy { until } => Some((Life::StandingBy { until }, POLL)),
            Life::Leaving { until } if until <= now => {
                self.end(id, it, Kind::Finished, Reason::MaxLifetime, None);
                None
            }
            Life::Leaving { until } => Some((Life::Leaving { until }, POLL)),
            _ => {
                self.tell_of_standby(id, it, Kind::Standby);
                let until = now + self.random.range(MINUTE, 20 * MINUTE);
                Some((Life::StandingBy { until }, POLL))
            }
        }
    }
}
