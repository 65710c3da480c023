//! What is known of GitHub's limits: until when it wants to be left alone, and how many requests are left.
//!
//! GitHub counts for each installation of an App apart, however many repositories it has, and for the App itself
//! ([`Whose::Own`]); for a token, by its owner alone.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use http::HeaderMap;

use super::limits;
use crate::clock::Millis;

/// Whose limit a request counts against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Whose {
    /// The App's own, or the owner's of a token.
    Own,
    /// This installation's of the App.
    Installation(u64),
}

/// What is left of a primary limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left {
    /// Requests.
    pub requests: u64,
    /// When they are as many as ever again, in milliseconds since 1970.
    pub reset_at: Millis,
}

/// Kept across invocations, so that a limit that one call met is not tried by the others.
#[derive(Debug, Default)]
pub struct Usage(Mutex<HashMap<Whose, Known>>);

#[derive(Debug, Default)]
struct Known {
    limited_until: Millis,
    /// By the name of the limit.
    left: HashMap<String, Left>,
}

impl Usage {
    /// How long GitHub still wants to be left alone.
    #[must_use]
    pub fn wait(&self, whose: &Whose, now: Millis) -> Option<Duration> {
        let left = self.known().get(whose)?.limited_until.saturating_sub(now);
        (left > 0).then(|| Duration::from_millis(left))
    }

    /// Notes that GitHub wants to be left alone for `wait`.
    pub fn limited(&self, whose: &Whose, wait: Duration, now: Millis) {
        let until = now.saturating_add(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
        let mut all = self.known();
        let known = all.entry(*whose).or_default();
        known.limited_until = known.limited_until.max(until);
    }

    /// Notes that a request is on its way: of many at a time, the later ones are to see the earlier ones.
    pub fn spend(&self, whose: &Whose) {
        if let Some(known) = self.known().get_mut(whose) {
            known.left.values_mut().for_each(|left| left.requests = left.requests.saturating_sub(1));
        }
    }

    /// Notes what an answer's headers tell.
    pub fn seen(&self, whose: &Whose, headers: &HeaderMap) {
        let Some((resource, told)) = limits::left(headers) else { return };
        let mut all = self.known();
        let left = all.entry(*whose).or_default().left.entry(resource).or_insert(told);
        // Answers overtake each other; within one hour the fewest are the latest.
        if told.reset_at > left.reset_at || (told.reset_at == left.reset_at && told.requests < left.requests) {
            *left = told;
        }
    }

    /// The requests that are left, as far as is known.
    #[must_use]
    pub fn remaining(&self, whose: &Whose, now: Millis) -> Option<u64> {
        self.known().get(whose)?.remaining(now)
    }

    /// The fewest requests that anybody who was asked for has left.
    #[must_use]
    pub fn least(&self, now: Millis) -> Option<u64> {
        self.known().values().filter_map(|known| known.remaining(now)).min()
    }

    /// Plain numbers: what a thread that panicked has left of them is as good as any.
    fn known(&self) -> MutexGuard<'_, HashMap<Whose, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn remaining(&self, now: Millis) -> Option<u64> {
        self.left.values().filter(|left| left.reset_at > now).map(|left| left.requests).min()
    }
}

#[cfg(test)]
mod tests {
    use super::{Duration, HeaderMap, Usage, Whose};

    const NOW: u64 = 1_000_000;
    const A: Whose = Whose::Installation(77);
    const B: Whose = Whose::Installation(78);

    fn told(remaining: u64, reset: u64, resource: &str) -> HeaderMap {
        let pairs = [
            ("x-ratelimit-remaining", remaining.to_string()),
            ("x-ratelimit-reset", reset.to_string()),
            ("x-ratelimit-resource", resource.to_owned()),
        ];
        pairs.into_iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn the_least_of_the_limits_counts_until_it_is_reset() {
        let usage = Usage::default();
        assert_eq!((usage.remaining(&A, NOW), usage.least(NOW)), (None, None));
        usage.seen(&A, &told(4000, 1100, "core"));
        usage.seen(&A, &told(900, 1200, "actions_runner_registration"));
        usage.seen(&B, &told(30, 1150, "core"));
        assert_eq!((usage.remaining(&A, NOW), usage.least(NOW)), (Some(900), Some(30)));
        assert_eq!(usage.remaining(&Whose::Own, NOW), None);
        assert_eq!(usage.least(1_150_000), Some(900), "b has as many as ever");
        assert_eq!(usage.least(1_200_000), None);
    }

    #[test]
    fn late_answers_and_requests_under_way_are_counted() {
        let usage = Usage::default();
        usage.spend(&A);
        for remaining in [10, 8, 9] {
            usage.seen(&A, &told(remaining, 1100, "core"));
        }
        assert_eq!(usage.remaining(&A, NOW), Some(8), "9 came late");
        usage.spend(&A);
        assert_eq!(usage.remaining(&A, NOW), Some(7));
        usage.seen(&A, &told(5000, 1200, "core"));
        assert_eq!(usage.remaining(&A, NOW), Some(5000), "another hour");
        usage.seen(&A, &told(3, 1100, "core"));
        assert_eq!(usage.remaining(&A, NOW), Some(5000), "of the hour before");
    }

    #[test]
    fn a_limit_is_one_installations_and_the_longest_counts() {
        let usage = Usage::default();
        let seconds = Duration::from_secs;
        usage.limited(&A, seconds(60), NOW);
        usage.limited(&A, seconds(5), NOW);
        assert_eq!(usage.wait(&A, NOW), Some(seconds(60)));
        assert_eq!((usage.wait(&A, NOW + 60_000), usage.wait(&B, NOW)), (None, None));
    }
}
