//! Mistakes in a document or an environment, told all at once.

use std::fmt;

/// One mistake: where it is, what stands there, and what may stand there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Path of the field (`runner.user`) or name of the environment variable.
    pub path: String,
    /// What was found, shortened; `nothing` where the field is missing.
    pub found: String,
    /// What is allowed there, as a phrase that follows "expected".
    pub allowed: String,
}

impl Problem {
    /// A mistake at `path`, where `found` stands and `allowed` is expected.
    pub fn new(path: impl Into<String>, found: impl Into<String>, allowed: impl Into<String>) -> Self {
        Self { path: path.into(), found: shorten(found.into()), allowed: allowed.into() }
    }

    /// A field that must be there and is not.
    pub fn missing(path: impl Into<String>, allowed: impl Into<String>) -> Self {
        Self::new(path, "nothing", allowed)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: found {}, expected {}", self.path, self.found, self.allowed)
    }
}

/// A value quoted from bad input may be of any length; a log line may not.
fn shorten(found: String) -> String {
    const LONGEST: usize = 120;
    if found.chars().count() <= LONGEST {
        return found;
    }
    let head: String = found.chars().take(LONGEST).collect();
    format!("{head}… ({} bytes)", found.len())
}

/// Every mistake found in one document, in reading order. Never empty when returned as an error.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// `Ok(value)` if there are none, else all of them.
    pub fn or<T>(self, value: T) -> Result<T, Self> {
        if self.0.is_empty() { Ok(value) } else { Err(self) }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(Problem::to_string).collect();
        write!(f, "{}", lines.join("; "))
    }
}

impl std::error::Error for Problems {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_names_field_value_and_what_is_allowed() {
        let problem = Problem::new("fleets[0].max", "\"many\"", "a whole number from 1 to 10000");
        assert_eq!(problem.to_string(), "fleets[0].max: found \"many\", expected a whole number from 1 to 10000");
    }

    #[test]
    fn a_long_value_is_shortened() {
        let problem = Problem::new("x", "y".repeat(5000), "less");
        assert!(problem.to_string().len() < 200, "{problem}");
    }
}
