//! What follows from the runner's exit. The listener's exit codes (actions/runner `Constants.cs`, `ReturnCode`):
//! 0 done, 1 terminated error, 2 retryable error, 3 updating, 4 updating an ephemeral runner, 5 session conflict,
//! 6 configuration refreshed, 7 version too old.

use dayfly_contract::{Kind, Phase, Reason};

use super::{Exit, Facts, Limits, Verdict};

/// What to do after the runner's process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Start it again after a pause.
    Again,
    /// Start it again once its new version is in place.
    AfterUpdate,
    /// End the instance.
    End(Verdict),
}

/// Decides by how the process ended and what is known of its job.
pub(super) fn after(exit: Exit, facts: &Facts) -> Next {
    if let Some(job) = facts.job.as_ref().filter(|job| facts.is_ephemeral() || job.result.is_none()) {
        // An ephemeral runner is for one job: whatever its exit code, it is not started again. A reusable one that
        // lost its job is not to be trusted with the next.
        return Next::End(match (&job.result, exit) {
            (Some(_), _) | (None, Exit::Code(0)) => Verdict::finished(Reason::JobDone),
            (None, _) => Verdict::failed(Reason::RunnerFailed, format!("{} during a job", told(exit))),
        });
    }
    match exit {
        // One that never listened was of no use, and the next one would not be either.
        Exit::Code(0) | Exit::Unknown if !facts.phases.contains_key(&Phase::Listening) => {
            Next::End(Verdict::failed(Reason::RunnerFailed, format!("{} before it listened", told(exit))))
        }
        Exit::Code(0) => Next::End(Verdict::finished(Reason::RunnerExited)),
        Exit::Unknown => {
            Next::End(Verdict { kind: Kind::Finished, reason: Reason::RunnerExited, detail: Some(told(exit)) })
        }
        Exit::Code(7) => Next::End(Verdict::failed(Reason::VersionRefused, told(exit))),
        Exit::Code(2 | 3 | 4 | 6) if facts.starts >= Limits::STARTS => {
            Next::End(Verdict::failed(Reason::RunnerFailed, format!("{} after {} starts", told(exit), facts.starts)))
        }
        Exit::Code(2 | 6) => Next::Again,
        Exit::Code(3 | 4) => Next::AfterUpdate,
        Exit::Code(_) | Exit::Signal(_) => Next::End(Verdict::failed(Reason::RunnerFailed, told(exit))),
    }
}

fn told(exit: Exit) -> String {
    match exit {
        Exit::Code(1) => "the runner exited with code 1 (it can't go on)".to_owned(),
        Exit::Code(5) => "the runner exited with code 5 (another session of it is open at GitHub)".to_owned(),
        Exit::Code(7) => "the runner exited with code 7 (its version is too old for GitHub)".to_owned(),
        Exit::Code(code) => format!("the runner exited with code {code}"),
        Exit::Signal(signal) => format!("the runner was ended by signal {signal}"),
        Exit::Unknown => "the runner exited while the agent was restarted; its exit code is unknown".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use dayfly_contract::Job;

    use super::*;
    use crate::core::Claimed;

    #[expect(clippy::option_option, reason = "no job, a job without a result, a job with one")]
    fn facts(starts: u32, job: Option<Option<&str>>) -> Facts {
        Facts {
            starts,
            phases: [(Phase::Listening, crate::clock::Uptime(9))].into(),
            job: job.map(|result| Job {
                name: "build".to_owned(),
                result: result.map(str::to_owned),
                ..Job::default()
            }),
            ..Facts::default()
        }
    }

    /// Each row: exit, job (none, without result, with one), what follows.
    #[test]
    fn each_exit_has_its_consequence() {
        use Exit::{Code, Signal, Unknown};
        use Kind::{Failed, Finished};
        use Reason::{JobDone, RunnerExited, RunnerFailed, VersionRefused};
        let rows: [(Exit, Option<Option<&str>>, Kind, Reason); 13] = [
            (Code(0), Some(Some("Succeeded")), Finished, JobDone),
            (Code(0), Some(None), Finished, JobDone),
            (Code(1), Some(Some("Failed")), Finished, JobDone),
            (Code(2), Some(Some("Canceled")), Finished, JobDone),
            (Signal(9), Some(None), Failed, RunnerFailed),
            (Code(2), Some(None), Failed, RunnerFailed),
            (Unknown, Some(None), Failed, RunnerFailed),
            (Unknown, None, Finished, RunnerExited),
            (Code(0), None, Finished, RunnerExited),
            (Code(1), None, Failed, RunnerFailed),
            (Code(5), None, Failed, RunnerFailed),
            (Code(7), None, Failed, VersionRefused),
            (Signal(11), None, Failed, RunnerFailed),
        ];
        for (exit, job, kind, reason) in rows {
            let Next::End(verdict) = after(exit, &facts(1, job)) else { panic!("{exit:?} {job:?} goes on") };
            assert_eq!((verdict.kind, verdict.reason), (kind, reason), "{exit:?} {job:?}");
        }
        assert_eq!(after(Code(2), &facts(1, None)), Next::Again);
        assert_eq!(after(Code(6), &facts(5, None)), Next::Again);
        assert_eq!(after(Code(3), &facts(1, None)), Next::AfterUpdate);
        assert_eq!(after(Code(4), &facts(1, None)), Next::AfterUpdate);
    }

    #[test]
    fn a_runner_that_never_listened_has_failed() {
        for exit in [Exit::Code(0), Exit::Unknown] {
            let Next::End(verdict) = after(exit, &Facts::default()) else { panic!("{exit:?} goes on") };
            assert_eq!((verdict.kind, verdict.reason), (Kind::Failed, Reason::RunnerFailed));
        }
    }

    #[test]
    fn a_reusable_runner_is_started_again_between_jobs_only() {
        let claimed = Claimed { ephemeral: false, ..Claimed::default() };
        let reusable = |job| Facts { claimed: Some(claimed.clone()), ..facts(1, job) };
        assert_eq!(after(Exit::Code(2), &reusable(Some(Some("Succeeded")))), Next::Again);
        assert_eq!(after(Exit::Code(4), &reusable(Some(Some("Failed")))), Next::AfterUpdate);
        let Next::End(verdict) = after(Exit::Code(2), &reusable(Some(None))) else { panic!("its job is lost") };
        assert_eq!((verdict.kind, verdict.reason), (Kind::Failed, Reason::RunnerFailed));
        let Next::End(verdict) = after(Exit::Code(0), &reusable(Some(Some("Succeeded")))) else { panic!("goes on") };
        assert_eq!((verdict.kind, verdict.reason), (Kind::Finished, Reason::RunnerExited));
    }

    #[test]
    fn it_is_not_started_again_for_ever() {
        for code in [2, 3, 4, 6] {
            let Next::End(verdict) = after(Exit::Code(code), &facts(Limits::STARTS, None)) else {
                panic!("started again after {code}")
            };
            assert_eq!(verdict.reason, Reason::RunnerFailed);
            assert_eq!(verdict.detail, Some(format!("the runner exited with code {code} after 6 starts")));
        }
    }
}
