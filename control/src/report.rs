//! Errors and numbers for a person's eyes.

use std::{error::Error, fmt};

/// Any error, as a source.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// A call that failed. Whether the same again may do is told by the error around it.
#[derive(Debug, thiserror::Error)]
#[error("{doing}")]
pub struct Failure {
    /// What was being done.
    doing: String,
    /// Why it failed.
    #[source]
    source: BoxError,
}

impl Failure {
    /// A failure while `doing` something.
    pub fn new(doing: impl Into<String>, source: impl Into<BoxError>) -> Self {
        Self { doing: doing.into(), source: source.into() }
    }
}

/// An error and all its sources in one line: what was being done, then why, then why that. A source that only repeats
/// what was said is left out.
#[derive(Debug)]
pub struct Chain<'a>(pub &'a (dyn Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut said = self.0.to_string();
        write!(f, "{said}")?;
        let mut next = self.0.source();
        while let Some(error) = next {
            let text = error.to_string();
            if !said.contains(&text) {
                write!(f, ": {text}")?;
                said = text;
            }
            next = error.source();
        }
        Ok(())
    }
}

/// So many of what is called that: `1 job`, `2 jobs`.
pub fn counted(count: impl fmt::Display, noun: &str) -> String {
    let count = count.to_string();
    let s = if count == "1" { "" } else { "s" };
    format!("{count} {noun}{s}")
}

#[cfg(test)]
mod tests {
    use super::{BoxError, Chain, counted};

    #[test]
    fn one_is_no_plural() {
        assert_eq!([0, 1, 2, 11].map(|n| counted(n, "job")), ["0 jobs", "1 job", "2 jobs", "11 jobs"]);
    }

    #[derive(Debug, thiserror::Error)]
    #[error("{says}")]
    struct Layer {
        says: &'static str,
        source: Option<BoxError>,
    }

    #[test]
    fn a_chain_says_what_and_why_once() {
        let why = Layer { says: "connection refused", source: None };
        let same = Layer { says: "connection refused", source: Some(why.into()) };
        let what = Layer { says: "reading the fleets", source: Some(same.into()) };
        assert_eq!(Chain(&what).to_string(), "reading the fleets: connection refused");
    }
}
