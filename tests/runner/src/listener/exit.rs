//! Exit codes of the listener. Source: `Constants.Runner.ReturnCode`.

use super::core::Ending;
use crate::{
    input::{Env, var},
    job::JobResult,
};

/// Done: after its job, stopped, deleted.
pub const SUCCESS: u8 = 0;
/// Terminated by an error that a retry does not mend.
pub const TERMINATED: u8 = 1;
/// Start again in 5 s.
pub const RETRYABLE: u8 = 2;
/// Updating: wait for `update.finished`, start again.
pub const UPDATING: u8 = 3;
/// The same, of a runner for one job.
pub const ONCE_UPDATING: u8 = 4;
/// Another session of this runner is open.
pub const SESSION_CONFLICT: u8 = 5;
/// The configuration was refreshed: start again.
pub const REFRESHED: u8 = 6;
/// This version is too old; only told where it was asked for.
pub const VERSION_DEPRECATED: u8 = 7;

/// The variable that asks for [`VERSION_DEPRECATED`].
const RETURN_VERSION: &str = "ACTIONS_RUNNER_RETURN_VERSION_DEPRECATED_EXIT_CODE";
/// The variable that asks for the job's result as exit code; such a runner runs one job.
const RETURN_RESULT: &str = "ACTIONS_RUNNER_RETURN_JOB_RESULT_FOR_HOSTED";

/// Whether the job's result is to be the exit code.
#[must_use]
pub fn is_hosted(env: &Env) -> bool {
    var(env, RETURN_RESULT).is_some_and(|value| matches!(value.to_lowercase().as_str(), "1" | "true"))
}

/// The code for a refused version.
#[must_use]
pub fn version_refused(env: &Env) -> u8 {
    if var(env, RETURN_VERSION).as_deref() == Some("1") { VERSION_DEPRECATED } else { TERMINATED }
}

/// The code for an ending.
#[must_use]
pub fn code(ending: Ending, once: bool, env: &Env, last: Option<JobResult>) -> u8 {
    match (ending, last) {
        (Ending::JobDone, Some(result)) if is_hosted(env) => result.exit_code(),
        (Ending::Stopped | Ending::JobDone | Ending::Gone | Ending::Revoked, _) => SUCCESS,
        (Ending::Updating, _) => {
            if once {
                ONCE_UPDATING
            } else {
                UPDATING
            }
        }
        (Ending::Refreshed, _) => REFRESHED,
        (Ending::VersionRefused, _) => version_refused(env),
        (Ending::Broken, _) => RETRYABLE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(name: &str) -> Env {
        vec![(name.into(), "1".into())]
    }

    #[test]
    fn codes_are_the_real_ones() {
        let none = Env::new();
        let failed = Some(JobResult::Failed);
        assert_eq!(code(Ending::JobDone, true, &none, failed), 0);
        assert_eq!(code(Ending::JobDone, true, &env(RETURN_RESULT), failed), 102);
        assert_eq!(code(Ending::Stopped, true, &env(RETURN_RESULT), failed), 0);
        assert_eq!(code(Ending::Updating, false, &none, None), 3);
        assert_eq!(code(Ending::Updating, true, &none, None), 4);
        assert_eq!(code(Ending::Refreshed, true, &none, None), 6);
        assert_eq!(code(Ending::VersionRefused, true, &none, None), 1);
        assert_eq!(code(Ending::VersionRefused, true, &env(RETURN_VERSION), None), 7);
        assert_eq!(code(Ending::Broken, true, &none, None), 2);
    }
}
