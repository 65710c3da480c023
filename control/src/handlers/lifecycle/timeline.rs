//! One log line for each life, with how long its phases took.

use dayfly_contract::{Kind, Lifecycle, Phase, Timeline};
use tracing::{info, warn};

/// Milliseconds from one phase to another, where both are known and in this order.
fn between(timeline: &Timeline, from: Phase, to: Phase) -> Option<u64> {
    timeline.get(to)?.checked_sub(timeline.get(from)?)
}

/// Logs the life that `it` tells of. `before` is the runner's state in the ledger, `changed` whether this message
/// changed it; a repeated one does not.
pub(super) fn log(it: &Lifecycle, before: Option<&str>, changed: bool) {
    let took = |from, to| between(&it.timeline, from, to);
    let job = it.job.as_ref();
    macro_rules! life {
        ($level:ident, $text:expr) => {
            $level!(
                instance.id = it.instance_id,
                fleet.name = it.fleet,
                runner.id = it.runner_id,
                runner.name = it.runner_name,
                runner.before = before,
                runner.exit_code = it.exit_code,
                life.reason = it.reason.map(|reason| format!("{reason:?}")),
                life.detail = it.detail,
                job.name = job.map(|job| job.name.as_str()),
                job.result = job.and_then(|job| job.result.as_deref()),
                boot_ms = took(Phase::Kernel, Phase::Agent),
                claim_ms = took(Phase::Agent, Phase::Claimed),
                listening_ms = took(Phase::Claimed, Phase::Listening),
                wait_ms = took(Phase::Listening, Phase::JobStarted),
                job_ms = took(Phase::JobStarted, Phase::JobEnded),
                life_ms = took(Phase::Kernel, Phase::End),
                changed,
                "Instance {} {}",
                it.instance_id,
                $text
            )
        };
    }
    if it.kind == Kind::Failed {
        life!(warn, "failed");
    } else {
        life!(info, "finished");
    }
}

#[cfg(test)]
mod tests {
    use super::{Phase, Timeline, between};

    #[test]
    fn durations_are_of_known_phases_in_order() {
        let mut timeline = Timeline::default();
        timeline.set(Phase::Kernel, 1000);
        timeline.set(Phase::Agent, 1400);
        timeline.set(Phase::End, 900);
        assert_eq!(between(&timeline, Phase::Kernel, Phase::Agent), Some(400));
        assert_eq!(between(&timeline, Phase::Agent, Phase::Claimed), None);
        assert_eq!(between(&timeline, Phase::Kernel, Phase::End), None, "a clock that was set back");
    }
}
