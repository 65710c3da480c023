//! GitHub, the instances and Lambda, played over the handlers, and what must be true of it.
//!
//! Deliveries come late, in any order and twice; so do lifecycle messages and wake-ups. Invocations run beside each
//! other and may be killed at any call. Where a delivery fails it is delivered again, as an operator or the reconciler
//! has GitHub do.

mod asleep;
mod checks;
mod lives;

use std::{
    cell::Cell,
    collections::{BTreeMap, HashMap},
    pin::Pin,
    rc::Rc,
    task::Poll,
};

use aws_lambda_events::{
    apigw::ApiGatewayV2httpRequest,
    sqs::{SqsBatchResponse, SqsEvent, SqsMessage},
};
use secrecy::SecretString;

use lives::{CLAIM_DEADLINE, IDLE_LIMIT, Instance, Job, Life};

use super::{
    runtime::{Random, step},
    world::{self, Port},
};
use crate::{
    decide::{bucket::Limits, jobs::JobState, reconcile::wakes},
    fleets::Fleets,
    handlers::{lifecycle, scale_up, webhook},
    metrics::Metrics,
    wake::WakeUp,
};

const SECRET: &str = "It's a Secret to Everybody";
/// Of every function, and of its queue, which counts it from the receive.
const TIMEOUT: u64 = 30_000;
/// How often the levels of fleets with a pool are looked at, as reconcile does.
const MINUTE: u64 = 60_000;
/// A delivery that failed is made again after so long.
const REDELIVERY: u64 = 60_000;

/// What a run is like.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    pub(crate) fleets: Fleets,
    /// Labels to choose from for each job.
    pub(crate) labels: Vec<Vec<&'static str>>,
    pub(crate) jobs: u64,
    /// The longest that a webhook is late.
    pub(crate) lateness: u64,
    /// The longest that a job runs.
    pub(crate) longest_job: u64,
    /// Whether no webhook tells that a job has begun.
    pub(crate) quiet: bool,
    /// How many invocations are killed.
    pub(crate) crashes: u32,
    /// The step at which one is killed.
    pub(crate) kill_at: Option<u32>,
    pub(crate) limits: Limits,
    /// Offers that EC2 has none of, and for how long from the beginning.
    pub(crate) dry: Vec<(String, u64)>,
}

#[derive(Clone)]
struct Message {
    body: String,
    sender: String,
    visible_at: u64,
    received: u32,
}

#[derive(Clone)]
enum Cause {
    Delivery(Box<ApiGatewayV2httpRequest>),
    Wakes(Vec<Message>),
    Endings(Vec<Message>),
}

struct Invocation {
    future: Pin<Box<dyn Future<Output = Vec<String>>>>,
    cause: Cause,
    deadline: u64,
}

type WebhookDeps = webhook::Deps<Port>;
type ScaleUpDeps = scale_up::Deps<Port>;
type LifecycleDeps = lifecycle::Deps<Port, Port, Port, Port, Port>;

pub(crate) struct Model {
    pub(crate) port: Port,
    setting: Setting,
    random: Random,
    webhook: Rc<WebhookDeps>,
    scale_up: Rc<ScaleUpDeps>,
    lifecycle: Rc<LifecycleDeps>,
    jobs: BTreeMap<u64, Job>,
    instances: BTreeMap<String, Instance>,
    deliveries: Vec<(u64, ApiGatewayV2httpRequest)>,
    wakes: Vec<Message>,
    endings: Vec<Message>,
    running: Vec<Invocation>,
    crashes: u32,
    /// When the levels of fleets with a pool are looked at next.
    look_at: u64,
    /// Steps of invocations so far.
    pub(crate) steps: u32,
    /// Changes of the ledger that were looked at.
    checked: Cell<u64>,
}

