//! What befalls instances: they die, hang, are cut off or taken away.

use dayfly_contract::{Kind, Reason};
use dayfly_control::decide::jobs::JobState;

use super::{Instance, Life, MINUTE, SECOND};
use crate::Model;

/// What befalls an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doom {
    Vanishes,
    Interrupted,
    /// From the network, for so long.
    CutOff(u64),
    /// Its agent dies, and its runner goes on.
    LosesAgent,
    /// Its runner, which has no agent any more, dies too.
    LosesRunner,
    /// Its agent gives up.
    Fails,
    /// The ledger loses its item.
    Forgotten,
    /// EC2 recommends that it goes.
    Noticed,
    /// GitHub does not see its runner for so long.
    Unseen(u64),
}

impl Model {
    /// Whether it is still there after what befalls it.
    pub(super) fn befall(&mut self, id: &str, it: &mut Instance, doom: Doom) -> bool {
        let now = self.now();
        self.note(|| format!("{id}: {doom:?}"));
        match (doom, it.life.clone()) {
            (Doom::Vanishes, life) => {
                self.count("instances vanished");
                self.set_online(&it.name, false);
                if let Life::Running { job, .. } | Life::Interrupted { job, .. } = life {
                    self.lose(job);
                }
                self.remove(id);
                self.port.0.end(id);
                false
            }
            (Doom::Interrupted, Life::Running { job, claim, .. }) => {
                self.count("interruptions");
                if let Some(job) = self.jobs.get_mut(&job).filter(|job| job.state == JobState::Running) {
                    job.interrupted = true;
                }
                self.tell_interrupted(id, it, &claim.with(job));
                let until = now + self.random.range(2 * SECOND, 30 * SECOND);
                it.life = Life::Interrupted { until, job, claim };
                true
            }
            (Doom::CutOff(lasts), _) => {
                self.count("instances cut off");
                it.cut_until = now + lasts;
                self.set_online(&it.name, false);
                // GitHub's word on whether it has a job has been seen to turn in mid-job.
                if self.random.chance(50) {
                    self.set_busy(&it.name, false);
                }
                if it.mute {
                    it.doom = Some((it.cut_until + self.random.range(MINUTE, 30 * MINUTE), Doom::LosesRunner));
                }
                true
            }
            (Doom::LosesRunner, life) => {
                if let Life::Running { job, .. } = life {
                    self.lose(job);
                }
                self.set_online(&it.name, false);
                self.idle.remove(id);
                it.life = Life::Hung;
                true
            }
            (Doom::LosesAgent, life) => {
                self.count("agents lost");
                (it.mute, it.heartbeat) = (true, u64::MAX);
                // Long after control has missed it, GitHub misses its runner too, for a moment.
                if self.random.chance(60) {
                    let at = now + self.random.range(10 * MINUTE, 14 * MINUTE);
                    it.doom = Some((at, Doom::CutOff(self.random.range(2 * MINUTE, 8 * MINUTE))));
                } else if !matches!(life, Life::Running { .. }) {
                    // Without a job nothing keeps it: its machine ends with its agent's unit, at the latest by its lifetime.
                    it.doom = Some((now + 30 * MINUTE, Doom::LosesRunner));
                }
                true
            }
            (Doom::Fails, Life::Booting | Life::Claiming { .. } | Life::StandingBy { .. }) => {
                self.end(id, it, Kind::Failed, Reason::InstallFailed, None);
                false
            }
            (Doom::Noticed, Life::Listening { claim, .. }) => {
                self.count("runners told to leave");
                it.life = self.ask_to_retire(id, it, claim, Reason::Rebalance).0;
                true
            }
            (Doom::Forgotten, _) => {
                self.forget_item(id, it);
                true
            }
            (Doom::Unseen(lasts), _) => {
                self.lose_sight(it, lasts);
                true
            }
            (Doom::Interrupted | Doom::Fails | Doom::Noticed, _) => true,
        }
    }

    /// GitHub gives the job of a lost runner up after 10 to 15 minutes.
    fn lose(&mut self, job: u64) {
        let at = self.now() + self.random.range(10 * MINUTE, 15 * MINUTE);
        self.lost.push(at, job);
    }
}
