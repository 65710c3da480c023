//! How fast a service may be called: buckets of tokens that all invocations share through the ledger.
//!
//! A bucket is one number, as in the generic cell rate algorithm: the time at which it is full again. A token moves it
//! on by its share of the rate; as long as it is no further away than a burst lasts, there is nothing to wait for.
//! Times are microseconds since 1970, since 170 a minute is no whole number of milliseconds.

use std::{collections::BTreeMap, time::Duration};

use crate::clock::Millis;

/// Microseconds since 1970, or as many.
pub type Micros = u64;

/// What is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bucket {
    /// EC2's `CreateFleet`.
    Ec2,
    /// SSM's `PutParameter`.
    Ssm,
    /// GitHub's registrations.
    GitHub,
}

impl Bucket {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Ec2, Self::Ssm, Self::GitHub];

    /// Its name in the ledger.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ec2 => "ec2",
            Self::Ssm => "ssm",
            Self::GitHub => "github",
        }
    }
}

/// How fast each may be called by the whole deployment; 0 for as fast as there is something to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `CreateFleet` a second. Small accounts have a bucket of 5, refilled by 2 a second.
    pub ec2: u32,
    /// `PutParameter` a second: 3, or 10 with the account's "higher throughput" on.
    pub ssm: u32,
    /// Registrations a minute: 170, of which 10,000 an hour are allowed.
    pub github: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { ec2: 2, ssm: 3, github: 170 }
    }
}

impl Limits {
    /// No limits.
    pub const NONE: Self = Self { ec2: 0, ssm: 0, github: 0 };

    /// The rate of `bucket`; none where it has no limit.
    #[must_use]
    pub fn rate(self, bucket: Bucket) -> Option<Rate> {
        let rate = match bucket {
            // 5 at 2 a second, as AWS has it.
            Bucket::Ec2 => {
                Rate { per_minute: self.ec2.saturating_mul(60), burst: self.ec2.saturating_mul(5).div_ceil(2) }
            }
            Bucket::Ssm => Rate { per_minute: self.ssm.saturating_mul(60), burst: self.ssm },
            Bucket::GitHub => Rate { per_minute: self.github, burst: self.github },
        };
        (rate.per_minute > 0).then_some(rate)
    }
}

/// How fast, and how many at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Tokens that come in a minute.
    per_minute: u32,
    /// Tokens that a full bucket has.
    burst: u32,
}

/// When each bucket is full again; one that is not there is full.
pub type Fulls = BTreeMap<Bucket, Micros>;

/// An attempt to take tokens out of one bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Take {
    /// Out of which.
    pub bucket: Bucket,
    /// How much later it is full again; 0 where it is only to be seen whether there is room.
    pub cost: Micros,
    /// The latest that it may be full again before these are taken: otherwise the wait is too long.
    pub latest: Micros,
}

/// An attempt at several buckets at once: all or nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Takes {
    /// Now.
    pub now: Micros,
    /// Each bucket once.
    pub of: Vec<Take>,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken {
    /// They were taken; the buckets are full again then.
    Yes(Fulls),
    /// Nothing was taken; the buckets are full again then.
    No(Fulls),
}

impl Rate {
    /// An attempt to take `n` tokens at `now`, for which one would wait for `longest`.
    #[must_use]
    pub fn take(self, bucket: Bucket, n: u32, now: Millis, longest: Duration) -> Take {
        let cost = self.lasts(n);
        Take { bucket, cost, latest: self.most(now, longest).saturating_sub(cost) }
    }

    /// An attempt that takes nothing and fails where there is no room for `n`.
    #[must_use]
    pub fn room(self, bucket: Bucket, n: u32, now: Millis, longest: Duration) -> Take {
        Take { cost: 0, ..self.take(bucket, n, now, longest) }
    }

    /// How many tokens come within `longest`, out of a bucket that is `full` again then.
    #[must_use]
    pub fn fits(self, full: Micros, now: Millis, longest: Duration) -> u32 {
        let room = self.most(now, longest).saturating_sub(full.max(now * 1000));
        let tokens = u128::from(room) * u128::from(self.per_minute) / 60_000_000;
        u32::try_from(tokens).unwrap_or(u32::MAX)
    }

    /// When a token is there of which `behind` more were taken together, in a bucket that is `full` again then: each of
    /// them has a time of its own.
    #[must_use]
    pub fn due(self, full: Micros, behind: u32) -> Micros {
        full.saturating_sub(self.lasts(behind)).saturating_sub(self.lasts(self.burst))
    }

    /// The latest that a bucket may be full again.
    fn most(self, now: Millis, longest: Duration) -> Micros {
        let longest = u64::try_from(longest.as_micros()).unwrap_or(u64::MAX / 4);
        now * 1000 + self.lasts(self.burst) + longest
    }

    fn lasts(self, n: u32) -> Micros {
        (u64::from(n) * 60_000_000).div_ceil(u64::from(self.per_minute.max(1)))
    }
}

