//! Records as DynamoDB items and back. The shapes are listed in `docs/interface.md`.

mod doubts;
mod lives;
mod offers;
mod told;
mod unread;

pub(super) use doubts::{DOUBT, doubt_sk, from_doubt, to_doubt};
pub(super) use lives::{LIFE, from_life, to_life};
pub(super) use offers::{from_offers, to_offers};
pub(super) use told::{from_last_plan, from_manual, to_manual};
pub(super) use unread::unread;

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use super::{Job, LastError, Marker, Meta, Reservation, Reuse, Runner, Stops, history::History};
use crate::{
    decide::{jobs::JobState, runners::RunnerState},
    fleets::Market,
};
use told::{from_entry, to_history, to_last_plan};

/// An item.
pub(super) type Item = HashMap<String, AttributeValue>;

/// An item that does not hold what its key promises.
#[derive(Debug, thiserror::Error)]
#[error("item {key} has no good \"{field}\"")]
pub(super) struct BadItem {
    key: String,
    field: &'static str,
}

/// Sort key of a fleet's meta item: before all others of the partition.
pub(super) const META: &str = "a#meta";
/// Sort key of a fleet's breakers: after the meta item, before the others.
pub(super) const OFFERS: &str = "b#offers";
/// Sort key of a job.
pub(super) const JOB: &str = "job";
/// Partition key of the buckets of tokens.
pub(super) const BUCKETS: &str = "buckets";
/// Sort key of the buckets of tokens.
pub(super) const BUCKET: &str = "bucket";
/// Sort key prefix of the markers.
pub(super) const QUEUED: &str = "queued#";
/// Sort key prefix of what people asked for: after the meta item and before the markers.
pub(super) const MANUAL: &str = "manual#";
/// Sort key prefix of the reservations.
pub(super) const RESERVATION: &str = "reservation#";
/// Sort key prefix of the runners.
pub(super) const RUNNER: &str = "runner#";

/// Sort key of a note.
pub(super) const NOTE: &str = "note";

/// Partition key of a note.
pub(super) fn note_pk(key: &str) -> String {
    format!("note#{key}")
}

/// Partition key of a job.
pub(super) fn job_pk(id: u64) -> String {
    format!("job#{id}")
}

/// Partition key of a fleet.
pub(super) fn fleet_pk(fleet: &str) -> String {
    format!("fleet#{fleet}")
}

/// Partition key of the agents' signs of life.
pub(super) fn heard_pk(fleet: &str) -> String {
    format!("heard#{fleet}")
}

/// A key as an item.
pub(super) fn key(pk: String, sk: String) -> Item {
    HashMap::from([("pk".to_owned(), text(pk)), ("sk".to_owned(), text(sk))])
}

pub(super) fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

pub(super) fn number(value: impl Into<u64>) -> AttributeValue {
    AttributeValue::N(value.into().to_string())
}

/// An item being built: absent values are left out.
struct Builder(Item);

impl Builder {
    fn new(pk: String, sk: String, version: u64) -> Self {
        let mut item = key(pk, sk);
        item.insert("v".to_owned(), number(version + 1));
        Self(item)
    }

    fn text(mut self, name: &str, value: impl Into<String>) -> Self {
        self.0.insert(name.to_owned(), text(value));
        self
    }

    fn number(mut self, name: &str, value: impl Into<Option<u64>>) -> Self {
        if let Some(value) = value.into() {
            self.0.insert(name.to_owned(), number(value));
        }
        self
    }

    fn history(mut self, history: &History) -> Self {
        let entries: Vec<AttributeValue> = history.entries().iter().map(from_entry).collect();
        if !entries.is_empty() {
            self.0.insert("history".to_owned(), AttributeValue::L(entries));
        }
        self
    }

    fn maybe(mut self, name: &str, value: Option<String>) -> Self {
        if let Some(value) = value {
            self.0.insert(name.to_owned(), text(value));
        }
        self
    }

