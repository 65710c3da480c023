//! How a step is stopped: SIGINT, SIGTERM, SIGKILL, with waits between. Source: `ProcessInvoker`.

/// How far it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Nobody asked.
    Running,
    /// SIGINT was sent.
    Interrupted,
    /// SIGTERM was sent.
    Terminated,
    /// SIGKILL was sent to it and to all that it started.
    Killed,
}

/// What happens meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Push {
    /// The job is cancelled.
    Cancel,
    /// The wait of this stage is over.
    TimeUp,
}

/// The next stage; where it differs, its signal is due.
#[must_use]
pub fn next(stage: Stage, push: Push) -> Stage {
    match (stage, push) {
        (Stage::Running, Push::Cancel) => Stage::Interrupted,
        (Stage::Interrupted, Push::TimeUp) => Stage::Terminated,
        (Stage::Terminated, Push::TimeUp) => Stage::Killed,
        // A running step has no time limit, and a second request does not shorten the waits.
        (stage, Push::TimeUp | Push::Cancel) => stage,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair() {
        use Push::{Cancel, TimeUp};
        use Stage::{Interrupted, Killed, Running, Terminated};
        let table = [
            (Running, Cancel, Interrupted),
            (Running, TimeUp, Running),
            (Interrupted, Cancel, Interrupted),
            (Interrupted, TimeUp, Terminated),
            (Terminated, Cancel, Terminated),
            (Terminated, TimeUp, Killed),
            (Killed, Cancel, Killed),
            (Killed, TimeUp, Killed),
        ];
        for (stage, push, expected) in table {
            assert_eq!(next(stage, push), expected, "{stage:?} + {push:?}");
        }
    }
}
