//! How an invocation ended, and what its caller and its log are told.

use std::{os::unix::process::ExitStatusExt, process::ExitStatus, time::Duration};

use nix::sys::signal::Signal;
use serde_json::json;

/// An invocation, once over.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) ending: Ending,
    /// Whether it was its process's first.
    pub(crate) cold: bool,
    /// Time from the process's start to its first `next`, where this invocation started it and it got
    /// that far.
    pub(crate) init: Option<Duration>,
    pub(crate) duration: Duration,
    /// Most memory of the process so far, in bytes.
    pub(crate) max_memory: u64,
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The function answered.
    Success(Vec<u8>),
    /// The function answered with an error and lives on.
    Failure(Vec<u8>),
    /// It said that it can't start.
    InitFailed(Vec<u8>),
    /// Its process could not be started at all, and why.
    NotStarted(String),
    /// Its process ended before it answered.
    Exited(ExitStatus),
    /// It did not answer in time and was killed.
    TimedOut,
    /// It did not ask for its first event in time and was killed.
    InitTimedOut,
    /// It was killed because a test wanted it.
    Killed,
}

impl Ending {
    /// Whether the process may serve the next invocation.
    pub(crate) fn reusable(&self) -> bool {
        matches!(self, Self::Success(_) | Self::Failure(_))
    }

    /// What the caller gets: the answer, or else the error document that Lambda would make.
    pub(crate) fn payload(&self, request: &str, timeout: Duration) -> Result<Vec<u8>, Vec<u8>> {
        let document = |kind: &str, text: String| {
            let text = format!("RequestId: {request} Error: {text}");
            Err(json!({"errorType": kind, "errorMessage": text}).to_string().into_bytes())
        };
        match self {
            Self::Success(payload) => Ok(payload.clone()),
            Self::Failure(payload) | Self::InitFailed(payload) => Err(payload.clone()),
            Self::NotStarted(why) => document("Runtime.InvalidEntrypoint", why.clone()),
            Self::Exited(status) => document("Runtime.ExitError", exit_text(*status)),
            Self::TimedOut => document("Sandbox.Timedout", timeout_text(timeout)),
            Self::InitTimedOut => document("Sandbox.Timedout", "Initialization timed out".to_owned()),
            Self::Killed => document("Runtime.ExitError", exit_text(ExitStatus::from_raw(9))),
        }
    }

    /// What the log says beside START, END and REPORT.
    pub(crate) fn log_line(&self, request: &str, timeout: Duration) -> Option<String> {
        let text = match self {
            Self::Success(_) | Self::Failure(_) | Self::InitFailed(_) => return None,
            Self::NotStarted(why) => why.clone(),
            Self::Exited(status) => format!("Error: {}", exit_text(*status)),
            Self::TimedOut => timeout_text(timeout),
            Self::InitTimedOut => "Initialization timed out".to_owned(),
            Self::Killed => "Killed in the middle of its work, as the test asked".to_owned(),
        };
        Some(format!("{request} {text}"))
    }

    /// One word for logs; unlike `Debug` it shows no payload.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Success(_) => "success",
            Self::Failure(_) => "error",
            Self::InitFailed(_) => "init error",
            Self::NotStarted(_) => "not started",
            Self::Exited(_) => "exited",
            Self::TimedOut => "timeout",
            Self::InitTimedOut => "init timeout",
            Self::Killed => "killed",
        }
    }

    /// REPORT's `Status`.
    pub(crate) fn report_status(&self) -> Option<&'static str> {
        match self {
            Self::Success(_) => None,
            Self::TimedOut | Self::InitTimedOut => Some("timeout"),
            Self::Failure(_) | Self::InitFailed(_) | Self::NotStarted(_) | Self::Exited(_) | Self::Killed => {
                Some("error")
            }
        }
    }
}

fn timeout_text(timeout: Duration) -> String {
    format!("Task timed out after {:.2} seconds", timeout.as_secs_f64())
}

fn exit_text(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(0), _) => "Runtime exited without providing a reason".to_owned(),
        (Some(code), _) => format!("Runtime exited with error: exit status {code}"),
        (None, Some(9)) => "Runtime exited with error: signal: killed".to_owned(),
        (None, signal) => {
            let name = signal.and_then(|signal| Signal::try_from(signal).ok()).map_or("unknown", Signal::as_str);
            format!("Runtime exited with error: signal: {name}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_are_told_in_lambdas_words() {
        let told =
            |ending: Ending| String::from_utf8(ending.payload("r", Duration::from_secs(3)).unwrap_err()).unwrap();
        assert!(told(Ending::TimedOut).contains("RequestId: r Error: Task timed out after 3.00 seconds"));
        assert!(told(Ending::Exited(ExitStatus::from_raw(1 << 8))).contains("exit status 1"));
        assert!(told(Ending::Exited(ExitStatus::from_raw(0))).contains("without providing a reason"));
        assert!(told(Ending::Exited(ExitStatus::from_raw(11))).contains("signal: SIGSEGV"));
        assert!(told(Ending::Killed).contains("signal: killed"));
        assert_eq!(told(Ending::Failure(b"own words".to_vec())), "own words");
        assert_eq!(Ending::Success(b"x".to_vec()).payload("r", Duration::ZERO), Ok(b"x".to_vec()));
    }

    #[test]
    fn only_a_process_that_answered_goes_on() {
        for (ending, goes_on) in [
            (Ending::Success(Vec::new()), true),
            (Ending::Failure(Vec::new()), true),
            (Ending::InitFailed(Vec::new()), false),
            (Ending::NotStarted(String::new()), false),
            (Ending::Exited(ExitStatus::from_raw(0)), false),
            (Ending::TimedOut, false),
            (Ending::InitTimedOut, false),
            (Ending::Killed, false),
        ] {
            assert_eq!(ending.reusable(), goes_on, "{ending:?}");
        }
    }
}
