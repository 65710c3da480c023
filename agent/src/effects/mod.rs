//! Carries actions out: one exhaustive match in [`Effects::act`]. Nothing here decides; what comes of an action is sent
//! back as an event.
//!
//! The outside is behind four traits, each as wide as this module needs it: [`Registrations`] (SSM or S3), [`Outbox`] (SQS, behind
//! [`Post`]), [`Terminator`] (EC2) and [`Machine`] (the runner and this machine).

mod claim;
mod insist;
mod ports;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use dayfly_contract::Registration;
use futures::FutureExt;
use secrecy::ExposeSecret;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinHandle;
use tracing::{error, info, warn};

pub use ports::{Machine, Outbox, Registrations, Terminator, Unusable};

use crate::clock::Clock;
use crate::core::report::{self, Teller};
use crate::core::{Action, Event, State};
use crate::memory::Memory;
use crate::telling::Post;

/// Where events go.
pub type Events = UnboundedSender<Event>;

/// How long the lifecycle message is tried. The instance costs money; a message that can't be sent is given up, and what
/// it would have told is then in the log alone.
const REPORT_LIMIT: Duration = Duration::from_secs(15);

/// The outside.
#[derive(Clone)]
pub struct World {
    /// The registration store.
    pub registrations: Arc<dyn Registrations>,
    /// Lifecycle messages, on their way to their queue.
    pub post: Arc<Post>,
    /// EC2.
    pub terminator: Arc<dyn Terminator>,
    /// The runner and this machine.
    pub machine: Arc<dyn Machine>,
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("World")
    }
}

/// Carries actions out.
#[derive(Debug)]
pub struct Effects {
    world: World,
    memory: Memory,
    teller: Teller,
    clock: Clock,
    end_limit: Duration,
    events: Events,
    claiming: Option<JoinHandle<()>>,
    preparing: Option<JoinHandle<()>>,
    installing: Option<JoinHandle<()>>,
    /// Between claim and installation; the memory's copy is for an agent that takes over.
    hand: Arc<Mutex<Option<Registration>>>,
}

impl Effects {
    /// Effects on `world`, whose results go to `events`.
    #[must_use]
    pub fn new(
        world: World,
        memory: Memory,
        teller: Teller,
        clock: Clock,
        end_limit: Duration,
        events: Events,
    ) -> Self {
        Self {
            world,
            memory,
            teller,
            clock,
            end_limit,
            events,
            claiming: None,
            installing: None,
            preparing: None,
            hand: Arc::default(),
        }
    }

    /// Carries out one action of the step that led to `state`. Answers the exit code when the agent is to end.
    pub fn act(&mut self, action: &Action, state: &State) -> Option<u8> {
        let machine = &self.world.machine;
        match action {
            Action::Claim => self.claim(),
            Action::StopClaiming => stop(&mut self.claiming),
            Action::Discard => self.discard(),
            Action::Prepare => self.prepare(),
            Action::StopPreparing => {
                stop(&mut self.preparing);
                stop(&mut self.installing);
                machine.stop_reading_ahead();
            }
            Action::Install => self.install(state),
            Action::Start => self.start(),
            Action::AwaitUpdate => self.then(machine.await_update().map(|()| Event::Updated)),
            Action::Adopt => machine.adopt(state.facts.runner, self.events.clone()),
            Action::LookForWorker => self.tell(Event::Worker(machine.has_worker())),
            Action::StartExtras => machine.start_extras(),
            Action::Interrupt => machine.interrupt(),
            Action::Kill => machine.kill(),
            Action::Tell(kind) => {
                let word = report::word(&self.teller, state, *kind, self.clock.kernel_start());
                self.world.post.send(&word);
            }
            Action::CloseUp => self.then(machine.close_up().map(|()| Event::ClosedUp)),
            Action::Report => self.report(state),
            Action::Terminate => self.terminate(),
            Action::PowerOff => match machine.power_off() {
                Ok(()) => info!("The machine powers itself off"),
                Err(error) => {
                    error!(%error, "The machine can't be powered off");
                    self.tell(Event::NotPoweredOff);
                }
            },
            Action::Exit(code) => return Some(*code),
            Action::Disagree(disagreement) => {
                warn!(?disagreement, signs = ?state.facts.signs, "The signs of a job disagree");
            }
            Action::Ignore => warn!(state = state.name(), "An event out of place was ignored"),
        }
        None
    }

