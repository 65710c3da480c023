//! What the doctor finds.

use std::fmt;

use serde_json::{Value, json};

/// How well it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// As it should be.
    Ok,
    /// It could not be looked at.
    Unknown,
    /// It works, and will not for long or not for all.
    Warn,
    /// Jobs will not run, or something is lost.
    Bad,
}

impl Level {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Unknown => "unknown",
            Self::Warn => "warn",
            Self::Bad => "bad",
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// What was looked at.
    pub(crate) check: String,
    pub(crate) level: Level,
    /// What was found, in a line.
    pub(crate) what: String,
    /// What to do, where it is not well.
    pub(crate) todo: String,
}

impl Finding {
    fn new(level: Level, check: &str, what: impl Into<String>, todo: impl Into<String>) -> Self {
        Self { check: check.to_owned(), level, what: what.into(), todo: todo.into() }
    }

    pub(crate) fn ok(check: &str, what: impl Into<String>) -> Self {
        Self::new(Level::Ok, check, what, "")
    }

    pub(crate) fn unknown(check: &str, what: impl Into<String>, todo: impl Into<String>) -> Self {
        Self::new(Level::Unknown, check, what, todo)
    }

    pub(crate) fn warn(check: &str, what: impl Into<String>, todo: impl Into<String>) -> Self {
        Self::new(Level::Warn, check, what, todo)
    }

    pub(crate) fn bad(check: &str, what: impl Into<String>, todo: impl Into<String>) -> Self {
        Self::new(Level::Bad, check, what, todo)
    }

    pub(crate) fn json(&self) -> Value {
        json!({"check": self.check, "level": self.level.name(), "what": self.what, "todo": self.todo})
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { check, level, what, todo } = self;
        write!(f, "{:<8} {check}: {}", level.name(), one_line(what))?;
        if todo.is_empty() { Ok(()) } else { write!(f, "\n         → {}", one_line(todo)) }
    }
}

/// An error's text may have lines.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::{Finding, Level};

    #[test]
    fn a_finding_is_one_line_and_what_to_do() {
        assert_eq!(Finding::ok("clock", "well").to_string(), "ok       clock: well");
        let bad = Finding::bad("queue", "two\nlines", "look").to_string();
        assert_eq!(bad, "bad      queue: two lines\n         → look");
        assert_eq!(Finding::warn("a", "b", "c").json()["level"], "warn");
        assert!(Level::Ok < Level::Unknown && Level::Unknown < Level::Warn && Level::Warn < Level::Bad);
    }
}
