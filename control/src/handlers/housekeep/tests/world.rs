//! An account and its buckets in memory.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    time::Duration,
};

use futures::FutureExt;
use serde_json::Value;

use super::super::{Deps, Ports, Settings, handle};
use crate::{
    clock::{Clock, Millis},
    decide::housekeeping::{Image, ImagePolicy, Kind, Leftover},
    estate::{Estate, EstateError, Instance, TemplateVersion},
    fleets::{Fleet, Fleets, Pattern, tests},
    handlers::sync_runner::Incomplete,
    metrics::Metrics,
    objects::memory::{Life, MemoryObjects},
    report::Failure,
};

pub(super) const HOUR: Millis = 3_600_000;
pub(super) const DAY: Millis = 24 * HOUR;
pub(super) const NOW: Millis = 1_795_000_000_000;

pub(super) struct World {
    pub(super) settings: Settings,
    pub(super) estate: FakeEstate,
    pub(super) reports: MemoryObjects,
    pub(super) registrations: MemoryObjects,
    pub(super) deadline: Millis,
    fleets: Fleets,
    now: Millis,
    metrics: Vec<Value>,
}

#[derive(Clone, Default)]
pub(super) struct FakeEstate(Rc<Inner>);

#[derive(Default)]
struct Inner {
    images: RefCell<BTreeMap<String, Image>>,
    snapshots: RefCell<BTreeSet<String>>,
    instances: RefCell<Vec<Instance>>,
    templates: RefCell<Vec<TemplateVersion>>,
    parameters: RefCell<BTreeMap<String, String>>,
    unlisted: RefCell<BTreeMap<String, String>>,
    leftovers: RefCell<Vec<Leftover>>,
    changes: RefCell<Vec<String>>,
    life: Rc<Life>,
    fails: RefCell<Option<String>>,
}

#[derive(Clone, Copy)]
struct At(Millis);

impl Clock for At {
    fn now(&self) -> Millis {
        self.0
    }

    fn random(&self) -> u128 {
        0
    }

    async fn sleep(&self, _: Duration) {}
}

struct Fakes;

impl Ports for Fakes {
    type Estate = FakeEstate;
    type Objects = MemoryObjects;
    type Clock = At;
}

impl World {
    pub(super) fn new() -> Self {
        let tags = [("dayfly:image".to_owned(), Pattern::new("*"))].into();
        let world = Self {
            settings: Settings {
                dry_run: false,
                images: ImagePolicy { tags, age: Duration::from_hours(24 * 30), keep: 1, most: 10 },
                leftover_age: Duration::from_hours(24),
                most: 10,
                registrations: "registrations/AROA:".into(),
                reports: "housekeep".into(),
            },
            estate: FakeEstate::default(),
            reports: MemoryObjects::default(),
            registrations: MemoryObjects::default(),
            deadline: Millis::MAX,
            fleets: tests::fleets([tests::fleet("f")]),
            now: NOW,
            metrics: vec![],
        };
        for objects in [&world.reports, &world.registrations] {
            objects.live(&world.estate.0.life);
        }
        world.reports.set_now(NOW);
        world.registrations.set_now(NOW);
        world
    }

    /// Images and how many days ago they were made.
    pub(super) fn images(&mut self, images: &[(&str, u64)]) {
        for (id, days) in images {
            let created_at = NOW - days * DAY;
            let image = Image {
                id: (*id).to_owned(),
                name: "n".into(),
                last_used: created_at,
                created_at,
                architecture: "x86_64".into(),
                tags: [("dayfly:image".to_owned(), "linux".to_owned())].into(),
                snapshots: vec![format!("snap-{id}")],
                held: None,
            };
            self.estate.0.snapshots.borrow_mut().extend(image.snapshots.clone());
            self.estate.0.images.borrow_mut().insert((*id).to_owned(), image);
        }
    }

    pub(super) fn leftover(&mut self, kind: Kind, id: &str, age: Millis, instance: Option<&str>) {
        let instance = instance.map(str::to_owned);
        let it = Leftover { kind, id: id.to_owned(), since: NOW - age, instance };
        self.estate.0.leftovers.borrow_mut().push(it);
    }

    pub(super) fn fleet(&mut self) -> &mut Fleet {
        &mut self.fleets.fleets[0]
    }

    pub(super) fn pass(&mut self, time: Millis) {
        self.now += time;
    }

    /// From step number `step` (from 0) of a run on, nothing is done any more.
    pub(super) fn die_at(&mut self, step: Option<usize>) {
        self.estate.0.life.end_at(step);
    }

    pub(super) fn steps(&self) -> usize {
        self.estate.0.life.calls()
    }

    /// One invocation.
    pub(super) fn run(&mut self) -> Result<(), Incomplete> {
        let deps = Deps::<Fakes> {
            settings: self.settings.clone(),
            fleets: self.fleets.clone(),
            estate: self.estate.clone(),
            reports: self.reports.clone(),
            registrations: Some(self.registrations.clone()),
            metrics: Metrics::new("main", "housekeep"),
            clock: At(self.now),
        };
        // The fakes never wait.
        let done = handle(&deps, self.deadline).now_or_never().unwrap();
        self.metrics = deps.metrics.take(self.now).iter().map(|it| serde_json::from_str(it).unwrap()).collect();
        *self.estate.0.fails.borrow_mut() = None;
        self.reports.fail(None);
        done
    }