    fn tell(&self, event: Event) {
        // The receiver lives as long as the loop that calls us.
        let _unheard = self.events.send(event);
    }

    fn then(&self, work: impl Future<Output = Event> + Send + 'static) {
        let events = self.events.clone();
        tokio::spawn(async move {
            let event = work.await;
            let _unheard = events.send(event);
        });
    }

    fn claim(&mut self) {
        let (events, memory, hand) = (self.events.clone(), self.memory.clone(), Arc::clone(&self.hand));
        let registrations = Arc::clone(&self.world.registrations);
        stop(&mut self.claiming);
        self.claiming = Some(tokio::spawn(async move {
            let trouble = |text: String| {
                info!(trouble = text, "The registration can't be taken yet");
                let _unheard = events.send(Event::ClaimTrouble(text));
            };
            let event = match claim::take(&*registrations, &memory, trouble).await {
                Ok(taken) => {
                    info!(
                        reservation = taken.claimed.reservation,
                        runner.id = taken.claimed.runner_id,
                        runner.name = taken.claimed.runner_name,
                        runner.ephemeral = taken.claimed.ephemeral,
                        "The registration was taken"
                    );
                    *hand.lock().unwrap_or_else(PoisonError::into_inner) = Some(taken.registration);
                    Event::Claimed(taken.claimed)
                }
                Err(claim::Refused::Withdrawn(why)) => {
                    info!(reason = why, "Control has no use for this instance");
                    Event::Withdrawn(why)
                }
                Err(refused) => {
                    error!(error = %refused, "The registration was refused");
                    Event::ClaimRefused(refused.to_string())
                }
            };
            let _unheard = events.send(event);
        }));
    }

    /// Beside the message, which is not kept waiting for it.
    fn discard(&self) {
        self.memory.forget_registration();
        let registrations = Arc::clone(&self.world.registrations);
        tokio::spawn(async move { claim::discard(&*registrations).await });
    }

    fn prepare(&mut self) {
        let (events, prepared) = (self.events.clone(), self.world.machine.prepare());
        stop(&mut self.preparing);
        self.preparing = Some(tokio::spawn(async move {
            let event = prepared.await.map_or_else(Event::from, |()| Event::Prepared);
            let _unheard = events.send(event);
        }));
    }

    fn install(&mut self, state: &State) {
        let taken = self.hand.lock().unwrap_or_else(PoisonError::into_inner).take();
        // What can't be read was refused when it was taken.
        let kept = || Registration::read(self.memory.registration()?.expose_secret()).ok();
        let registration = taken.or_else(kept);
        let Some(registration) = registration else {
            let why = Unusable::runner("the registration is lost: the agent was restarted before it could be kept");
            return self.tell(why.into());
        };
        let installed = self.world.machine.install(registration, state.facts.phases.clone());
        let events = self.events.clone();
        self.installing = Some(tokio::spawn(async move {
            let event = installed.await.map_or_else(Event::from, |()| Event::Installed);
            let _unheard = events.send(event);
        }));
    }

    fn start(&self) {
        // The runner has it now, in files of its own.
        self.memory.forget_registration();
        match self.world.machine.start(self.events.clone()) {
            Ok(runner) => self.tell(Event::Started(runner)),
            Err(unusable) => self.tell(unusable.into()),
        }
    }

    fn report(&self, state: &State) {
        self.memory.forget_registration();
        let log = self.world.machine.last_lines();
        let Some(message) = report::last(&self.teller, state, &log, self.clock.kernel_start()) else {
            error!("There is no lifecycle message to send");
            return self.tell(Event::Reported);
        };
        self.world.post.send(&message);
        let post = Arc::clone(&self.world.post);
        self.then(async move {
            // What is left was told there.
            let _left = post.flush(REPORT_LIMIT).await;
            Event::Reported
        });
    }

    fn terminate(&self) {
        let terminator = Arc::clone(&self.world.terminator);
        let limit = self.end_limit;
        self.then(async move {
            match insist::on(limit, || terminator.terminate()).await {
                Ok(()) => {
                    info!("EC2 terminates the instance");
                    Event::Terminated
                }
                Err(error) => {
                    error!(%error, "EC2 does not terminate the instance");
                    Event::NotTerminated
                }
            }
        });
    }
}

fn stop(task: &mut Option<JoinHandle<()>>) {
    if let Some(task) = task.take() {
        task.abort();
    }
}
