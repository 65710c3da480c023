//! Whether agents are silent since nobody's messages come through: where the lifecycle queue is down, or may not be written
//! to, all are silent and all instances run.
//!
//! Runners that have a registration are seen by GitHub as well. Instances that stand by are seen by nobody else: these are
//! left alone meanwhile, though not for ever, as agents may have died of the same.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::deaths::is_silent;
use crate::{
    clock::Millis,
    ledger::{Runner, View},
};

/// So many must be silent, and nobody be heard, before it is taken for the queue's fault. A single one is replaced cheaply.
const SEVERAL: u64 = 2;
/// For so long after it was silent an instance that stands by is left alone where nobody is heard.
const PATIENCE: Duration = Duration::from_hours(6);

/// What is heard of all agents of a deployment, or of one fleet's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Voices {
    /// How many are silent that spoke before and should.
    pub silent: u64,
    /// When any was last heard.
    pub last: Option<Millis>,
}

impl Voices {
    /// Those of a fleet whose level is `view`, of which each was `heard` then.
    pub fn of(view: &View, heard: impl Fn(&Runner) -> Option<Millis>, silence: Duration, now: Millis) -> Self {
        // One that was never heard says nothing of the queue: its image may be broken.
        let fell_silent = |it: &&Runner| heard(it).is_some() && is_silent(it, heard(it), silence, now);
        let silent = view.runners.iter().filter(fell_silent).count() as u64;
        Self { silent, last: view.runners.iter().filter_map(heard).max() }
    }

    /// Those of both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self { silent: self.silent + other.silent, last: self.last.max(other.last) }
    }

    /// The same, where one fleet is known anew: it is counted in `self` as it was before.
    #[must_use]
    pub fn with_news(self, own: Self) -> Self {
        Self { silent: self.silent.max(own.silent), last: self.last.max(own.last) }
    }

    /// Whether nobody is heard at all of whom several should be, at `now`.
    #[must_use]
    pub fn is_quiet(&self, silence: Duration, now: Millis) -> bool {
        self.silent >= SEVERAL && self.last.is_none_or(|last| last.saturating_add(millis(silence)) <= now)
    }
}

/// Whether `runner`, which is silent, is to be left alone while nobody is heard.
#[must_use]
pub fn is_spared(runner: &Runner, heard: Option<Millis>, silence: Duration, now: Millis) -> bool {
    let since = heard.unwrap_or(0).max(runner.launched_at);
    runner.state.is_unregistered() && now < since.saturating_add(millis(silence)).saturating_add(millis(PATIENCE))
}

fn millis(duration: Duration) -> Millis {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Voices, is_spared};
    use crate::{
        decide::runners::RunnerState::{Registered, Standby, Stopped, Warming},
        ledger::{Runner, View, tests::runner},
    };

    const SILENCE: Duration = Duration::from_mins(10);
    const MINUTE: u64 = 60_000;
    const NOW: u64 = 10_000_000;

    #[test]
    fn nobody_is_heard_where_several_should_be_and_none_is() {
        let quiet = |silent, last| Voices { silent, last }.is_quiet(SILENCE, NOW);
        assert!(quiet(2, None) && quiet(2, Some(NOW - 10 * MINUTE)));
        assert!(!quiet(2, Some(NOW - 10 * MINUTE + 1)), "somebody is");
        assert!(!quiet(1, None), "it may be dead");
        let all = Voices { silent: 1, last: Some(5) }.and(Voices { silent: 1, last: Some(7) });
        assert_eq!(all, Voices { silent: 2, last: Some(7) });
        assert_eq!(all.with_news(Voices { silent: 1, last: Some(9) }), Voices { silent: 2, last: Some(9) });
    }

    #[test]
    fn who_should_speak_is_counted() {
        let at = |n, state| Runner { state, launched_at: NOW - 20 * MINUTE, boot_deadline: NOW, ..runner("f", n) };
        let young = Runner { launched_at: NOW - MINUTE, ..at(4, Warming) };
        let view = View { runners: vec![at(1, Standby), at(2, Standby), at(3, Stopped), young], ..View::default() };
        let mute = |_: &Runner| None;
        assert_eq!(Voices::of(&view, mute, SILENCE, NOW), Voices::default(), "who never spoke may have a broken image");
        let at = |it: &Runner| Some(if it.instance == view.runners[1].instance { NOW - 5 } else { NOW - 11 * MINUTE });
        assert_eq!(Voices::of(&view, at, SILENCE, NOW), Voices { silent: 1, last: Some(NOW - 5) });
    }

    #[test]
    fn what_stands_by_is_spared_for_some_hours() {
        let hours = |n: u64| n * 60 * MINUTE;
        let it = |state| Runner { state, launched_at: 0, ..runner("f", 1) };
        assert!(is_spared(&it(Standby), None, SILENCE, hours(6)));
        assert!(!is_spared(&it(Standby), None, SILENCE, hours(6) + 10 * MINUTE));
        assert!(is_spared(&it(Standby), Some(hours(1)), SILENCE, hours(7)));
        assert!(!is_spared(&it(Registered), None, SILENCE, hours(1)), "GitHub sees it");
    }
}
