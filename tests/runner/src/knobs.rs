//! Waits of the real runner that a test may shorten, by environment (or `.env`). The defaults are the real ones.

use std::time::Duration;

use crate::input::{Env, var};

/// The waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Knobs {
    /// `STANDIN_SIGINT_MS`: a step's time from SIGINT to SIGTERM. Source: `ProcessInvoker`, 7.5 s.
    pub sigint: Duration,
    /// `STANDIN_SIGTERM_MS`: and from there to SIGKILL, 2.5 s.
    pub sigterm: Duration,
    /// `STANDIN_GRACE_MS`: a worker's time from SIGINT to SIGKILL; all of stopping stays under 30 s.
    pub grace: Duration,
    /// `STANDIN_CONFLICT_MS`: how long a listener tries to get its session from another. Source: `MessageListener`, 4 min.
    pub conflict: Duration,
}

impl Knobs {
    /// Reads them; what is not a whole number is the default.
    #[must_use]
    pub fn of(env: &Env) -> Self {
        let get = |name: &str, default: u64| {
            let value = var(env, name).and_then(|text| text.parse().ok());
            Duration::from_millis(value.unwrap_or(default))
        };
        Self {
            sigint: get("STANDIN_SIGINT_MS", 7_500),
            sigterm: get("STANDIN_SIGTERM_MS", 2_500),
            grace: get("STANDIN_GRACE_MS", 25_000),
            conflict: get("STANDIN_CONFLICT_MS", 240_000),
        }
    }
}
