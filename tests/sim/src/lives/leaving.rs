//! Runners that ask to go: they have had no job for long, or EC2 wants their instances back. And those that control deletes.

use dayfly_contract::{Kind, Lifecycle, Reason, names};
use dayfly_control::{
    decide::{runners::RunnerState, words::is_working},
    fleets::PoolKind,
};

use super::{Doom, Instance, Life, MINUTE, POLL, RETIRE, SECOND};
use crate::{Model, claim::Claim};

/// How long lifecycle may be at a message.
const LONGEST_INVOCATION: u64 = MINUTE / 2;
/// So long it may have been at one when another invocation wrote down that the runner has a job.
const MEANWHILE: u64 = 5 * SECOND;

impl Model {
    /// EC2 may want `it`, which begins to listen, back soon; and GitHub gives it no job yet.
    pub(super) fn is_noticed(&mut self, it: &mut Instance) {
        let now = self.now();
        if self.setting.hesitates > 0 {
            it.ready_at = now + self.random.below(self.setting.hesitates);
        }
        if it.doom.is_none() && self.has_faults() && self.random.chance(self.setting.faults.notices) {
            let within = self.setting.hesitates.max(5 * MINUTE / 2);
            it.doom = Some((now + self.random.below(within), Doom::Noticed));
        }
    }

    /// It asks control to delete it at GitHub.
    pub(super) fn ask_to_retire(&mut self, id: &str, it: &mut Instance, claim: Claim, reason: Reason) -> (Life, u64) {
        let now = self.now();
        it.asked_at = Some(now);
        self.note(|| format!("{id} asks to retire: {reason:?}"));
        let message = Lifecycle { reason: Some(reason), ..Lifecycle::new(Kind::Retire, id, &it.fleet) };
        self.send(it, message, Some(&claim));
        (Life::Retiring { until: now + RETIRE, reason, claim }, POLL)
    }

    /// Control has not deleted it: it decides alone. One that is idle in a pool of such listens on, as control may want.
    pub(super) fn unanswered(
        &mut self,
        id: &str,
        it: &mut Instance,
        reason: Reason,
        claim: Claim,
    ) -> Option<(Life, u64)> {
        if reason == Reason::Idle && self.is_kept(&it.fleet) {
            self.count("idle runners kept");
            self.say(id, it, Kind::Listening, &claim);
            return Some((Life::Listening { since: self.now(), claim }, 5 * SECOND));
        }
        self.end(id, it, Kind::Finished, reason, Some(&claim));
        None
    }

    fn is_kept(&self, fleet: &str) -> bool {
        let pool = self.setting.fleets.get(fleet).and_then(|fleet| fleet.pool.as_ref());
        pool.is_some_and(|pool| pool.kind == PoolKind::Idle)
    }

    /// Takes in the runners that control has deleted at GitHub: their instances see that when they look. One that is known to
    /// have a job is not deleted, nor one that asked to retire so long ago that it may have one, nor one that did not ask:
    /// GitHub may do it all the same.
    pub(crate) fn take_deletions(&mut self) -> Result<(), String> {
        let now = self.now();
        let deleted: Vec<String> = self.port.0.deleted.borrow_mut().drain(..).collect();
        for name in deleted {
            let Some((id, it)) = names::instance_of_runner(&name).and_then(|id| self.instances.get_key_value(id))
            else {
                continue;
            };
            if let Life::Retiring { reason: Reason::Idle, .. } = it.life
                && let Some(short) = self.is_too_small(&it.fleet, id)
            {
                return Err(self.wrong(&format!("{name} is retired, and its pool {short}")));
            }
            let Life::Running { job, .. } = it.life else { continue };
            self.count("busy runners deleted");
            let known = self.port.0.ledger.borrow().runner(&it.fleet, id);
            if known.as_ref().is_some_and(|it| it.state == RunnerState::Busy) {
                return Err(self.wrong(&format!("control has deleted {name}, which has job {job} by its ledger")));
            }
            let works =
                |entry: &dayfly_control::ledger::history::Entry| entry.what == "working" && entry.at + MEANWHILE <= now;
            if known.is_some_and(|it| is_working(&it) && it.history.entries().iter().any(works)) {
                return Err(self.wrong(&format!("control has deleted {name}, which has job {job} by its agent's word")));
            }
            let asked_ms = it.asked_at.map_or(0, |at| now - at);
            if asked_ms > RETIRE + LONGEST_INVOCATION {
                let after = asked_ms / SECOND;
                return Err(
                    self.wrong(&format!("{name} is retired {after} s after it asked, and has job {job} by now"))
                );
            }
        }
        Ok(())
    }

    /// What an idle pool has beside `leaving`, where that is less than it is to have though none of its runners dies, and no
    /// job is held back.
    fn is_too_small(&self, fleet: &str, leaving: &str) -> Option<String> {
        let pool = self.setting.fleets.get(fleet)?.pool.as_ref().filter(|pool| pool.kind == PoolKind::Idle)?;
        let faults = &self.setting.faults;
        if faults.boots + faults.dooms + faults.notices + faults.forgotten > 0 {
            return None;
        }
        let size = pool.size(self.now());
        let ledger = self.port.0.ledger.borrow();
        let counts = |state| matches!(state, RunnerState::Launched | RunnerState::Registered | RunnerState::Busy);
        let reserved: u64 = ledger.reservations(fleet).iter().map(|it| u64::from(it.count)).sum();
        let others = ledger.runners(fleet).into_iter().filter(|it| counts(it.state) && it.instance != leaving);
        let has = reserved + others.count() as u64;
        (has + (ledger.queued(fleet).len() as u64) < size).then(|| format!("of {size} has {has}"))
    }
}
