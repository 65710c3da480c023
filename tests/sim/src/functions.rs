//! Lambda: invocations for what is due, which run beside each other, may be killed, and give back what they did not settle.

use std::{collections::HashMap, pin::Pin, rc::Rc, task::Poll, time::Duration};

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use dayfly_control::{
    handlers::{lifecycle, reconcile, scale_up, webhook},
    metrics::Metrics,
    simulation::{SECRET, runtime::step, world::Port},
    wake::WakeUp,
};
use secrecy::SecretString;

use crate::{Model, Setting, faults::is_within, github::Delivery};

/// Of every function but reconcile, and of its queue, which counts it from the receive.
const TIMEOUT: u64 = 30_000;
const MINUTE: u64 = 60_000;
/// A queue gives a message up after so many receives.
const MOST_RECEIVES: u32 = 20;
/// Of the agents, as its default is.
const SILENCE: Duration = Duration::from_mins(10);

/// A message in a queue.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) body: String,
    pub(crate) sender: String,
    pub(crate) sent_at: u64,
    pub(crate) received: u32,
}

#[derive(Clone)]
enum Cause {
    Delivery(Box<Delivery>),
    Wakes(Vec<Message>),
    Endings(Vec<Message>),
    Minute,
}

impl Cause {
    const fn name(&self) -> &'static str {
        match self {
            Self::Delivery(_) => "webhook",
            Self::Wakes(_) => "scale-up",
            Self::Endings(_) => "lifecycle",
            Self::Minute => "reconcile",
        }
    }
}

type Work = Pin<Box<dyn Future<Output = Vec<String>>>>;

/// One invocation.
pub(crate) struct Invocation {
    work: Work,
    cause: Cause,
    deadline: u64,
    /// Its messages' receipts begin with it.
    number: u64,
}

/// The functions.
pub(crate) struct Functions {
    webhook: Rc<webhook::Deps<Port>>,
    scale_up: Rc<scale_up::Deps<Port>>,
    lifecycle: Rc<lifecycle::Deps<Port, Port, Port, Port, Port>>,
    reconcile: Rc<reconcile::Deps<Port>>,
}

impl Functions {
    pub(crate) fn new(setting: &Setting, port: &Port) -> Self {
        let (p, fleets) = (|| port.clone(), || setting.fleets.clone());
        let webhook = webhook::Deps {
            fleets: fleets(),
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
            fleets: fleets(),
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
        let lifecycle = lifecycle::Deps {
            fleets: fleets(),
            ledger: p(),
            github: p(),
            handover: p(),
            wake: p(),
            metrics: Metrics::default(),
            clock: p(),
        };
        let reconcile = reconcile::Deps {
            deployment: "demo".into(),
            fleets: fleets(),
            hooks: vec![],
            silence: SILENCE,
            ledger: p(),
            compute: p(),
            github: p(),
            handover: p(),
            wake: p(),
            metrics: Metrics::default(),
            clock: p(),
        };
        Self {
            webhook: Rc::new(webhook),
            scale_up: Rc::new(scale_up),
            lifecycle: Rc::new(lifecycle),
            reconcile: Rc::new(reconcile),
        }
    }

    /// What was measured is of no interest here, and would grow.
    pub(crate) fn forget(&self) {
        for metrics in [&self.webhook.metrics, &self.scale_up.metrics, &self.lifecycle.metrics, &self.reconcile.metrics]
        {
            drop(metrics.take(0));
        }
    }

    fn start(&self, cause: &Cause, deadline: u64, number: u64) -> Work {
        match cause.clone() {
            Cause::Delivery(delivery) => {
                let deps = Rc::clone(&self.webhook);
                Box::pin(async move {
                    let answer = webhook::handle(&deps, &delivery.request, deadline).await;
                    if answer.status_code == 202 { vec![] } else { vec!["0".to_owned()] }
                })
            }
            Cause::Wakes(messages) => {
                let deps = Rc::clone(&self.scale_up);
                Box::pin(async move { failures(scale_up::handle(&deps, &batch(&messages, number), deadline).await) })
            }
            Cause::Endings(messages) => {
                let deps = Rc::clone(&self.lifecycle);
                Box::pin(async move { failures(lifecycle::handle(&deps, &batch(&messages, number), deadline).await) })
            }
            Cause::Minute => {
                let deps = Rc::clone(&self.reconcile);
                Box::pin(async move {
                    reconcile::handle(&deps, deadline).await;
                    vec![]
                })
            }
        }
    }
}

impl Model {
    /// Starts an invocation for something that is due, one time in two.
    pub(crate) fn start_something(&mut self) -> bool {
        let now = self.now();
        if self.running.len() >= self.setting.concurrency || self.random.chance(50) {
            return false;
        }
        if self.look_at <= now {
            self.look_at = now + MINUTE;
            self.look_after();
            if !self.setting.alone {
                self.start(Cause::Minute);
            }
            return true;
        }
        if let Some(delivery) = self.deliveries.pop(now) {
            if self.arrives(&delivery) {
                self.start(Cause::Delivery(Box::new(delivery)));
            }
            return true;
        }
        let size = 1 + self.random.pick(5);
        for wakes in [true, false] {
            let mut taken = Vec::new();
            while let Some(it) = if wakes { &mut self.wakes } else { &mut self.endings }.pop(now) {
                taken.push(Message { received: it.received + 1, ..it });
                if taken.len() >= size {
                    break;
                }
            }
            if !taken.is_empty() {
                self.start(if wakes { Cause::Wakes(taken) } else { Cause::Endings(taken) });
                return true;
            }
        }
        false
    }

