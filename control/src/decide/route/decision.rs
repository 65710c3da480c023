//! What was decided, in words for people and for programs.

use std::fmt;

use serde_json::{Value, json};

use crate::{
    decide::wishes::Unwished,
    fleets::{Bar, Fleet, OutOfReach, Ties},
};

/// Which fleet takes a job, and why. Its text is one line for a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision<'a> {
    /// The fleet that takes it; `None` where none fits.
    pub fleet: Option<&'a Fleet>,
    /// Every fleet, in document order.
    pub candidates: Vec<Candidate<'a>>,
}

/// A fleet and what is said of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate<'a> {
    /// Its name.
    pub fleet: &'a str,
    /// Whether it takes the job, or why not.
    pub verdict: Verdict,
}

/// What is said of a fleet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It fits best.
    Takes,
    /// It fits, but another's labels are closer.
    LessSpecific {
        /// The fleet that takes the job.
        than: String,
    },
    /// It fits as closely as one that goes before it.
    LowerPriority {
        /// The fleet that takes the job.
        than: String,
    },
    /// It is as good as the one that takes the job.
    Tied {
        /// The fleet that takes the job.
        with: String,
        /// By what that one was picked.
        ties: Ties,
    },
    /// It does not fit.
    Refused(Refusal),
}

/// Why a job does not fit a fleet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The job asks for no label, or only for what its instance should be.
    NoLabels,
    /// By `all`: labels that the fleet has not.
    Missing(Vec<String>),
    /// By `exact`: one of them has labels that the other has not.
    NotTheSame {
        /// What the fleet has not.
        missing: Vec<String>,
        /// What the job has not.
        beyond: Vec<String>,
    },
    /// By `any`.
    NoneInCommon,
    /// Its repository, or whose code it runs.
    Admission {
        /// `document` or `fleet`.
        whose: &'static str,
        /// What keeps it out.
        bar: Bar,
    },
    /// GitHub gives the fleet's runners no job of its repository.
    OutOfReach(OutOfReach),
    /// A label asks for what the fleet does not grant.
    Wish(Unwished),
}

impl Verdict {
    /// One word for it: `takes`, `specificity`, `priority`, `tie`, `labels`, `admission`, `wish`.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Takes => "takes",
            Self::LessSpecific { .. } => "specificity",
            Self::LowerPriority { .. } => "priority",
            Self::Tied { .. } => "tie",
            Self::Refused(Refusal::Admission { .. } | Refusal::OutOfReach(_)) => "admission",
            Self::Refused(Refusal::Wish(_)) => "wish",
            Self::Refused(_) => "labels",
        }
    }

    /// Whether the job fits, though perhaps another fleet better.
    #[must_use]
    pub fn fits(&self) -> bool {
        !matches!(self, Self::Refused(_))
    }
}

impl Decision<'_> {
    /// As JSON: `fleet` (a name or null) and `candidates`, each with `fleet`, `fits`, `verdict` (one word) and `reason`.
    #[must_use]
    pub fn json(&self) -> Value {
        let candidate = |it: &Candidate<'_>| {
            let reason = it.verdict.to_string();
            json!({"fleet": it.fleet, "fits": it.verdict.fits(), "verdict": it.verdict.word(), "reason": reason})
        };
        let candidates: Vec<Value> = self.candidates.iter().map(candidate).collect();
        json!({"fleet": self.fleet.map(|fleet| fleet.name.as_str()), "candidates": candidates})
    }
}

impl fmt::Display for Decision<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, candidate) in self.candidates.iter().enumerate() {
            write!(f, "{}{candidate}", if i == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

impl fmt::Display for Candidate<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.fleet, self.verdict)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Takes => write!(f, "takes it"),
            Self::LessSpecific { than } => write!(f, "less specific than {than}"),
            Self::LowerPriority { than } => write!(f, "lower priority than {than}"),
            Self::Tied { with, ties: Ties::Name } => write!(f, "as good as {with}, which is first by name"),
            Self::Tied { with, ties: Ties::Spread } => write!(f, "as good as {with}, which the job's id picks"),
            Self::Refused(refusal) => write!(f, "{refusal}"),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoLabels => write!(f, "labels: the job has none"),
            Self::Missing(missing) => write!(f, "labels: missing {}", missing.join(", ")),
            Self::NotTheSame { missing, beyond } if missing.is_empty() => {
                write!(f, "labels: not asked for {}", beyond.join(", "))
            }
            Self::NotTheSame { missing, beyond } if beyond.is_empty() => {
                write!(f, "labels: missing {}", missing.join(", "))
            }
            Self::NotTheSame { missing, beyond } => {
                write!(f, "labels: missing {}, not asked for {}", missing.join(", "), beyond.join(", "))
            }
            Self::NoneInCommon => write!(f, "labels: none in common"),
            Self::Admission { whose, bar } => write!(f, "admission: {bar} of the {whose}"),
            Self::OutOfReach(why) => write!(f, "admission: {why}"),
            Self::Wish(unwished) => write!(f, "wish refused: {unwished}"),
        }
    }
}
