//! Runners that are kept ready before a job asks for them, by the clock.
//!
//! Each schedule says a size from each of its times on; the one whose time came last is what holds. So two schedules
//! make office hours: `0 8 * * mon-fri` with a size, `0 18 * * mon-fri` with 0. Times are civil times of a time zone:
//!
//! - A time that the clocks skip comes when they have moved on: `30 2 * * *` at 3:00 on the day that has no 2:30.
//! - A time that the clocks repeat comes once, the first time.

use croner::Cron;
use jiff::{
    Timestamp,
    civil::DateTime,
    tz::{AmbiguousOffset, TimeZone},
};

use super::{Fleet, Scope};
use crate::clock::Millis;

/// Clocks are put back by less than this, so that a time within it may have come once already.
const LONGEST_FOLD: i64 = 4 * 3600;
/// The most civil times that are looked at: those of a cron that fits each minute, within [`LONGEST_FOLD`] and a day,
/// by which a zone at the date line may move its clocks.
const MOST_TIMES: usize = 28 * 60 + 1;

/// What a fleet keeps ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// In which state.
    pub kind: PoolKind,
    /// How many, where there are no schedules.
    pub size: u64,
    /// How many when, in document order.
    pub schedules: Vec<Schedule>,
    /// Which go first where there are too many.
    pub eviction: Eviction,
    /// After so many seconds a stopped instance is replaced by one of a fresh image. Of the others their agents know it.
    pub lifetime_seconds: u64,
    /// For whose jobs the runners are, where the fleet itself does not say: `owner/repo`.
    pub repository: Option<String>,
}

/// In which state a pool keeps its instances.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolKind {
    /// Booted and without a registration, which is handed over when a job comes.
    Standby,
    /// The same, and then stopped: started again when a job comes. On-demand, since EC2 stops no spot instance of a fleet
    /// request.
    Stopped,
    /// Reusable runners that are registered and listen.
    Idle,
}

impl PoolKind {
    /// The words for it.
    pub const WORDS: [(&'static str, Self); 3] =
        [("standby", Self::Standby), ("stopped", Self::Stopped), ("idle", Self::Idle)];

    /// Whether its instances are launched without a registration.
    #[must_use]
    pub const fn stands_by(self) -> bool {
        matches!(self, Self::Standby | Self::Stopped)
    }
}

/// Which go first where there are too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Eviction {
    /// Those that were launched first.
    Oldest,
    /// Those that were launched last.
    Newest,
}

impl Eviction {
    /// The words for it.
    pub const WORDS: [(&'static str, Self); 2] = [("oldest", Self::Oldest), ("newest", Self::Newest)];
}

/// A size from each of some times on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// At which times.
    pub cron: Cron,
    /// Whose civil times these are.
    pub zone: TimeZone,
    /// How many from then on.
    pub size: u64,
}

impl Pool {
    /// How many are to be ready at `now`: what the schedule says whose time came last; of several at that moment the one
    /// with the later civil time, then the last in the document.
    #[must_use]
    pub fn size(&self, now: Millis) -> u64 {
        let now = i64::try_from(now).ok().and_then(|now| Timestamp::from_millisecond(now).ok());
        let came = |it: &Schedule| Some((it.last(now?)?, it.size));
        // Of equals `max_by_key` takes the last.
        self.schedules.iter().filter_map(came).max_by_key(|(came, _)| *came).map_or(self.size, |(_, size)| size)
    }
}

impl Schedule {
    /// The last of its times that came by `now`, as a moment and as a civil time. None where none ever did.
    fn last(&self, now: Timestamp) -> Option<(Timestamp, DateTime)> {
        let before = Timestamp::from_second(now.as_second() - LONGEST_FOLD).ok()?;
        // Where the clocks were put back since, later civil times have come already.
        let latest = self.zone.to_offset(before).max(self.zone.to_offset(now)).to_datetime(now);
        let times = self.cron.iter_before(latest.checked_add(jiff::SignedDuration::from_secs(1)).ok()?);
        let mut moments = times.take(MOST_TIMES).filter_map(|civil| Some((moment(&self.zone, civil)?, civil)));
        moments.find(|(moment, _)| *moment <= now)
    }
}

/// When `civil` comes in `zone`.
fn moment(zone: &TimeZone, civil: DateTime) -> Option<Timestamp> {
    match zone.to_ambiguous_timestamp(civil).offset() {
        AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(civil).ok(),
        AmbiguousOffset::Fold { before, .. } => before.to_timestamp(civil).ok(),
        AmbiguousOffset::Gap { before, .. } => {
            // By the clocks of before it is after the gap has begun, which is at the same moment as its end.
            let after = before.to_timestamp(civil).ok()?;
            let moved = zone.preceding(after.checked_add(jiff::SignedDuration::from_secs(1)).ok()?).next();
            Some(moved.map_or(after, |moved| moved.timestamp()))
        }
    }
}

impl Fleet {
    /// For whom the runners of its pool are, before a job says it.
    #[must_use]
    pub fn pool_scope(&self, pool: &Pool) -> Scope {
        // The reader refuses a pool without a repository where the fleet has no owner.
        self.scope_for(pool.repository.as_deref().unwrap_or_default())
    }
}

#[cfg(test)]
pub(crate) mod tests;