impl Model {
    pub(crate) fn new(setting: Setting, seed: u64) -> Self {
        let port = world::world(seed);
        port.0.concurrent.set(true);
        let until = |(offer, lasts): &(String, u64)| (offer.clone(), port.0.now.get() + lasts);
        *port.0.dry.borrow_mut() = setting.dry.iter().map(until).collect();
        let p = || port.clone();
        let webhook = webhook::Deps {
            fleets: setting.fleets.clone(),
            key: webhook::WebhookKey::new(&SecretString::from(SECRET)),
            ledger: p(),
            github: p(),
            wake: p(),
            bus: None,
            metrics: Metrics::default(),
            clock: p(),
            runs: webhook::KnownRuns::default(),
        };
        let scale_up = scale_up::Deps {
            deployment: "demo".into(),
            fleets: setting.fleets.clone(),
            limits: setting.limits,
            owed: scale_up::Owed::default(),
            ledger: p(),
            compute: p(),
            github: p(),
            handover: p(),
            wake: p(),
            metrics: Metrics::default(),
            clock: p(),
        };
        let metrics = Metrics::default();
        let fleets = setting.fleets.clone();
        let lifecycle =
            lifecycle::Deps { fleets, ledger: p(), github: p(), handover: p(), wake: p(), metrics, clock: p() };
        let crashes = setting.crashes;
        let mut model = Self {
            random: Random::new(seed ^ 0xDA7F),
            webhook: Rc::new(webhook),
            scale_up: Rc::new(scale_up),
            lifecycle: Rc::new(lifecycle),
            jobs: BTreeMap::new(),
            instances: BTreeMap::new(),
            deliveries: Vec::new(),
            wakes: Vec::new(),
            endings: Vec::new(),
            running: Vec::new(),
            crashes,
            look_at: port.0.now.get(),
            steps: 0,
            checked: Cell::default(),
            port,
            setting,
        };
        for id in 1..=model.setting.jobs {
            let at = model.random.pick(model.setting.labels.len());
            let labels = model.setting.labels[at].clone();
            model.jobs.insert(id, Job { labels, state: JobState::Queued, runs: 0, runner: None });
            model.tell(id, "queued");
        }
        model
    }

    fn now(&self) -> u64 {
        self.port.0.now.get()
    }

    fn note(&self, what: impl FnOnce() -> String) {
        self.port.0.note(what());
    }

    /// Plays to the end and answers what came of it.
    pub(crate) fn play(&mut self) -> Result<(), String> {
        for _ in 0..400_000 {
            self.take_in();
            if self.is_over() {
                return Ok(());
            }
            if !self.start_something() && !self.play_instances() && !self.assign() {
                if self.running.is_empty() {
                    let Some(next) = self.next_event() else { return Err(self.dump("nothing will ever happen again")) };
                    self.port.0.now.set(next.max(self.now() + 1));
                    continue;
                }
                self.poll_one();
            } else if !self.running.is_empty() && self.random.chance(70) {
                self.poll_one();
            }
            self.check()?;
        }
        Err(self.dump("it does not end"))
    }

    fn take_in(&mut self) {
        let now = self.now();
        for sent in self.port.0.sent.borrow_mut().drain(..) {
            let body =
                serde_json::to_string(&WakeUp { run: sent.run, ..WakeUp::new(&sent.fleet) }.after(sent.attempts))
                    .unwrap();
            self.wakes.push(Message { body, sender: String::new(), visible_at: sent.visible_at, received: 0 });
        }
        // What control ends is off at once.
        let dead = self.port.0.dead.borrow();
        self.instances.retain(|id, _| !dead.contains(id));
        drop(dead);
        self.power();
        self.look_after_pools();
        let born: Vec<(String, String)> = self.port.0.born.borrow_mut().drain(..).collect();
        for (id, fleet) in born.into_iter().filter(|(id, _)| !self.port.0.dead.borrow().contains(id)) {
            let until = now + self.random.range(5_000, 40_000);
            self.instances.insert(id, Instance { fleet, life: Life::Booting { until } });
        }
    }