    fn texts(mut self, name: &str, values: &[String]) -> Self {
        if !values.is_empty() {
            self.0.insert(name.to_owned(), AttributeValue::L(values.iter().map(text).collect()));
        }
        self
    }
}

/// A note is overwritten, never on a condition: it has no version.
pub(super) fn from_note(note: &str, value: u64, expires: u64) -> Item {
    let mut item = key(note_pk(note), NOTE.to_owned());
    item.extend([("value".to_owned(), number(value)), ("expires".to_owned(), number(expires))]);
    item
}

pub(super) fn to_note(item: &Item) -> Option<u64> {
    Fields(item).maybe_number("value")
}

pub(super) fn from_job(job: &Job) -> Item {
    let labels = job.labels.iter().map(text).collect();
    let mut item = Builder::new(job_pk(job.id), JOB.to_owned(), job.version)
        .text("state", job.state.name())
        .text("fleet", &job.fleet)
        .text("repository", &job.repository)
        .text("owner", job.repository.split('/').next().unwrap_or_default())
        .number("run_id", job.run_id)
        .number("run_attempt", job.run_attempt)
        .number("installation_id", job.installation)
        .maybe("runner_name", job.runner_name.clone())
        .number("queued_at", job.queued_at)
        .number("running_at", job.running_at)
        .number("done_at", job.done_at)
        .history(&job.history)
        .number("expires", job.expires)
        .0;
    item.insert("labels".to_owned(), AttributeValue::L(labels));
    item
}

pub(super) fn to_job(item: &Item) -> Result<Job, BadItem> {
    let fields = Fields(item);
    let labels = item.get("labels").and_then(|list| list.as_l().ok());
    let labels = labels.map(|list| list.iter().filter_map(|it| it.as_s().ok().cloned()).collect());
    Ok(Job {
        id: fields.after("pk", "job#")?.parse().map_err(|_| fields.bad("pk"))?,
        state: JobState::named(&fields.text("state")?).ok_or_else(|| fields.bad("state"))?,
        fleet: fields.text("fleet")?,
        labels: labels.ok_or_else(|| fields.bad("labels"))?,
        repository: fields.text("repository")?,
        run_id: fields.number("run_id")?,
        run_attempt: fields.number("run_attempt")?,
        installation: fields.maybe_number("installation_id"),
        runner_name: fields.text("runner_name").ok(),
        queued_at: fields.maybe_number("queued_at"),
        running_at: fields.maybe_number("running_at"),
        done_at: fields.maybe_number("done_at"),
        history: to_history(item),
        expires: fields.number("expires")?,
        version: fields.number("v")?,
    })
}

pub(super) fn from_marker(marker: &Marker) -> Item {
    Builder::new(fleet_pk(&marker.fleet), format!("{QUEUED}{}", marker.job), 0)
        .number("queued_at", marker.queued_at)
        .number("installation_id", marker.installation)
        .text("repository", &marker.repository)
        .text("owner", marker.repository.split('/').next().unwrap_or_default())
        .texts("asks", &marker.asks)
        .number("on_demand", marker.on_demand.then_some(1))
        .number("expires", marker.expires)
        .0
}

pub(super) fn to_marker(item: &Item) -> Result<Marker, BadItem> {
    let fields = Fields(item);
    Ok(Marker {
        fleet: fields.after("pk", "fleet#")?,
        job: fields.after("sk", QUEUED)?.parse().map_err(|_| fields.bad("sk"))?,
        queued_at: fields.number("queued_at")?,
        installation: fields.maybe_number("installation_id"),
        repository: fields.text("repository")?,
        asks: fields.texts("asks"),
        on_demand: fields.maybe_number("on_demand").is_some(),
        expires: fields.number("expires")?,
    })
}

