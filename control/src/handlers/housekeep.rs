//! Clears away what nobody needs: old images and their snapshots, registrations that nobody will claim, volumes and spot
//! requests of instances that are gone.
//!
//! It looks at everything first, decides, writes down what it is going to do, and does it; or, in a dry run, only tells.
//! Where something that may name an image can't be seen, no image goes. What it did, and why each other image stays, is a
//! report: one log line and an object.

mod images;
mod report;

use std::time::Duration;

use tracing::{error, info, warn};

use self::report::{Entry, Outcome, Report};
use super::sync_runner::Incomplete;
use crate::{
    clock::{Clock, Millis},
    decide::housekeeping::{ImagePolicy, Kind, Leftover, leftovers},
    estate::{Estate, Instance},
    fleets::Fleets,
    metrics::{Metric, Metrics},
    objects::{If, Objects, ObjectsError},
    report::Chain,
};

/// With less before the deadline nothing is begun any more; the report is still to be written.
const TIME_FOR_THE_END: Duration = Duration::from_secs(30);
/// Bytes of a report that are a log line; CloudWatch takes 256 KiB.
const LONGEST_LINE: usize = 200_000;

/// What goes, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Whether it is only told what would go.
    pub dry_run: bool,
    /// Which images.
    pub images: ImagePolicy,
    /// How old what instances left behind has to be.
    pub leftover_age: Duration,
    /// So many of each kind of it go at a time.
    pub most: usize,
    /// What the keys of registrations in S3 begin with.
    pub registrations: String,
    /// What the keys of the report, and of what is still to be done, begin with; without `/` at the end.
    pub reports: String,
}

/// The outside world: in production AWS, in tests one that is simulated.
pub trait Ports {
    /// The account.
    type Estate: Estate;
    /// The buckets of reports and registrations.
    type Objects: Objects;
    /// Time.
    type Clock: Clock;
}

/// What the handler works with.
#[derive(Debug)]
pub struct Deps<P: Ports> {
    /// What goes, and when.
    pub settings: Settings,
    /// The fleets, which name images.
    pub fleets: Fleets,
    /// The account.
    pub estate: P::Estate,
    /// Where reports are kept.
    pub reports: P::Objects,
    /// Where registrations are handed over by S3, if any are.
    pub registrations: Option<P::Objects>,
    /// What is measured.
    pub metrics: Metrics,
    /// Time.
    pub clock: P::Clock,
}

/// Looks, decides, clears away, and reports, in an invocation that is killed at `deadline`.
pub async fn handle<P: Ports>(deps: &Deps<P>, deadline: Millis) -> Result<(), Incomplete> {
    let mut run = Run { deps, deadline, failures: 0, report: Report::new(deps.settings.dry_run, deps.clock.now()) };
    match deps.estate.instances().await {
        Ok(instances) => {
            images::clear(&mut run, &instances).await;
            run.leftovers(&instances).await;
        }
        // Without it nothing is certain.
        Err(error) => run.failed("estate", &Chain(&error).to_string()),
    }
    run.tell().await;
    if run.failures == 0 { Ok(()) } else { Err(Incomplete(run.failures)) }
}

struct Run<'a, P: Ports> {
    deps: &'a Deps<P>,
    deadline: Millis,
    failures: usize,
    report: Report,
}

impl<P: Ports> Run<'_, P> {
    fn failed(&mut self, reason: &'static str, why: &str) {
        self.failures += 1;
        self.deps.metrics.refused(reason);
        self.report.errors.push(why.to_owned());
        error!("{why}");
    }

    fn count(&self, kind: &str, action: &str) {
        self.deps.metrics.add(Metric::Housekeeping, 1, &[("Kind", kind), ("Action", action)]);
    }

    fn time_is_left(&self) -> bool {
        u128::from(self.deadline.saturating_sub(self.deps.clock.now())) >= TIME_FOR_THE_END.as_millis()
    }

    async fn leftovers(&mut self, instances: &[Instance]) {
        let (deps, settings) = (self.deps, &self.deps.settings);
        let mut found = Vec::new();
        match deps.estate.leftovers().await {
            Ok(leftovers) => found.extend(leftovers),
            Err(error) => self.failed("estate", &Chain(&error).to_string()),
        }
        match self.objects().await {
            Ok(objects) => found.extend(objects),
            Err(error) => self.failed("store", &Chain(&error).to_string()),
        }
        let alive = instances.iter().map(|it| it.id.clone()).collect();
        for kind in [Kind::Parameter, Kind::Object, Kind::Volume, Kind::SpotRequest] {
            let of_kind: Vec<Leftover> = found.iter().filter(|it| it.kind == kind).cloned().collect();
            let now = deps.clock.now();
            for it in leftovers(&of_kind, &alive, settings.leftover_age, settings.most, now) {
                let outcome = self.clear(it).await;
                self.count(kind.name(), outcome.name());
                self.report.leftovers.push(Entry { kind, id: it.id.clone(), since: it.since, outcome });
            }
        }
    }

    async fn objects(&self) -> Result<Vec<Leftover>, ObjectsError> {
        let Some(registrations) = &self.deps.registrations else { return Ok(vec![]) };
        let listed = registrations.list(&self.deps.settings.registrations).await?;
        let leftover = |it: crate::objects::Listed| Leftover {
            kind: Kind::Object,
            id: it.key,
            since: it.modified_at,
            instance: None,
        };
        Ok(listed.into_iter().map(leftover).collect())
    }

    async fn clear(&mut self, it: &Leftover) -> Outcome {
        if self.deps.settings.dry_run {
            return Outcome::WouldGo;
        }
        if !self.time_is_left() {
            return Outcome::Later;
        }
        let done = match (it.kind, &self.deps.registrations) {
            (Kind::Object, Some(objects)) => objects.delete(&it.id).await.map_err(|it| Chain(&it).to_string()),
            _ => self.deps.estate.delete(it).await.map_err(|it| Chain(&it).to_string()),
        };
        match done {
            Ok(()) => {
                info!(leftover.kind = it.kind.name(), leftover.id = it.id, "Cleared a leftover away");
                Outcome::Gone
            }
            Err(why) => {
                self.failed("not_cleared", &why);
                Outcome::Failed
            }
        }
    }

    /// The report, as a log line and an object.
    async fn tell(&mut self) {
        let text = self.report.text();
        if text.len() <= LONGEST_LINE {
            info!(report = text, "Housekeeping: {}", self.report.summary());
        } else {
            warn!("Housekeeping: {}; the report is too long for a log line", self.report.summary());
        }
        let key = format!("{}/report.json", self.deps.settings.reports);
        if let Err(error) = self.deps.reports.write(&key, &text, If::Always).await {
            self.failed("store", &Chain(&error).to_string());
        }
    }
}

#[cfg(test)]
mod tests;