    pub(super) fn report(&self) -> Value {
        serde_json::from_slice(&self.reports.get("housekeep/report.json").unwrap()).unwrap()
    }

    /// Snapshots that are still to be deleted.
    pub(super) fn pending(&self) -> Vec<String> {
        let Some(text) = self.reports.get("housekeep/snapshots.json") else { return vec![] };
        let pending: Value = serde_json::from_slice(&text).unwrap();
        pending["snapshots"].as_array().unwrap().iter().map(|it| it.as_str().unwrap().to_owned()).collect()
    }

    /// How much of everything came to `action`.
    pub(super) fn metric(&self, action: &str) -> u64 {
        self.metrics.iter().filter(|it| it["Action"] == action).filter_map(|it| it["Housekeeping"].as_u64()).sum()
    }
}

impl FakeEstate {
    pub(super) fn instance(&self, id: &str, image: &str) {
        self.0.instances.borrow_mut().push(Instance { id: id.to_owned(), image: image.to_owned() });
    }

    pub(super) fn template(&self, it: TemplateVersion) {
        self.0.templates.borrow_mut().push(it);
    }

    pub(super) fn parameter(&self, name: &str, value: &str) {
        self.0.parameters.borrow_mut().insert(name.to_owned(), value.to_owned());
    }

    /// One that can be read by its name, and is in no list.
    pub(super) fn unlisted(&self, name: &str, value: &str) {
        self.0.unlisted.borrow_mut().insert(name.to_owned(), value.to_owned());
    }

    pub(super) fn rename(&self, image: &str, name: &str) {
        self.0.images.borrow_mut().get_mut(image).unwrap().name = name.to_owned();
    }

    pub(super) fn share(&self, image: &str, snapshot: &str) {
        self.0.images.borrow_mut().get_mut(image).unwrap().snapshots.push(snapshot.to_owned());
    }

    /// In the next run calls that begin like this fail.
    pub(super) fn fail(&self, call: &str) {
        *self.0.fails.borrow_mut() = Some(call.to_owned());
    }

    pub(super) fn changes(&self) -> Vec<String> {
        self.0.changes.take()
    }

    pub(super) fn snapshots(&self) -> Vec<String> {
        self.0.snapshots.borrow().iter().cloned().collect()
    }

    pub(super) fn images_left(&self) -> Vec<String> {
        self.0.images.borrow().keys().cloned().collect()
    }

    pub(super) fn leftovers_left(&self) -> Vec<String> {
        self.0.leftovers.borrow().iter().map(|it| it.id.clone()).collect()
    }

    fn call(&self, what: &str) -> Result<(), EstateError> {
        let dead = self.0.life.is_over();
        let fails = self.0.fails.borrow().as_ref().is_some_and(|it| what.starts_with(it));
        if dead || fails { Err(EstateError(Failure::new(what, "told to"))) } else { Ok(()) }
    }

    fn change(&self, what: String) -> Result<(), EstateError> {
        self.call(&what)?;
        self.0.changes.borrow_mut().push(what);
        Ok(())
    }
}

impl Estate for FakeEstate {
    async fn images(&self) -> Result<Vec<Image>, EstateError> {
        self.call("images")?;
        Ok(self.0.images.borrow().values().cloned().collect())
    }

    async fn instances(&self) -> Result<Vec<Instance>, EstateError> {
        self.call("instances")?;
        Ok(self.0.instances.borrow().clone())
    }

    async fn template_versions(&self) -> Result<Vec<TemplateVersion>, EstateError> {
        self.call("template_versions")?;
        Ok(self.0.templates.borrow().clone())
    }

    async fn parameter_names(&self) -> Result<Vec<String>, EstateError> {
        self.call("parameter_names")?;
        Ok(self.0.parameters.borrow().keys().cloned().collect())
    }

    async fn parameters(&self, names: &[String]) -> Result<BTreeMap<String, String>, EstateError> {
        self.call("parameters")?;
        let (listed, unlisted) = (self.0.parameters.borrow(), self.0.unlisted.borrow());
        let value = |name: &String| Some((name.clone(), listed.get(name).or(unlisted.get(name))?.clone()));
        Ok(names.iter().filter_map(value).collect())
    }

    async fn leftovers(&self) -> Result<Vec<Leftover>, EstateError> {
        self.call("leftovers")?;
        Ok(self.0.leftovers.borrow().clone())
    }

    async fn deregister(&self, image: &str) -> Result<(), EstateError> {
        self.change(format!("deregister {image}"))?;
        self.0.images.borrow_mut().remove(image);
        Ok(())
    }

    async fn delete_snapshot(&self, id: &str) -> Result<(), EstateError> {
        self.change(format!("delete_snapshot {id}"))?;
        self.0.snapshots.borrow_mut().remove(id);
        Ok(())
    }

    async fn delete(&self, it: &Leftover) -> Result<(), EstateError> {
        self.change(format!("delete {}", it.id))?;
        self.0.leftovers.borrow_mut().retain(|other| other.id != it.id);
        Ok(())
    }
}