pub(super) fn to_meta(item: &Item) -> Meta {
    let number = |name| Fields(item).maybe_number(name).unwrap_or(0);
    let last_error = item.get("last_error").and_then(|it| it.as_m().ok()).map(|it| LastError {
        code: Fields(it).text("code").unwrap_or_default(),
        message: Fields(it).text("message").unwrap_or_default(),
        at: Fields(it).maybe_number("at").unwrap_or(0),
        count: Fields(it).maybe_number("count").unwrap_or(0),
    });
    Meta {
        rev: number("rev"),
        alive: number("alive"),
        paused_until: number("paused_until"),
        failures: number("failures"),
        reserved_at: number("reserved_at"),
        drained_at: Fields(item).maybe_number("drained_at"),
        last_error,
        last_plan: item.get("last_plan").and_then(|plan| plan.as_m().ok()).and_then(to_last_plan),
    }
}

pub(super) fn from_last_error(it: &LastError) -> AttributeValue {
    let fields =
        [("code", text(&it.code)), ("message", text(&it.message)), ("at", number(it.at)), ("count", number(it.count))];
    AttributeValue::M(fields.map(|(name, value)| (name.to_owned(), value)).into())
}

pub(super) fn from_reservation(it: &Reservation) -> Item {
    Builder::new(fleet_pk(&it.fleet), format!("{RESERVATION}{}", it.id), it.version)
        .number("count", u64::from(it.count))
        .number("group", u64::from(it.group))
        .maybe("market", it.market.map(|it| it.name().to_owned()))
        .texts("without", &it.without)
        .texts("asks", &it.asks)
        .number("standby", it.standby.then_some(1))
        .text("scope", it.scope.to_string())
        .number("installation_id", it.installation)
        .maybe("trace", it.trace.clone())
        .number("created_at", it.created_at)
        .number("lease_until", it.lease_until)
        .0
}

pub(super) fn to_reservation(item: &Item) -> Result<Reservation, BadItem> {
    let fields = Fields(item);
    Ok(Reservation {
        fleet: fields.after("pk", "fleet#")?,
        id: fields.after("sk", RESERVATION)?,
        group: u32::try_from(fields.maybe_number("group").unwrap_or(0)).map_err(|_| fields.bad("group"))?,
        count: u32::try_from(fields.number("count")?).map_err(|_| fields.bad("count"))?,
        market: fields.market()?,
        without: fields.texts("without"),
        asks: fields.texts("asks"),
        standby: fields.maybe_number("standby").is_some(),
        scope: fields.text("scope")?.parse().map_err(|_| fields.bad("scope"))?,
        installation: fields.maybe_number("installation_id"),
        trace: fields.text("trace").ok(),
        created_at: fields.number("created_at")?,
        lease_until: fields.number("lease_until")?,
        version: fields.number("v")?,
    })
}

pub(super) fn from_runner(it: &Runner) -> Item {
    let mut item = Builder::new(fleet_pk(&it.fleet), format!("{RUNNER}{}", it.instance), it.next_version() - 1)
        .text("state", it.state.name())
        .text("reservation", &it.reservation)
        .maybe("market", it.market.map(|it| it.name().to_owned()))
        .maybe("instance_type", it.instance_type.clone())
        .texts("asks", &it.asks)
        .text("runner_name", dayfly_contract::names::runner_name(&it.fleet, &it.instance))
        .maybe("scope", it.scope.as_ref().map(ToString::to_string))
        .number("installation_id", it.installation)
        .number("runner_id", it.runner_id)
        .maybe("trace", it.trace.clone())
        .history(&it.history)
        .number("launched_at", it.launched_at)
        .number("boot_deadline", it.boot_deadline)
        .number("lease_until", it.lease_until)
        .number("stopped_at", it.stops.at)
        .number("started_at", it.stops.started_at)
        .number("stopped_ms", Some(it.stops.before).filter(|ms| *ms > 0))
        .number("untouched", it.untouched.then_some(1))
        .number("expires", it.expires)
        .number("told_at", it.reuse.as_ref().and_then(|reuse| reuse.told_at))
        .0;
    if let Some(reuse) = &it.reuse {
        let running = reuse.running.iter().map(|job| number(*job)).collect();
        item.insert("running".to_owned(), AttributeValue::L(running));
    }
    item
}

