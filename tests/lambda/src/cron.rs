//! AWS's cron: six fields, with `?`, `L`, `W` and `#`, and Sunday as 1.
//!
//! Source: EventBridge user guide, "Setting a schedule pattern for scheduled rules". No crate reads this dialect: the
//! sixth field is the year and weekdays count from 1.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail, ensure};
use jiff::{
    Timestamp, ToSpan,
    civil::{Date, Time},
    tz::TimeZone,
};

const MONTHS: [&str; 12] = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const WEEKDAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

/// A parsed expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cron {
    minutes: BTreeSet<i16>,
    hours: BTreeSet<i16>,
    days: Vec<Day>,
    months: BTreeSet<i16>,
    years: BTreeSet<i16>,
}

/// What a day must be; one of the list is enough.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Day {
    /// `*` or `?` in both day fields.
    Any,
    /// A day of the month.
    OfMonth(i16),
    /// `L`: the last of the month.
    Last,
    /// `3W`: the weekday nearest to that day, within the month.
    NearestWeekday(i16),
    /// `LW`: the last Monday-to-Friday of the month.
    LastWeekday,
    /// A day of the week, Sunday is 1.
    OfWeek(i16),
    /// `6#3`: the third Friday.
    NthOfWeek(i16, i16),
    /// `5L`: the last Thursday.
    LastOfWeek(i16),
}

impl Cron {
    /// Reads the six fields.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [minutes, hours, day, month, weekday, year] = fields[..] else {
            bail!("cron has {} fields; allowed are 6: minutes hours day-of-month month day-of-week year", fields.len());
        };
        ensure!(
            (day == "?") != (weekday == "?"),
            "day-of-month is {day:?} and day-of-week {weekday:?}; allowed is ? in exactly one of them"
        );
        let days = if weekday == "?" { days_of_month(day) } else { days_of_week(weekday) };
        Ok(Self {
            minutes: set("minutes", minutes, 0, 59, &[])?,
            hours: set("hours", hours, 0, 23, &[])?,
            days: days?,
            months: set("month", month, 1, 12, &MONTHS)?,
            years: set("year", year, 1970, 2199, &[])?,
        })
    }

    /// The first minute after `after` that fits, by the clocks of `zone`. A time that the clocks skip runs when they
    /// have moved on; one that they repeat runs once.
    pub(crate) fn next(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let last_year = *self.years.last()?;
        let mut day = after.to_zoned(zone.clone()).date();
        while day.year() <= last_year {
            if self.day_fits(day) {
                for (hour, minute) in self.times() {
                    let time = Time::new(hour, minute, 0, 0).ok()?;
                    let moment = day.to_datetime(time).to_zoned(zone.clone()).ok()?.timestamp();
                    if moment > after {
                        return Some(moment);
                    }
                }
            }
            day = day.checked_add(1.day()).ok()?;
        }
        None
    }

    fn times(&self) -> impl Iterator<Item = (i8, i8)> {
        // Both sets hold 0 to 59 at most.
        let narrow = |number: i16| i8::try_from(number).unwrap_or_default();
        self.hours.iter().flat_map(move |hour| self.minutes.iter().map(move |minute| (narrow(*hour), narrow(*minute))))
    }

    fn day_fits(&self, day: Date) -> bool {
        self.years.contains(&day.year())
            && self.months.contains(&i16::from(day.month()))
            && self.days.iter().any(|rule| rule.fits(day))
    }
}

impl Day {
    fn fits(&self, date: Date) -> bool {
        let (day, length) = (i16::from(date.day()), i16::from(date.days_in_month()));
        let weekday = weekday(date);
        match *self {
            Self::Any => true,
            Self::OfMonth(wanted) => day == wanted,
            Self::Last => day == length,
            Self::LastWeekday => day == nearest_weekday(date, length),
            Self::NearestWeekday(wanted) => wanted <= length && day == nearest_weekday(date, wanted),
            Self::OfWeek(wanted) => weekday == wanted,
            Self::NthOfWeek(wanted, nth) => weekday == wanted && (day - 1) / 7 + 1 == nth,
            Self::LastOfWeek(wanted) => weekday == wanted && day + 7 > length,
        }
    }
}

