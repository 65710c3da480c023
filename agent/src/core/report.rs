//! The messages that tell control what becomes of an instance.

use dayfly_contract::{Kind, Lifecycle, Phase};

use super::{Facts, State};

/// Who tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Teller {
    /// The instance.
    pub instance_id: String,
    /// Its fleet.
    pub fleet: String,
}

/// The last message, for a state with a verdict; none before. `log` are the last lines of the runner's output, which
/// explain a failure.
#[must_use]
pub fn last(teller: &Teller, state: &State, log: &[String], kernel_start: u64) -> Option<Lifecycle> {
    let facts = &state.facts;
    let verdict = facts.verdict.as_ref()?;
    let mut message = message(teller, facts, verdict.kind, kernel_start);
    message.reason = Some(verdict.reason);
    message.detail.clone_from(&verdict.detail);
    message.exit_code = facts.exit_code;
    if verdict.kind == Kind::Failed {
        message.phase = facts.phases.keys().copied().rfind(|phase| *phase != Phase::End);
        message.log = log.to_vec();
    }
    Some(message)
}

/// A message on the way: anything but [`Kind::is_last`].
#[must_use]
pub fn word(teller: &Teller, state: &State, kind: Kind, kernel_start: u64) -> Lifecycle {
    let mut message = message(teller, &state.facts, kind, kernel_start);
    if let (Kind::Retire | Kind::Interrupted, Some(leaving)) = (kind, &state.facts.leaving) {
        message.reason = Some(leaving.reason);
        message.detail.clone_from(&leaving.detail);
    }
    message
}

/// What every message tells. `kernel_start` turns uptimes into times of day: milliseconds since 1970.
fn message(teller: &Teller, facts: &Facts, kind: Kind, kernel_start: u64) -> Lifecycle {
    let mut message = Lifecycle::new(kind, &teller.instance_id, &teller.fleet);
    for (phase, uptime) in &facts.phases {
        message.timeline.set(*phase, kernel_start.saturating_add(uptime.0));
    }
    message.job.clone_from(&facts.job);
    if let Some(claimed) = facts.claimed.clone() {
        message.reservation = Some(claimed.reservation);
        message.runner_id = claimed.runner_id;
        message.runner_name = Some(claimed.runner_name);
    }
    message
}

#[cfg(test)]
mod tests {
    use dayfly_contract::Reason;

    use super::*;
    use crate::clock::Uptime;
    use crate::core::tests::limits;
    use crate::core::{Leaving, Verdict};

    fn teller() -> Teller {
        Teller { instance_id: "i-0123456789abcdef0".to_owned(), fleet: "x".to_owned() }
    }

    #[test]
    fn a_failure_tells_its_phase_and_the_runners_last_lines() {
        let mut state = State::new(limits(), Uptime(400));
        state.facts.began(Phase::Claimed, Uptime(900));
        state.facts.began(Phase::End, Uptime(1000));
        state.facts.verdict = Some(Verdict::failed(Reason::InstallFailed, "no space"));
        let message = last(&teller(), &state, &["a".to_owned()], 1_000_000).unwrap();
        assert_eq!((message.phase, message.log.len()), (Some(Phase::Claimed), 1));
        assert_eq!(message.timeline.get(Phase::End), Some(1_001_000));
        state.facts.verdict = Some(Verdict::finished(Reason::JobDone));
        let message = last(&teller(), &state, &["a".to_owned()], 0).unwrap();
        assert_eq!((message.phase, message.log.len()), (None, 0));
    }

    #[test]
    fn a_word_on_the_way_tells_why_where_it_matters() {
        let mut state = State::new(limits(), Uptime(400));
        state.facts.leaving = Some(Leaving::of(Reason::Idle));
        let told = |kind| word(&teller(), &state, kind, 0).reason;
        assert_eq!(told(Kind::Retire), Some(Reason::Idle));
        assert_eq!(told(Kind::Interrupted), Some(Reason::Idle));
        assert_eq!(told(Kind::Heartbeat), None);
        assert_eq!(last(&teller(), &state, &[], 0), None, "nothing has ended");
    }
}
