//! The loop: waits for the next event, decides, acts.

use std::future::Future;

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{sleep, sleep_until};
use tracing::{debug, info};

use crate::clock::Clock;
use crate::core::report::Teller;
use crate::core::{Event, State, step};
use crate::effects::{Effects, Events, World};
use crate::logging::LogHandle;
use crate::memory::Memory;
use crate::settings::Settings;
use crate::watchdog::Watchdog;

/// What the loop works with.
pub struct Parts {
    /// The outside.
    pub world: World,
    /// Who reports.
    pub teller: Teller,
    /// Where the state is kept.
    pub memory: Memory,
    /// The clock.
    pub clock: Clock,
    /// Local settings.
    pub settings: Settings,
    /// A message for each time the agent is asked to stop.
    pub stops: UnboundedReceiver<()>,
    /// What else happens outside: each is begun with the place to tell it.
    pub sources: Vec<Source>,
    /// systemd's watchdog, which this loop feeds.
    pub watchdog: Watchdog,
    /// What is logged.
    pub logs: LogHandle,
}

/// Begins to tell events.
pub type Source = Box<dyn FnOnce(Events) + Send>;

/// Lives the agent's life from `state` on and answers its exit code.
pub async fn run(parts: Parts, mut state: State) -> u8 {
    let Parts { world, teller, memory, clock, settings, mut stops, sources, watchdog, logs } = parts;
    let (events, mut inbox) = unbounded_channel();
    let mut effects = Effects::new(world, memory.clone(), teller, clock, settings.end_limit, events.clone());
    for source in sources {
        source(events.clone());
    }
    let mut event = Event::Began;
    loop {
        let code = handle(event, &mut state, &mut effects, &memory, &clock, &logs);
        watchdog.status(state.name());
        if let Some(code) = code {
            watchdog.stopping();
            return code;
        }
        event = loop {
            watchdog.fed();
            tokio::select! {
                Some(()) = stops.recv() => break Event::StopAsked,
                // `effects` holds a sender, so this never ends.
                Some(event) = inbox.recv() => break event,
                () = deadline(&state, &clock) => break Event::Tick,
                () = hunger(&watchdog) => {}
            }
        };
    }
}

/// Until the watchdog wants to be fed.
pub(crate) async fn hunger(watchdog: &Watchdog) {
    match watchdog.every() {
        Some(every) => sleep(every).await,
        None => std::future::pending().await,
    }
}

fn handle(
    event: Event,
    state: &mut State,
    effects: &mut Effects,
    memory: &Memory,
    clock: &Clock,
    logs: &LogHandle,
) -> Option<u8> {
    debug!(event = ?event, "An event");
    let (next, actions) = step(state.clone(), event, clock.uptime());
    // Also of an agent that takes over.
    if let Some(trace) = next.facts.claimed.as_ref().and_then(|claimed| claimed.trace.as_deref()) {
        logs.belongs_to(trace);
    }
    if next.name() != state.name() {
        info!(from = state.name(), to = next.name(), "The agent is {}", next.name());
    }
    if next != *state {
        // Before acting: what was begun is then known to an agent that takes over.
        memory.save(&next);
    }
    *state = next;
    let mut code = None;
    for action in &actions {
        debug!(?action, "Acting");
        code = code.or(effects.act(action, state));
    }
    code
}

fn deadline(state: &State, clock: &Clock) -> impl Future<Output = ()> + use<> {
    let instant = state.deadline().map(|uptime| clock.instant(uptime));
    async move {
        match instant {
            Some(instant) => sleep_until(instant).await,
            None => std::future::pending().await,
        }
    }
}
