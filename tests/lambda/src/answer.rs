//! What an invocation's caller gets.

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// How an invocation went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The payload is the function's answer.
    Success,
    /// The payload is an error document: the function's own, or Lambda's for a crash or a timeout.
    FunctionError,
    /// Too many run already; nothing was started.
    Throttled,
    /// The event is over 6 MiB; nothing was started.
    TooLarge,
}

/// An invocation's result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The request's id, as in the function's log.
    pub request: String,
    /// How it went.
    pub outcome: Outcome,
    /// What came back.
    pub payload: Vec<u8>,
}

impl Answer {
    /// The payload as JSON.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_slice(&self.payload).with_context(|| format!("reading the answer to request {}", self.request))
    }

    /// The answer of a function that succeeded; else an error that quotes the error document.
    pub fn success(&self) -> Result<Value> {
        match self.outcome {
            Outcome::Success => self.json(),
            other => bail!("request {} ended {other:?}: {}", self.request, String::from_utf8_lossy(&self.payload)),
        }
    }
}