    /// Wakes the fleets with a pool that have something to do.
    fn look_after_pools(&mut self) {
        if self.look_at > self.now() {
            return;
        }
        self.look_at += MINUTE;
        self.note_stops();
        for fleet in self.setting.fleets.fleets.iter().filter(|fleet| fleet.pool.is_some()) {
            let view = self.port.0.ledger.borrow().view(&fleet.name);
            if wakes::wake(fleet, &view, self.now()).is_some() {
                let body = serde_json::to_string(&WakeUp::new(&fleet.name)).unwrap();
                self.wakes.push(Message { body, sender: String::new(), visible_at: self.now(), received: 0 });
            }
        }
    }

    /// Whether instances of `fleet` may wait for a registration.
    fn stands_by(&self, fleet: &str) -> bool {
        let pool = self.setting.fleets.get(fleet).and_then(|fleet| fleet.pool.as_ref());
        pool.is_some_and(|pool| pool.kind.stands_by())
    }

    fn is_over(&self) -> bool {
        self.running.is_empty()
            && self.deliveries.is_empty()
            && self.wakes.is_empty()
            && self.endings.is_empty()
            && self.instances.is_empty()
            && self.jobs.values().all(|job| job.state == JobState::Done)
    }

    /// Starts an invocation for something that is due, one time in two.
    fn start_something(&mut self) -> bool {
        let now = self.now();
        if self.running.len() >= 6 || self.random.chance(50) {
            return false;
        }
        if let Some(at) = self.deliveries.iter().position(|(due, _)| *due <= now) {
            let (_, request) = self.deliveries.swap_remove(at);
            self.start(Cause::Delivery(Box::new(request)));
            return true;
        }
        let size = 1 + self.random.pick(5);
        let take = |queue: &mut Vec<Message>| {
            let mut taken = Vec::new();
            while let Some(at) = queue.iter().position(|it| it.visible_at <= now).filter(|_| taken.len() < size) {
                taken.push(queue.swap_remove(at));
            }
            taken
        };
        let wakes = take(&mut self.wakes);
        if !wakes.is_empty() {
            self.start(Cause::Wakes(wakes));
            return true;
        }
        let endings = take(&mut self.endings);
        if !endings.is_empty() {
            self.start(Cause::Endings(endings));
            return true;
        }
        false
    }

    fn start(&mut self, mut cause: Cause) {
        let deadline = self.now() + TIMEOUT;
        if let Cause::Wakes(messages) | Cause::Endings(messages) = &mut cause {
            for message in messages {
                message.received += 1;
            }
        }
        let future: Pin<Box<dyn Future<Output = Vec<String>>>> = match cause.clone() {
            Cause::Delivery(request) => {
                let deps = Rc::clone(&self.webhook);
                Box::pin(async move {
                    let answer = webhook::handle(&deps, &request).await;
                    assert!(matches!(answer.status_code, 202 | 500), "{answer:?}");
                    if answer.status_code == 202 { vec![] } else { vec!["0".to_owned()] }
                })
            }
            Cause::Wakes(messages) => {
                let deps = Rc::clone(&self.scale_up);
                Box::pin(async move { failures(scale_up::handle(&deps, &batch(&messages), deadline).await) })
            }
            Cause::Endings(messages) => {
                let deps = Rc::clone(&self.lifecycle);
                Box::pin(async move { failures(lifecycle::handle(&deps, &batch(&messages)).await) })
            }
        };
        self.running.push(Invocation { future, cause, deadline });
    }

    fn poll_one(&mut self) {
        let at = self.random.pick(self.running.len());
        self.port.0.now.set(self.now() + self.random.below(20));
        let late = self.now() >= self.running[at].deadline;
        self.steps += 1;
        let killed_here = self.setting.kill_at == Some(self.steps);
        if late || killed_here || (self.crashes > 0 && self.random.chance(3)) {
            self.crashes = self.crashes.saturating_sub(1);
            let killed = self.running.swap_remove(at);
            drop(killed.future);
            self.note(|| "killed an invocation".into());
            self.give_back(killed.cause, killed.deadline, None);
            return;
        }
        if let Poll::Ready(failed) = step(self.running[at].future.as_mut()) {
            let done = self.running.swap_remove(at);
            self.give_back(done.cause, done.deadline, Some(&failed));
        }
    }

