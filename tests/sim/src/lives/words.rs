//! What agents tell: messages in the queue of lifecycle.

use dayfly_contract::{Job as ContractJob, Kind, Lifecycle, Phase, Reason};

use super::{Instance, Life};
use crate::{Model, claim::Claim, faults::is_within, functions::Message};

impl Model {
    /// It says that it lives.
    pub(super) fn beat(&mut self, id: &str, it: &Instance) {
        match &it.life {
            Life::Running { job, claim, .. } => self.say(id, it, Kind::Heartbeat, &claim.with(*job)),
            Life::Listening { claim, .. } | Life::Retiring { claim, .. } => {
                self.say(id, it, Kind::Heartbeat, &Claim { last: None, ..claim.clone() });
            }
            Life::StandingBy { .. } => self.tell_of_standby(id, it, Kind::Heartbeat),
            _ => {}
        }
    }

    pub(super) fn tell_of_standby(&mut self, id: &str, it: &Instance, kind: Kind) {
        self.send(it, Lifecycle::new(kind, id, &it.fleet), None);
    }

    pub(super) fn tell_interrupted(&mut self, id: &str, it: &Instance, claim: &Claim) {
        let message = Lifecycle::new(Kind::Interrupted, id, &it.fleet);
        self.send(it, Lifecycle { reason: Some(Reason::SpotInterruption), ..message }, Some(claim));
    }

    /// An instance tells something on its way.
    pub(super) fn say(&mut self, id: &str, it: &Instance, kind: Kind, claim: &Claim) {
        let mut message = Lifecycle::new(kind, id, &it.fleet);
        if kind == Kind::JobCompleted {
            message.timeline.set(Phase::JobEnded, self.now());
        }
        self.send(it, message, Some(claim));
    }

    /// Code on the instance tells, with its role, of another that this has ended.
    pub(super) fn forge(&mut self, id: &str) {
        let others: Vec<(&String, &Instance)> = self.instances.iter().filter(|(other, _)| *other != id).collect();
        if others.is_empty() {
            return;
        }
        let (other, it) = others[self.random.pick(others.len())];
        let message = Lifecycle::new(Kind::Finished, other, &it.fleet);
        let body = serde_json::to_string(&message).unwrap_or_default();
        self.count("messages forged");
        self.note(|| format!("SQS: {id} tells that {} has ended", message.instance_id));
        let message = Message { body, sender: format!("AROAX:{id}"), sent_at: self.now(), received: 0 };
        self.enqueue(false, self.now(), &message);
    }

    /// A message, perhaps twice, or none where the agent or the queue is not there.
    pub(super) fn send(&mut self, of: &Instance, mut it: Lifecycle, claim: Option<&Claim>) {
        let now = self.now();
        if of.mute || of.cut_until > now {
            return;
        }
        if is_within(self.setting.faults.queue_down, self.since()) {
            self.count("messages lost");
            self.note(|| format!("SQS: a message of {} is lost: {:?}", it.instance_id, it.kind));
            return;
        }
        it.reservation = claim.map(|claim| claim.reservation.clone());
        it.runner_id = claim.filter(|claim| claim.reusable.is_none()).map(|claim| claim.id);
        it.job = claim.and_then(|claim| claim.last).map(|job| ContractJob {
            name: format!("job {}", job / 10_000),
            result: Some("Succeeded".into()),
            ..ContractJob::default()
        });
        let (body, sender) = (serde_json::to_string(&it).unwrap_or_default(), format!("AROAX:{}", it.instance_id));
        let message = Message { body, sender, sent_at: now, received: 0 };
        for _ in 0..if self.random.chance(20) { 2 } else { 1 } {
            let at = now + self.random.below(5000);
            self.enqueue(false, at, &message);
        }
    }
}
