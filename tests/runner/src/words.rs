//! The lines that the real listener prints, word by word: whoever supervises it reads them.
//!
//! Source: actions/runner 2.336.0, `Runner.cs`, `MessageListener.cs`, `JobDispatcher.cs`.

use std::io::Write;

use jiff::Timestamp;

use crate::{VERSION, job::JobResult};

/// stderr, when the server does not know the runner any more.
pub const GONE: &str = "The runner no longer exists on the server. Cleaning up local configuration.";
/// stderr, when another session of the same runner is open.
pub const CONFLICT: &str = "A session for this runner already exists.";
/// stderr, for `run` without settings.
pub const NOT_CONFIGURED: &str = "Runner is not configured.";

/// .NET's `u` format: `2026-11-20 14:00:00Z`.
#[must_use]
pub fn stamp(now: Timestamp) -> String {
    now.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}

/// Printed between two empty lines.
#[must_use]
pub fn connected() -> String {
    "√ Connected to GitHub".to_owned()
}

/// The first line after the connection.
#[must_use]
pub fn version() -> String {
    format!("Current runner version: '{VERSION}'")
}

/// From here on a job can come.
#[must_use]
pub fn listening(now: Timestamp) -> String {
    format!("{}: Listening for Jobs", stamp(now))
}

/// A job began. The name is printed as it came: it can hold any text, line breaks included.
#[must_use]
pub fn running(now: Timestamp, name: &str) -> String {
    format!("{}: Running job: {name}", stamp(now))
}

/// A job ended.
#[must_use]
pub fn completed(now: Timestamp, name: &str, result: JobResult) -> String {
    format!("{}: Job {name} completed with result: {}", stamp(now), result.word())
}

/// The server could not be reached; told once per outage, on stderr.
#[must_use]
pub fn connect_error(now: Timestamp, why: &str) -> String {
    format!("{}: Runner connect error: {why}. Retrying until reconnected.", stamp(now))
}

/// The outage is over.
#[must_use]
pub fn reconnected(now: Timestamp) -> String {
    format!("{}: Runner reconnected.", stamp(now))
}

/// The server takes no session of this version.
#[must_use]
pub fn version_refused() -> String {
    format!("An error occurred: Runner version v{VERSION} is deprecated and cannot receive messages.")
}

/// One line to stdout, in one write. A reader that went away does not matter to a runner.
pub fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    drop(out.write_all(format!("{line}\n").as_bytes()).and_then(|()| out.flush()));
}

/// One line to stderr.
pub fn complain(line: &str) {
    drop(std::io::stderr().lock().write_all(format!("{line}\n").as_bytes()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_read_as_the_real_ones() {
        let now: Timestamp = "2026-11-20T14:00:05.9Z".parse().unwrap();
        assert_eq!(listening(now), "2026-11-20 14:00:05Z: Listening for Jobs");
        assert_eq!(running(now, "build (x86, 1)"), "2026-11-20 14:00:05Z: Running job: build (x86, 1)");
        assert_eq!(
            completed(now, "a", JobResult::Canceled),
            "2026-11-20 14:00:05Z: Job a completed with result: Canceled"
        );
        assert_eq!(version(), "Current runner version: '2.336.0'");
        assert_eq!(reconnected(now), "2026-11-20 14:00:05Z: Runner reconnected.");
    }
}
