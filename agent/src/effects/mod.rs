//! Carries actions out: one exhaustive match in [`Effects::act`]. Nothing here decides; what comes of an action is sent
//! back as an event.
//!
//! The outside is behind four traits, each as wide as this module needs it: [`Registrations`] (SSM), [`Outbox`] (SQS),
//! [`Terminator`] (EC2) and [`Machine`] (the runner and this machine).

mod claim;
mod insist;
mod ports;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinHandle;
use tracing::{error, info, warn};

pub use ports::{Machine, Outbox, Registrations, Terminator, Unusable};

use crate::clock::Clock;
use crate::core::report::{Teller, lifecycle};
use crate::core::{Action, Event, State};
use crate::runner::jit::JitFiles;

/// Where events go.
pub type Events = UnboundedSender<Event>;

/// How long the lifecycle message is tried. The instance costs money; a message that can't be sent is given up, and what
/// it would have told is then in the journal alone.
const REPORT_LIMIT: Duration = Duration::from_secs(15);

/// The outside.
#[derive(Clone)]
pub struct World {
    /// The registration store.
    pub registrations: Arc<dyn Registrations>,
    /// The lifecycle queue.
    pub outbox: Arc<dyn Outbox>,
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
    teller: Teller,
    clock: Clock,
    end_limit: Duration,
    events: Events,
    claiming: Option<JoinHandle<()>>,
    /// The registration's secret part, between claim and installation. Not in [`State`], which is written to a file.
    hand: Arc<Mutex<Option<JitFiles>>>,
}

impl Effects {
    /// Effects on `world`, whose results go to `events`.
    #[must_use]
    pub fn new(world: World, teller: Teller, clock: Clock, end_limit: Duration, events: Events) -> Self {
        Self { world, teller, clock, end_limit, events, claiming: None, hand: Arc::default() }
    }

    /// Carries out one action of the step that led to `state`. Answers the exit code when the agent is to end.
    pub fn act(&mut self, action: &Action, state: &State) -> Option<u8> {
        match action {
            Action::Claim => self.claim(),
            Action::StopClaiming => {
                if let Some(claiming) = self.claiming.take() {
                    claiming.abort();
                }
            }
            Action::ReadAhead => self.world.machine.read_ahead(),
            Action::StopReadingAhead => self.world.machine.stop_reading_ahead(),
            Action::Install => self.install(),
            Action::Start => match self.world.machine.start(self.events.clone()) {
                Ok(runner) => self.tell(Event::Started(runner)),
                Err(unusable) => self.tell(unusable.into()),
            },
            Action::AwaitUpdate => {
                let updated = self.world.machine.await_update();
                self.then(async move {
                    updated.await;
                    Event::Updated
                });
            }
            Action::Adopt => self.world.machine.adopt(state.facts.runner, self.events.clone()),
            Action::Interrupt => self.world.machine.interrupt(),
            Action::Kill => self.world.machine.kill(),
            Action::Report => self.report(state),
            Action::Terminate => self.terminate(),
            Action::PowerOff => match self.world.machine.power_off() {
                Ok(()) => info!("The machine powers itself off"),
                Err(error) => {
                    error!(%error, "The machine can't be powered off");
                    self.tell(Event::NotPoweredOff);
                }
            },
            Action::Exit(code) => return Some(*code),
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
        let (events, hand) = (self.events.clone(), Arc::clone(&self.hand));
        let registrations = Arc::clone(&self.world.registrations);
        self.claiming = Some(tokio::spawn(async move {
            let trouble = |text: String| {
                info!(trouble = text, "The registration can't be taken yet");
                let _unheard = events.send(Event::ClaimTrouble(text));
            };
            let event = match claim::take(&*registrations, trouble).await {
                Ok(taken) => {
                    *hand.lock().unwrap_or_else(PoisonError::into_inner) = Some(taken.files);
                    info!(
                        reservation = taken.claimed.reservation,
                        runner.id = taken.claimed.runner_id,
                        runner.name = taken.claimed.runner_name,
                        "The registration was taken"
                    );
                    Event::Claimed(taken.claimed)
                }
                Err(refused) => {
                    error!(error = %refused, "The registration was refused");
                    Event::ClaimRefused(refused.to_string())
                }
            };
            let _unheard = events.send(event);
        }));
    }

    fn install(&self) {
        let files = self.hand.lock().unwrap_or_else(PoisonError::into_inner).take();
        let installed = match files {
            Some(files) => self.world.machine.install(files),
            None => Err(Unusable("there is no registration in hand".to_owned())),
        };
        self.tell(installed.map_or_else(Event::from, |()| Event::Installed));
    }

    fn report(&self, state: &State) {
        let message = lifecycle(&self.teller, state, self.clock.kernel_start());
        let Some(text) = message.as_ref().and_then(|message| serde_json::to_string(message).ok()) else {
            error!("There is no lifecycle message to send");
            return self.tell(Event::Reported);
        };
        info!(lifecycle.message = text, "The instance ends");
        let outbox = Arc::clone(&self.world.outbox);
        self.then(async move {
            if let Err(error) = insist::on(REPORT_LIMIT, || outbox.send(text.clone())).await {
                error!(%error, "The lifecycle message can't be sent; control is not told how the instance ended");
            }
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