    fn start(&mut self, cause: Cause) {
        let timeout = if matches!(cause, Cause::Minute) { MINUTE - 5000 } else { TIMEOUT };
        let deadline = self.now() + timeout;
        self.started += 1;
        let number = self.started;
        let work = self.functions.start(&cause, deadline, number);
        self.running.push(Invocation { work, cause, deadline, number });
    }

    /// One of the invocations goes on, or is killed.
    pub(crate) fn poll_one(&mut self) {
        let mut at = self.random.pick(self.running.len());
        let lag = if self.has_faults() { self.setting.faults.lag } else { 0 };
        if lag > 0 && matches!(self.running[at].cause, Cause::Minute) && self.random.chance(lag) {
            at = self.random.pick(self.running.len());
        }
        self.port.0.now.set(self.now() + self.random.below(self.setting.call));
        self.steps += 1;
        let late = self.now() >= self.running[at].deadline;
        let killed = self.setting.kill_at == Some(self.steps)
            || (self.has_faults() && self.random.below(1000) < self.setting.faults.kills);
        if late || killed {
            let Invocation { work, cause, deadline, number } = self.running.swap_remove(at);
            drop(work);
            self.count(if late { "timeouts" } else { "kills" });
            self.note(|| format!("Lambda: {} is killed", cause.name()));
            self.give_back(cause, (deadline, number), None);
        } else if let Poll::Ready(failed) = step(self.running[at].work.as_mut()) {
            let done = self.running.swap_remove(at);
            self.give_back(done.cause, (done.deadline, done.number), Some(&failed));
        }
    }

    /// What an invocation did not settle comes again. `failed`: the positions of those messages; none: all.
    fn give_back(&mut self, cause: Cause, (deadline, number): (u64, u64), failed: Option<&[String]>) {
        let now = self.now();
        let is_back = |i: usize| failed.is_none_or(|failed| failed.contains(&i.to_string()));
        let mut sooner: HashMap<String, u64> = HashMap::new();
        self.port.0.given_back.borrow_mut().retain(|(receipt, wait)| {
            let own = receipt.strip_prefix(&format!("{number}-"));
            sooner.extend(own.map(|i| (i.to_owned(), wait.as_secs() * 1000)));
            own.is_none()
        });
        match cause {
            Cause::Delivery(delivery) if is_back(0) => self.fails(*delivery),
            Cause::Delivery(_) | Cause::Minute => {}
            Cause::Wakes(ref messages) | Cause::Endings(ref messages) => {
                let wakes = matches!(cause, Cause::Wakes(_));
                for (i, it) in messages.iter().enumerate().filter(|(i, _)| is_back(*i)) {
                    if it.received >= MOST_RECEIVES {
                        self.count("messages given up");
                        self.note(|| format!("SQS: gives up {}", it.body));
                        continue;
                    }
                    let due = sooner.get(&i.to_string()).map_or(deadline, |wait| now + wait);
                    if wakes { &mut self.wakes } else { &mut self.endings }.push(due, it.clone());
                }
            }
        }
    }

    /// Takes in the wake-ups that were sent.
    pub(crate) fn take_wakes(&mut self) {
        let sent: Vec<_> = self.port.0.sent.borrow_mut().drain(..).collect();
        for it in sent {
            let body = WakeUp { run: it.run, ..WakeUp::new(&it.fleet) }.after(it.attempts);
            let body = serde_json::to_string(&body).unwrap_or_default();
            let message = Message { body, sender: String::new(), sent_at: self.now(), received: 0 };
            self.enqueue(true, it.visible_at, &message);
        }
    }

    /// A message comes, perhaps late and twice.
    pub(crate) fn enqueue(&mut self, wakes: bool, at: u64, message: &Message) {
        let shuffled = if self.has_faults() { self.setting.faults.shuffled } else { 0 };
        let stalled = self.setting.faults.stalled.filter(|it| !wakes && is_within(Some(*it), at - self.beginning));
        let at = stalled.map_or(at, |(_, until)| self.beginning + until);
        let times = if self.random.chance(shuffled) { 2 } else { 1 };
        for _ in 0..times {
            let late = if self.random.chance(shuffled) { self.random.below(MINUTE) } else { 0 };
            if wakes { &mut self.wakes } else { &mut self.endings }.push(at + late, message.clone());
        }
        if times > 1 {
            self.count("messages doubled");
        }
    }
}

fn batch(messages: &[Message], number: u64) -> SqsEvent {
    let records = messages.iter().enumerate().map(|(i, message)| {
        let mut record = SqsMessage::default();
        record.message_id = Some(i.to_string());
        record.receipt_handle = Some(format!("{number}-{i}"));
        record.body = Some(message.body.clone());
        record.attributes.insert("ApproximateReceiveCount".into(), message.received.to_string());
        record.attributes.insert("SentTimestamp".into(), message.sent_at.to_string());
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
