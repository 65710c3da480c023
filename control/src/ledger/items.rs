//! Records as DynamoDB items and back. The shapes are listed in `docs/interface.md`.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use super::{Job, Marker, Meta, Reservation, Runner};
use crate::decide::{jobs::JobState, runners::RunnerState};

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
/// Sort key of a job.
pub(super) const JOB: &str = "job";
/// Sort key prefix of the markers.
pub(super) const QUEUED: &str = "queued#";
/// Sort key prefix of the reservations.
pub(super) const RESERVATION: &str = "reservation#";
/// Sort key prefix of the runners.
pub(super) const RUNNER: &str = "runner#";

/// Partition key of a job.
pub(super) fn job_pk(id: u64) -> String {
    format!("job#{id}")
}

/// Partition key of a fleet.
pub(super) fn fleet_pk(fleet: &str) -> String {
    format!("fleet#{fleet}")
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

    fn maybe(mut self, name: &str, value: Option<String>) -> Self {
        if let Some(value) = value {
            self.0.insert(name.to_owned(), text(value));
        }
        self
    }
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
        expires: fields.number("expires")?,
    })
}

pub(super) fn to_meta(item: &Item) -> Meta {
    let number = |name| Fields(item).maybe_number(name).unwrap_or(0);
    Meta {
        rev: number("rev"),
        alive: number("alive"),
        paused_until: number("paused_until"),
        failures: number("failures"),
    }
}

pub(super) fn from_reservation(it: &Reservation) -> Item {
    Builder::new(fleet_pk(&it.fleet), format!("{RESERVATION}{}", it.id), it.version)
        .number("count", u64::from(it.count))
        .text("scope", it.scope.to_string())
        .number("installation_id", it.installation)
        .number("created_at", it.created_at)
        .number("lease_until", it.lease_until)
        .0
}

pub(super) fn to_reservation(item: &Item) -> Result<Reservation, BadItem> {
    let fields = Fields(item);
    Ok(Reservation {
        fleet: fields.after("pk", "fleet#")?,
        id: fields.after("sk", RESERVATION)?,
        count: u32::try_from(fields.number("count")?).map_err(|_| fields.bad("count"))?,
        scope: fields.text("scope")?.parse().map_err(|_| fields.bad("scope"))?,
        installation: fields.maybe_number("installation_id"),
        created_at: fields.number("created_at")?,
        lease_until: fields.number("lease_until")?,
        version: fields.number("v")?,
    })
}

pub(super) fn from_runner(it: &Runner) -> Item {
    Builder::new(fleet_pk(&it.fleet), format!("{RUNNER}{}", it.instance), it.version)
        .text("state", it.state.name())
        .text("reservation", &it.reservation)
        .text("runner_name", dayfly_contract::names::runner_name(&it.fleet, &it.instance))
        .maybe("scope", it.scope.as_ref().map(ToString::to_string))
        .number("installation_id", it.installation)
        .number("runner_id", it.runner_id)
        .number("launched_at", it.launched_at)
        .number("boot_deadline", it.boot_deadline)
        .number("lease_until", it.lease_until)
        .number("expires", it.expires)
        .0
}

pub(super) fn to_runner(item: &Item) -> Result<Runner, BadItem> {
    let fields = Fields(item);
    let scope = fields.text("scope").ok().map(|scope| scope.parse().map_err(|_| fields.bad("scope")));
    Ok(Runner {
        fleet: fields.after("pk", "fleet#")?,
        instance: fields.after("sk", RUNNER)?,
        state: RunnerState::named(&fields.text("state")?).ok_or_else(|| fields.bad("state"))?,
        reservation: fields.text("reservation")?,
        scope: scope.transpose()?,
        installation: fields.maybe_number("installation_id"),
        runner_id: fields.maybe_number("runner_id"),
        launched_at: fields.number("launched_at")?,
        boot_deadline: fields.number("boot_deadline")?,
        lease_until: fields.number("lease_until")?,
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
mod tests {
    use super::{from_job, from_marker, from_reservation, from_runner, to_job, to_marker, to_reservation, to_runner};
    use crate::ledger::{
        Job, Reservation, Runner,
        tests::{job, marker, reservation, runner},
    };

    #[test]
    fn every_record_comes_back_with_its_next_version() {
        let full = Job { runner_name: Some("r".into()), running_at: Some(3), ..job(7, "linux-x64") };
        assert_eq!(to_job(&from_job(&full)).unwrap(), Job { version: 1, ..full });
        let bare = Job { installation: None, queued_at: None, labels: vec![], ..job(7, "linux-x64") };
        assert_eq!(to_job(&from_job(&bare)).unwrap(), Job { version: 1, ..bare });
        assert_eq!(to_marker(&from_marker(&marker("linux-x64", 7))).unwrap(), marker("linux-x64", 7));
        let it = Reservation { version: 4, ..reservation("linux-x64", "r1", 3) };
        assert_eq!(to_reservation(&from_reservation(&it)).unwrap(), Reservation { version: 5, ..it });
        let it = runner("linux-x64", 1);
        assert_eq!(to_runner(&from_runner(&it)).unwrap(), Runner { version: 1, ..it });
        let it = Runner { scope: None, runner_id: Some(3), expires: Some(9), ..runner("linux-x64", 1) };
        assert_eq!(to_runner(&from_runner(&it)).unwrap(), Runner { version: 1, ..it });
    }

    #[test]
    fn a_bad_item_names_its_key_and_field() {
        let mut item = from_runner(&runner("linux-x64", 1));
        item.insert("state".into(), super::text("asleep"));
        let error = to_runner(&item).unwrap_err().to_string();
        assert_eq!(error, "item fleet#linux-x64 / runner#i-00000000000000001 has no good \"state\"");
    }
}
