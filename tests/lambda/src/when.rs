//! `rate(…)`, `cron(…)` and `at(…)`, and when each is next due.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use jiff::{Timestamp, civil::DateTime, tz::TimeZone};

use crate::cron::Cron;

/// A schedule expression.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum When {
    /// Every so often, counted from when the schedule was first seen.
    Rate(Duration),
    /// By the calendar.
    Cron(Box<Cron>),
    /// Once.
    At(DateTime),
}

impl When {
    /// Reads an expression as AWS writes it.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let inner = |name: &str| text.strip_prefix(name)?.strip_prefix('(')?.strip_suffix(')').map(str::trim);
        if let Some(rate) = inner("rate") {
            return rate_of(rate).map(Self::Rate);
        }
        if let Some(cron) = inner("cron") {
            return Ok(Self::Cron(Box::new(Cron::parse(cron).with_context(|| format!("reading {text}"))?)));
        }
        if let Some(at) = inner("at") {
            return Ok(Self::At(at.parse().with_context(|| format!("reading {text}"))?));
        }
        bail!("schedule expression is {text:?}; allowed are rate(…), cron(…) and at(…)")
    }

    /// The first time after `after`; none where it will not come again. `since` is when the schedule was first seen.
    pub(crate) fn next(&self, after: Timestamp, since: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        match self {
            Self::Rate(period) => {
                let period = i128::try_from(period.as_nanos()).ok()?;
                let (since, after) = (since.as_nanosecond(), after.as_nanosecond());
                let turns = (after - since).max(0) / period + 1;
                Timestamp::from_nanosecond(since + turns * period).ok()
            }
            Self::Cron(cron) => cron.next(after, zone),
            Self::At(at) => at.to_zoned(zone.clone()).ok().map(|at| at.timestamp()).filter(|at| *at > after),
        }
    }
}

fn rate_of(text: &str) -> Result<Duration> {
    let allowed = || format!("rate is {text:?}; allowed is a whole number above 0 and minute(s), hour(s) or day(s)");
    let (number, unit) = text.split_once(' ').with_context(allowed)?;
    let number: u64 = number.parse().ok().filter(|number| *number > 0).with_context(allowed)?;
    // AWS wants the singular with 1 alone.
    let unit = match (unit.trim(), number == 1) {
        ("minute", true) | ("minutes", false) => 60,
        ("hour", true) | ("hours", false) => 3600,
        ("day", true) | ("days", false) => 86_400,
        _ => bail!(allowed()),
    };
    ensure!(number <= 1_000_000, "{}", allowed());
    Ok(Duration::from_secs(number * unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn rates_count_from_when_they_were_first_seen() {
        let rate = When::parse("rate(5 minutes)").unwrap();
        let since = at("2026-11-20T10:00:30Z");
        let next = |after| rate.next(at(after), since, &TimeZone::UTC).unwrap();
        assert_eq!(next("2026-11-20T10:00:30Z"), at("2026-11-20T10:05:30Z"));
        assert_eq!(next("2026-11-20T10:05:29Z"), at("2026-11-20T10:05:30Z"));
        assert_eq!(next("2026-11-20T10:05:30Z"), at("2026-11-20T10:10:30Z"));
        // An hour missed is one run, not twelve.
        assert_eq!(next("2026-11-20T11:07:00Z"), at("2026-11-20T11:10:30Z"));
    }

    #[test]
    fn at_comes_once_in_its_zone() {
        let once = When::parse("at(2026-11-20T15:00:00)").unwrap();
        let amsterdam = TimeZone::fixed(jiff::tz::offset(1));
        let since = at("2026-11-01T00:00:00Z");
        assert_eq!(once.next(since, since, &amsterdam), Some(at("2026-11-20T14:00:00Z")));
        assert_eq!(once.next(at("2026-11-20T14:00:00Z"), since, &amsterdam), None);
    }

    #[test]
    fn what_is_refused_is_quoted() {
        for text in [
            "",
            "rate()",
            "rate(0 minutes)",
            "rate(1 minutes)",
            "rate(2 minute)",
            "rate(5 seconds)",
            "cron()",
            "at(tomorrow)",
            "every day",
        ] {
            let error = When::parse(text).unwrap_err();
            assert!(!error.to_string().is_empty(), "{text}");
        }
        assert!(When::parse("rate(5 seconds)").unwrap_err().to_string().contains("5 seconds"));
    }
}
