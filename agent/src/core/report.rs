//! The one message that tells control how an instance ended.

use dayfly_contract::{Job, Lifecycle, Timeline};

use super::{Facts, State};

/// Who tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Teller {
    /// The instance.
    pub instance_id: String,
    /// Its fleet.
    pub fleet: String,
}

/// The message for a state with a verdict; none before. `kernel_start` turns uptimes into times of day: milliseconds
/// since 1970.
#[must_use]
pub fn lifecycle(teller: &Teller, state: &State, kernel_start: u64) -> Option<Lifecycle> {
    let Facts { phases, claimed, job, exit_code, verdict, .. } = state.facts.clone();
    let verdict = verdict?;
    let mut timeline = Timeline::default();
    for (phase, uptime) in phases {
        timeline.set(phase, kernel_start.saturating_add(uptime.0));
    }
    let mut message = Lifecycle::new(verdict.kind, &teller.instance_id, &teller.fleet);
    message.reason = Some(verdict.reason);
    message.detail = verdict.detail.as_deref().map(sendable);
    message.job = job.map(|job| Job { name: sendable(&job.name), ..job });
    message.exit_code = exit_code;
    message.timeline = timeline;
    if let Some(claimed) = claimed {
        message.reservation = Some(claimed.reservation);
        message.runner_id = Some(claimed.runner_id);
        message.runner_name = Some(claimed.runner_name);
    }
    Some(message)
}

/// `text` without the characters that SQS refuses a whole message for: a job's name is free text from a workflow file.
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html>
fn sendable(text: &str) -> String {
    let allowed = |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..);
    text.chars().map(|c| if allowed(c) { c } else { char::REPLACEMENT_CHARACTER }).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use dayfly_contract::Reason;

    use super::*;
    use crate::clock::Uptime;
    use crate::core::{Limits, Verdict};

    #[test]
    fn what_sqs_refuses_is_replaced() {
        let teller = Teller { instance_id: "i-0123456789abcdef0".to_owned(), fleet: "x".to_owned() };
        let limits = Limits { claim: Duration::from_mins(2), stop: Duration::from_secs(30) };
        let mut state = State::new(limits, Uptime(0));
        let name = "a\u{0}\u{1b}\u{fffe}\u{ffff}\tb\n\rc é\u{fffd}\u{10000}\u{10ffff}";
        state.facts.job = Some(Job { name: name.to_owned(), result: Some("Failed".to_owned()) });
        state.facts.verdict = Some(Verdict::failed(Reason::RunnerFailed, "why\u{ffff}"));
        let message = lifecycle(&teller, &state, 0).unwrap();
        let job = message.job.unwrap();
        assert_eq!(job.name, "a\u{fffd}\u{fffd}\u{fffd}\u{fffd}\tb\n\rc é\u{fffd}\u{10000}\u{10ffff}");
        assert_eq!(job.result.as_deref(), Some("Failed"));
        assert_eq!(message.detail.as_deref(), Some("why\u{fffd}"));
    }
}