/// A runner that takes one job only has no list of them.
fn to_reuse(fields: &Fields<'_>) -> Result<Option<Reuse>, BadItem> {
    let Some(list) = fields.0.get("running") else { return Ok(None) };
    let number = |it: &AttributeValue| it.as_n().ok().and_then(|digits| digits.parse().ok());
    let running = list.as_l().ok().and_then(|list| list.iter().map(number).collect());
    let running = running.ok_or_else(|| fields.bad("running"))?;
    Ok(Some(Reuse { running, told_at: fields.maybe_number("told_at") }))
}

pub(super) fn to_runner(item: &Item) -> Result<Runner, BadItem> {
    let fields = Fields(item);
    let scope = fields.text("scope").ok().map(|scope| scope.parse().map_err(|_| fields.bad("scope")));
    Ok(Runner {
        fleet: fields.after("pk", "fleet#")?,
        instance: fields.after("sk", RUNNER)?,
        state: RunnerState::named(&fields.text("state")?).ok_or_else(|| fields.bad("state"))?,
        reservation: fields.text("reservation")?,
        market: fields.market()?,
        instance_type: fields.text("instance_type").ok(),
        asks: fields.texts("asks"),
        scope: scope.transpose()?,
        installation: fields.maybe_number("installation_id"),
        runner_id: fields.maybe_number("runner_id"),
        reuse: to_reuse(&fields)?,
        trace: fields.text("trace").ok(),
        history: to_history(item),
        launched_at: fields.number("launched_at")?,
        boot_deadline: fields.number("boot_deadline")?,
        lease_until: fields.number("lease_until")?,
        stops: Stops {
            at: fields.maybe_number("stopped_at"),
            started_at: fields.maybe_number("started_at"),
            before: fields.maybe_number("stopped_ms").unwrap_or(0),
        },
        untouched: fields.maybe_number("untouched").is_some(),
        expires: fields.maybe_number("expires"),
        version: fields.number("v")?,
    })
}

/// An item's sort key.
pub(super) fn sort_key(item: &Item) -> &str {
    item.get("sk").and_then(|sk| sk.as_s().ok()).map_or("", String::as_str)
}

struct Fields<'a>(&'a Item);

impl Fields<'_> {
    fn bad(&self, field: &'static str) -> BadItem {
        let part = |name| self.0.get(name).and_then(|it| it.as_s().ok()).map_or("?", String::as_str);
        BadItem { key: format!("{} / {}", part("pk"), part("sk")), field }
    }

    fn text(&self, name: &'static str) -> Result<String, BadItem> {
        self.0.get(name).and_then(|it| it.as_s().ok()).cloned().ok_or_else(|| self.bad(name))
    }

    /// A list that older versions did not write, or that is left out where it is empty.
    fn texts(&self, name: &str) -> Vec<String> {
        let list = self.0.get(name).and_then(|list| list.as_l().ok());
        list.map(|list| list.iter().filter_map(|it| it.as_s().ok().cloned()).collect()).unwrap_or_default()
    }

    fn market(&self) -> Result<Option<Market>, BadItem> {
        let Ok(told) = self.text("market") else { return Ok(None) };
        let found = Market::WORDS.iter().find(|(word, _)| *word == told).map(|(_, market)| *market);
        found.map(Some).ok_or_else(|| self.bad("market"))
    }

    fn after(&self, name: &'static str, prefix: &str) -> Result<String, BadItem> {
        self.text(name)?.strip_prefix(prefix).map(str::to_owned).ok_or_else(|| self.bad(name))
    }

    fn maybe_number(&self, name: &str) -> Option<u64> {
        self.0.get(name).and_then(|it| it.as_n().ok()).and_then(|digits| digits.parse().ok())
    }

    fn number(&self, name: &'static str) -> Result<u64, BadItem> {
        self.maybe_number(name).ok_or_else(|| self.bad(name))
    }
}

#[cfg(test)]
mod tests;