fn weekday(date: Date) -> i16 {
    i16::from(date.weekday().to_sunday_one_offset())
}

/// The Monday-to-Friday nearest to `wanted` in the month of `date`, without leaving the month.
fn nearest_weekday(date: Date, wanted: i16) -> i16 {
    let length = i16::from(date.days_in_month());
    let first = weekday(date.first_of_month());
    match (first - 1 + wanted - 1) % 7 + 1 {
        1 if wanted == length => wanted - 2,
        1 => wanted + 1,
        7 if wanted == 1 => 3,
        7 => wanted - 1,
        _ => wanted,
    }
}

fn days_of_month(field: &str) -> Result<Vec<Day>> {
    if field == "*" {
        return Ok(vec![Day::Any]);
    }
    let mut days = Vec::new();
    for part in field.split(',') {
        match part.strip_suffix('W') {
            Some("L") => days.push(Day::LastWeekday),
            Some(day) => days.push(Day::NearestWeekday(number("day-of-month", day, 1, 31, &[])?)),
            None if part == "L" => days.push(Day::Last),
            None => days.extend(set("day-of-month", part, 1, 31, &[])?.into_iter().map(Day::OfMonth)),
        }
    }
    Ok(days)
}

fn days_of_week(field: &str) -> Result<Vec<Day>> {
    if field == "*" {
        return Ok(vec![Day::Any]);
    }
    let day = |text| number("day-of-week", text, 1, 7, &WEEKDAYS);
    let mut days = Vec::new();
    for part in field.split(',') {
        if let Some((of_week, nth)) = part.split_once('#') {
            days.push(Day::NthOfWeek(day(of_week)?, number("day-of-week's #", nth, 1, 5, &[])?));
        } else if part == "L" {
            // Saturday, the week's last day.
            days.push(Day::OfWeek(7));
        } else if let Some(of_week) = part.strip_suffix('L') {
            days.push(Day::LastOfWeek(day(of_week)?));
        } else {
            days.extend(set("day-of-week", part, 1, 7, &WEEKDAYS)?.into_iter().map(Day::OfWeek));
        }
    }
    Ok(days)
}

/// Lists, ranges and steps: `*`, `5`, `1-5`, `0/15`, `*/2`, `MON-FRI`, joined by commas. A range may wrap (`FRI-MON`).
fn set(name: &str, field: &str, low: i16, high: i16, names: &[&str]) -> Result<BTreeSet<i16>> {
    let mut found = BTreeSet::new();
    for part in field.split(',') {
        let (range, step) = part.split_once('/').map_or((part, None), |(range, step)| (range, Some(step)));
        let (from, to) = match range.split_once('-') {
            _ if range == "*" => (low, high),
            Some((from, to)) => (number(name, from, low, high, names)?, number(name, to, low, high, names)?),
            None => {
                let from = number(name, range, low, high, names)?;
                (from, if step.is_some() { high } else { from })
            }
        };
        let step = step.map_or(Ok(1), |step| number(name, step, 1, high.max(1), &[]))?;
        let width = if to >= from { to - from } else { to - from + (high - low + 1) };
        let mut offset = 0;
        while offset <= width {
            found.insert(low + (from - low + offset) % (high - low + 1));
            offset += step;
        }
    }
    Ok(found)
}

fn number(name: &str, text: &str, low: i16, high: i16, names: &[&str]) -> Result<i16> {
    let by_name = names.iter().position(|known| known.eq_ignore_ascii_case(text));
    let number = match by_name {
        Some(index) => i16::try_from(index).ok().map(|index| index + low),
        None => text.parse().ok(),
    };
    number
        .filter(|number| (low..=high).contains(number))
        .with_context(|| format!("{name} is {text:?}; allowed is {low} to {high}"))
}

#[cfg(test)]
#[path = "cron/tests.rs"]
mod tests;