/// What `takes` do to buckets that are `full` again then.
#[must_use]
pub fn take(full: &Fulls, takes: &Takes) -> Taken {
    let mut full = full.clone();
    // A full bucket counts from now on.
    let counts_from = |bucket| full.get(bucket).copied().unwrap_or(0).max(takes.now);
    if takes.of.iter().any(|it| counts_from(&it.bucket) > it.latest) {
        return Taken::No(full);
    }
    for it in takes.of.iter().filter(|it| it.cost > 0) {
        let full = full.entry(it.bucket).or_default();
        *full = (*full).max(takes.now) + it.cost;
    }
    Taken::Yes(full)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Bucket, Fulls, Limits, Rate, Taken, Takes, take};

    const NOW: u64 = 1_795_000_000_000;

    fn rate(bucket: Bucket) -> Rate {
        Limits::default().rate(bucket).unwrap()
    }

    /// Takes `n`; answers how long to wait for each, or none where nothing was taken.
    fn takes(bucket: Bucket, full: &mut Fulls, n: u32, now: u64, longest: Duration) -> Option<Vec<u64>> {
        let rate = rate(bucket);
        match take(full, &Takes { now: now * 1000, of: vec![rate.take(bucket, n, now, longest)] }) {
            Taken::Yes(after) => {
                *full = after;
                let wait = |behind| rate.due(full[&bucket], behind).saturating_sub(now * 1000) / 1000;
                Some((0..n).rev().map(wait).collect())
            }
            Taken::No(after) => {
                assert_eq!(*full, after);
                None
            }
        }
    }

    #[test]
    fn a_full_bucket_gives_a_burst_and_then_its_rate() {
        let longest = Duration::from_secs(2);
        let mut full = Fulls::default();
        let mut one = |now| takes(Bucket::Ec2, &mut full, 1, now, longest).map(|waits| waits[0]);
        let waits: Vec<_> = (0..10).map(|_| one(NOW)).collect();
        let some = |it: &[u64]| it.iter().copied().map(Some).collect::<Vec<_>>();
        assert_eq!(waits[..9], some(&[0, 0, 0, 0, 0, 500, 1000, 1500, 2000]));
        assert_eq!(waits[9], None, "too long");
        assert_eq!(one(NOW + 500), Some(2000), "what is refused costs nothing");
        let five = takes(Bucket::Ec2, &mut full, 5, NOW + 60_000, longest);
        assert_eq!(five, Some(vec![0; 5]), "it fills up and no further");
        let more = takes(Bucket::Ec2, &mut full, 3, NOW + 60_000, longest);
        assert_eq!(more, Some(vec![500, 1000, 1500]), "each of a block has a time of its own");
    }

    #[test]
    fn in_no_minute_come_more_than_the_burst_and_the_rate() {
        for (bucket, most) in [(Bucket::Ec2, 5 + 120), (Bucket::Ssm, 3 + 180), (Bucket::GitHub, 170 + 170)] {
            let (mut full, mut given, mut at) = (Fulls::default(), Vec::new(), NOW);
            for i in 0..4000_u64 {
                at += (i * 7919) % 400;
                let n = u32::try_from(1 + i % 4).unwrap();
                if let Some(waits) = takes(bucket, &mut full, n, at, Duration::from_secs(10)) {
                    given.extend(waits.iter().map(|wait| at + wait));
                }
            }
            for start in &given {
                let sum = given.iter().filter(|at| (*start..start + 60_000).contains(at)).count();
                // Waits are cut to milliseconds.
                assert!(sum <= most + 1, "{bucket:?}: {sum} of {most}");
            }
        }
    }

    #[test]
    fn what_fits_is_taken_and_one_more_is_not() {
        let (longest, now) = (Duration::from_secs(10), NOW * 1000);
        for (bucket, idle) in [(Bucket::Ec2, 5 + 20), (Bucket::Ssm, 3 + 30), (Bucket::GitHub, 170 + 28)] {
            assert_eq!(rate(bucket).fits(0, NOW, longest), idle, "{bucket:?}");
            for full in [0, now - 1, now, now + 1_234_567, now + 9_000_000] {
                let fits = rate(bucket).fits(full, NOW, longest);
                let goes = |n| takes(bucket, &mut [(bucket, full)].into(), n, NOW, longest).is_some();
                assert!(goes(fits) && !goes(fits + 1), "{bucket:?} {full}");
            }
        }
    }

    #[test]
    fn of_several_buckets_all_are_taken_from_or_none() {
        let longest = Duration::from_secs(1);
        let (ec2, ssm) = (rate(Bucket::Ec2), rate(Bucket::Ssm));
        let both = |n| {
            let of = vec![ec2.take(Bucket::Ec2, 1, NOW, longest), ssm.take(Bucket::Ssm, n, NOW, longest)];
            Takes { now: NOW * 1000, of }
        };
        let Taken::Yes(full) = take(&Fulls::default(), &both(4)) else { panic!("there is room") };
        assert_eq!(full.len(), 2);
        assert_eq!(take(&full, &both(4)), Taken::No(full.clone()));
        let look = |n| Takes { now: NOW * 1000, of: vec![ssm.room(Bucket::Ssm, n, NOW, longest)] };
        assert_eq!(take(&full, &look(1)), Taken::Yes(full.clone()), "a look takes nothing");
        assert_eq!(take(&full, &look(3)), Taken::No(full));
    }

    #[test]
    fn no_limit_is_no_bucket() {
        assert!(Bucket::ALL.iter().all(|it| Limits::NONE.rate(*it).is_none()));
    }
}
