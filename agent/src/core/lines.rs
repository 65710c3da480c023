//! What the runner's output tells. The lines are those of `JobDispatcher` and `Runner` in actions/runner 2.336.
//!
//! A job's display name is free text from a workflow file. It may look like any of these lines, so each is matched
//! from the timestamp at its start, and a result is the last word of a line.

use super::Saying;

/// What `line` tells, if it tells anything.
#[must_use]
pub fn read(line: &str) -> Option<Saying> {
    let text = after_timestamp(line.trim_end_matches('\r'))?;
    if text == "Listening for Jobs" {
        return Some(Saying::Listening);
    }
    if let Some(name) = text.strip_prefix("Running job: ") {
        return Some(Saying::JobStarted { name: name.to_owned() });
    }
    let (_name, result) = text.strip_prefix("Job ")?.rsplit_once(" completed with result: ")?;
    let is_word = !result.is_empty() && result.bytes().all(|byte| byte.is_ascii_alphabetic());
    is_word.then(|| Saying::JobEnded { result: result.to_owned() })
}

/// What follows `YYYY-MM-DD HH:MM:SSZ: `.
fn after_timestamp(line: &str) -> Option<&str> {
    const SHAPE: &[u8] = b"dddd-dd-dd dd:dd:ddZ: ";
    let head = line.as_bytes().get(..SHAPE.len())?;
    let fits = head.iter().zip(SHAPE).all(|(byte, shape)| match shape {
        b'd' => byte.is_ascii_digit(),
        other => byte == other,
    });
    // All bytes before the cut are ASCII, so it falls between characters.
    if fits { line.get(SHAPE.len()..) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: &str = "2026-11-20 14:00:05Z: ";

    #[expect(clippy::unnecessary_wraps, reason = "as `read` answers it")]
    fn started(name: &str) -> Option<Saying> {
        Some(Saying::JobStarted { name: name.to_owned() })
    }

    #[expect(clippy::unnecessary_wraps, reason = "as `read` answers it")]
    fn ended(result: &str) -> Option<Saying> {
        Some(Saying::JobEnded { result: result.to_owned() })
    }

    #[test]
    fn the_runners_lines_are_read() {
        assert_eq!(read("2026-11-20 14:00:00Z: Listening for Jobs"), Some(Saying::Listening));
        assert_eq!(read(&format!("{AT}Running job: build (1.95, x86_64)")), started("build (1.95, x86_64)"));
        assert_eq!(read(&format!("{AT}Job build completed with result: Succeeded\r")), ended("Succeeded"));
        assert_eq!(read(&format!("{AT}Job a b completed with result: Canceled")), ended("Canceled"));
    }

    #[test]
    fn other_lines_tell_nothing() {
        for line in [
            "",
            "√ Connected to GitHub",
            "Current runner version: '2.336.0'",
            "2026-11-20 14:00:00Z: Runner reconnected.",
            "Running job: x",
            "Job x completed with result: Succeeded",
            "2026-11-20 14:00:00: Listening for Jobs",
            "  2026-11-20 14:00:00Z: Listening for Jobs",
            "2026-11-20 14:00:00Z: Listening for Jobs and more",
            "2026-11-20 14:00:0éZ: Listening for Jobs",
            "2026-11-20 14:00:05Z: Job x completed with result: ",
            "2026-11-20 14:00:05Z: Job x completed with result: Succeeded, maybe",
        ] {
            assert_eq!(read(line), None, "{line}");
        }
    }

    #[test]
    fn names_may_look_like_lines() {
        let name = "x completed with result: Succeeded";
        assert_eq!(read(&format!("{AT}Running job: {name}")), started(name));
        assert_eq!(read(&format!("{AT}Job {name} completed with result: Failed")), ended("Failed"));
        assert_eq!(read(&format!("{AT}Running job: Running job: y")), started("Running job: y"));
        assert_eq!(
            read(&format!("{AT}Running job: {AT}Listening for Jobs")),
            started(&format!("{AT}Listening for Jobs"))
        );
        assert_eq!(read(&format!("{AT}Job Listening for Jobs completed with result: Failed")), ended("Failed"));
        assert_eq!(read(&format!("{AT}Running job: ")), started(""));
    }
}
