//! Instances that EC2 was asked to stop, or to start again.

use super::{MINUTE, Model, lives::Life};
use crate::{
    decide::{pool, runners::RunnerState},
    ledger::{Committed, Write},
};

impl Model {
    /// What was asked of EC2 happens to the instances. One that has a registration, and so may have a job, is never stopped.
    pub(super) fn power(&mut self) {
        let now = self.now();
        let asleep = self.port.0.asleep.borrow().clone();
        for (id, it) in &mut self.instances {
            match (&it.life, asleep.contains(id)) {
                (Life::Asleep { .. }, true) => {}
                (Life::Asleep { .. }, false) => {
                    it.life = Life::Booting { until: now + self.random.range(5_000, 40_000) };
                }
                (
                    Life::Booting { .. } | Life::Claiming { .. } | Life::StandingBy { .. } | Life::Leaving { .. },
                    true,
                ) => {
                    it.life = Life::Asleep { at: now + self.random.range(1_000, MINUTE) };
                }
                (_, true) => panic!("{id} is stopped, and may have a job"),
                (_, false) => {}
            }
        }
    }

    /// Notes what EC2 has stopped, as reconcile does each minute.
    pub(super) fn note_stops(&mut self) {
        let now = self.now();
        for fleet in self.setting.fleets.fleets.iter().filter(|fleet| fleet.pool.is_some()) {
            let runners = self.port.0.ledger.borrow().view(&fleet.name).runners;
            for it in runners.into_iter().filter(|it| it.state == RunnerState::Stopping) {
                let life = self.instances.get(&it.instance).map(|it| &it.life);
                if matches!(life, Some(Life::Asleep { at }) if *at <= now) {
                    // It was read just now.
                    let noted = self.port.0.ledger.borrow_mut().commit(&[Write::PutRunner(pool::stopped(it, now))]);
                    assert_eq!(noted, Committed::Yes);
                }
            }
        }
    }
}