    /// What an invocation did not settle comes again. `failed`: the positions of those messages; none: all.
    fn give_back(&mut self, cause: Cause, deadline: u64, failed: Option<&[String]>) {
        let now = self.now();
        let is_back = |i: usize| failed.is_none_or(|failed| failed.contains(&i.to_string()));
        let sooner: HashMap<String, u64> =
            self.port.0.given_back.borrow_mut().drain(..).map(|(id, wait)| (id, wait.as_secs() * 1000)).collect();
        let back = |messages: Vec<Message>| {
            messages
                .into_iter()
                .enumerate()
                .filter(|(i, _)| is_back(*i))
                .map(|(i, message)| {
                    let visible_at = sooner.get(&i.to_string()).map_or(deadline, |wait| now + wait);
                    Message { visible_at, ..message }
                })
                .collect::<Vec<_>>()
        };
        match cause {
            Cause::Delivery(request) if is_back(0) => self.deliveries.push((now + REDELIVERY, *request)),
            Cause::Delivery(_) => {}
            Cause::Wakes(messages) => self.wakes.extend(back(messages)),
            Cause::Endings(messages) => self.endings.extend(back(messages)),
        }
    }

    fn next_event(&self) -> Option<u64> {
        let lives = self.instances.values().filter_map(|it| match it.life {
            // Nothing comes of it by itself.
            Life::Asleep { .. } => None,
            Life::Booting { until }
            | Life::Starting { until, .. }
            | Life::Retiring { until, .. }
            | Life::Leaving { until } => Some(until),
            Life::Running { until, heartbeat, .. } | Life::StandingBy { until, heartbeat } => {
                Some(until.min(heartbeat))
            }
            Life::Claiming { since } => Some(since + CLAIM_DEADLINE),
            Life::Listening { since, .. } => Some(since + IDLE_LIMIT),
        });
        let messages = self.wakes.iter().chain(&self.endings).map(|it| it.visible_at);
        let pools = self.setting.fleets.fleets.iter().any(|fleet| fleet.pool.is_some());
        let looks = pools.then_some(self.look_at);
        self.deliveries.iter().map(|(due, _)| *due).chain(lives).chain(messages).chain(looks).min()
    }
}

/// A signed delivery of a `workflow_job` event.
pub(crate) fn delivery(body: &str) -> ApiGatewayV2httpRequest {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, SECRET.as_bytes());
    let signature = format!("sha256={}", hex::encode(ring::hmac::sign(&key, body.as_bytes())));
    let mut request = ApiGatewayV2httpRequest::default();
    let headers =
        [("x-hub-signature-256", signature.as_str()), ("x-github-event", "workflow_job"), ("x-github-delivery", "d1")];
    for (name, value) in headers {
        request.headers.insert(name, value.parse().unwrap());
    }
    request.body = Some(body.to_owned());
    request
}

fn batch(messages: &[Message]) -> SqsEvent {
    let records = messages.iter().enumerate().map(|(i, message)| {
        let mut record = SqsMessage::default();
        record.message_id = Some(i.to_string());
        record.receipt_handle = Some(i.to_string());
        record.body = Some(message.body.clone());
        record.attributes.insert("ApproximateReceiveCount".into(), message.received.to_string());
        record.attributes.insert("SenderId".into(), message.sender.clone());
        record
    });
    let mut event = SqsEvent::default();
    event.records = records.collect();
    event
}

fn failures(response: SqsBatchResponse) -> Vec<String> {
    response.batch_item_failures.into_iter().map(|it| it.item_identifier).collect()
}
