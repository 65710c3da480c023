//! How fast a service may be called: buckets of tokens that all invocations share through the ledger.
//!
//! A bucket is one number, as in the generic cell rate algorithm: the time at which it is full again. A token moves it
//! on by its share of the rate; as long as it is no further away than a burst lasts, there is nothing to wait for.
//! Times are microseconds since 1970, since 170 a minute is no whole number of milliseconds.

use std::time::Duration;

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

/// An attempt to take tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Take {
    /// Now.
    pub now: Micros,
    /// How much later the bucket is full again.
    pub cost: Micros,
    /// The latest that it may be full again before these are taken: otherwise the wait is too long.
    pub latest: Micros,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// They were taken; the bucket is full again then.
    Yes(Micros),
    /// Nothing was taken; the bucket is full again then.
    No(Micros),
}

impl Rate {
    /// An attempt to take `n` tokens at `now`, for which one would wait for `longest`. More tokens than ever come in that
    /// time cost no more than what does: who asks for too many at once waits longest, and not for ever.
    #[must_use]
    pub fn take(self, n: u32, now: Millis, longest: Duration) -> Take {
        let longest = u64::try_from(longest.as_micros()).unwrap_or(u64::MAX / 4);
        let most = self.lasts(self.burst) + longest;
        let cost = self.lasts(n).min(most);
        let now = now * 1000;
        Take { now, cost, latest: now + most - cost }
    }

    /// How long to wait until the last of the tokens taken is there, in a bucket that is `full` again then.
    #[must_use]
    pub fn wait(self, full: Micros, now: Millis) -> Duration {
        Duration::from_micros(full.saturating_sub(now * 1000 + self.lasts(self.burst)))
    }

    fn lasts(self, n: u32) -> Micros {
        (u64::from(n) * 60_000_000).div_ceil(u64::from(self.per_minute.max(1)))
    }
}

/// What `take` does to a bucket that is `full` again then (none: nobody has taken anything yet).
#[must_use]
pub fn take(full: Option<Micros>, take: Take) -> Taken {
    let full = full.unwrap_or(0);
    if full > take.latest { Taken::No(full) } else { Taken::Yes(full.max(take.now) + take.cost) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Bucket, Limits, Taken, take};

    const NOW: u64 = 1_795_000_000_000;

    /// Takes `n`; answers how long to wait, or none where nothing was taken.
    fn takes(bucket: Bucket, full: &mut Option<u64>, n: u32, now: u64, longest: Duration) -> Option<u64> {
        let rate = Limits::default().rate(bucket).unwrap();
        match take(*full, rate.take(n, now, longest)) {
            Taken::Yes(until) => {
                *full = Some(until);
                Some(u64::try_from(rate.wait(until, now).as_millis()).unwrap())
            }
            Taken::No(until) => {
                assert_eq!(Some(until), *full);
                None
            }
        }
    }

    #[test]
    fn a_full_bucket_gives_a_burst_and_then_its_rate() {
        let longest = Duration::from_secs(2);
        let mut full = None;
        let waits: Vec<_> = (0..10).map(|_| takes(Bucket::Ec2, &mut full, 1, NOW, longest)).collect();
        let some = |it: &[u64]| it.iter().copied().map(Some).collect::<Vec<_>>();
        assert_eq!(waits[..9], some(&[0, 0, 0, 0, 0, 500, 1000, 1500, 2000]));
        assert_eq!(waits[9], None, "too long");
        assert_eq!(takes(Bucket::Ec2, &mut full, 1, NOW + 500, longest), Some(2000), "what is refused costs nothing");
        assert_eq!(takes(Bucket::Ec2, &mut full, 5, NOW + 60_000, longest), Some(0), "it fills up and no further");
        assert_eq!(takes(Bucket::Ec2, &mut full, 1, NOW + 60_000, longest), Some(500));
    }

    #[test]
    fn in_no_minute_come_more_than_the_burst_and_the_rate() {
        for (bucket, most) in [(Bucket::Ec2, 5 + 120), (Bucket::Ssm, 3 + 180), (Bucket::GitHub, 170 + 170)] {
            let (mut full, mut given, mut at) = (None, Vec::new(), NOW);
            for i in 0..4000_u64 {
                at += (i * 7919) % 400;
                let n = u32::try_from(1 + i % 4).unwrap();
                if let Some(wait) = takes(bucket, &mut full, n, at, Duration::from_secs(10)) {
                    given.push((at + wait, u64::from(n)));
                }
            }
            for (start, _) in &given {
                let within = |it: &&(u64, u64)| (*start..start + 60_000).contains(&it.0);
                let sum: u64 = given.iter().filter(within).map(|it| it.1).sum();
                // Waits are cut to milliseconds; the batch at the edge counts whole.
                assert!(sum <= most + 4, "{bucket:?}: {sum} of {most}");
            }
        }
    }

    #[test]
    fn more_than_ever_come_wait_longest_and_are_given() {
        let rate = Limits { ssm: 1, ..Limits::default() }.rate(Bucket::Ssm).unwrap();
        let longest = Duration::from_secs(10);
        let Taken::Yes(full) = take(None, rate.take(25, NOW, longest)) else { panic!("never given") };
        assert_eq!(rate.wait(full, NOW), longest);
    }

    #[test]
    fn no_limit_is_no_bucket() {
        assert!(Bucket::ALL.iter().all(|it| Limits::NONE.rate(*it).is_none()));
    }
}
