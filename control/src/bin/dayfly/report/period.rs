//! Since when a report is.

use dayfly_control::clock::Millis;

/// The longest that the ledger remembers: jobs and lives are kept for a week.
pub(crate) const REMEMBERED: Millis = 7 * DAY;
/// A day.
pub(crate) const DAY: Millis = 24 * 3_600_000;

/// Reads `90m`, `36h`, `7d`, a date (`2026-11-14`, from midnight UTC) or a time (`2026-11-14T08:00:00Z`).
pub(crate) fn since(text: &str, now: Millis) -> Result<Millis, String> {
    let wrong = || {
        format!(
            "--since: found \"{text}\", expected a span such as 90m, 36h or 7d, a date such as 2026-11-14, or a time such as 2026-11-14T08:00:00Z, that is past"
        )
    };
    let span = || {
        let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
        let unit = match unit {
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => DAY,
            _ => return None,
        };
        now.checked_sub(number.parse::<u64>().ok().filter(|it| *it > 0)?.checked_mul(unit)?)
    };
    let date = || {
        let date: jiff::civil::Date = text.parse().ok()?;
        let midnight = date.at(0, 0, 0, 0).to_zoned(jiff::tz::TimeZone::UTC).ok()?;
        u64::try_from(midnight.timestamp().as_millisecond()).ok()
    };
    let time = || u64::try_from(text.parse::<jiff::Timestamp>().ok()?.as_millisecond()).ok();
    // A time is a date too, for jiff.
    span().or_else(time).or_else(date).filter(|it| *it < now).ok_or_else(wrong)
}

/// The day of a time, as `2026-11-14` (UTC).
pub(crate) fn day(at: Millis) -> String {
    let time = i64::try_from(at).ok().and_then(|at| jiff::Timestamp::from_millisecond(at).ok());
    time.map_or_else(|| "?".to_owned(), |time| time.to_string().chars().take(10).collect())
}

#[cfg(test)]
mod tests {
    use super::{DAY, day, since};

    const NOW: u64 = 1_795_000_000_000;

    #[test]
    fn a_beginning_is_a_span_a_date_or_a_time() {
        for (text, expected) in [
            ("7d", NOW - 7 * DAY),
            ("36h", NOW - 36 * 3_600_000),
            ("90m", NOW - 90 * 60_000),
            ("2026-11-14", 1_794_614_400_000),
            ("2026-11-14T08:00:00Z", 1_794_643_200_000),
        ] {
            assert_eq!(since(text, NOW), Ok(expected), "{text}");
        }
        for wrong in ["", "d", "0d", "-1d", "7w", "7", "tomorrow", "2026-13-01", "2030-01-01", "99999999999999d", "é"]
        {
            let error = since(wrong, NOW).unwrap_err();
            assert!(error.starts_with(&format!("--since: found \"{wrong}\", expected a span")), "{error}");
        }
        assert_eq!(day(NOW), "2026-11-18");
    }
}
