//! The loop with an outside made of memory: what is called, in which order, and that no trouble there keeps the
//! instance alive.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test's helpers fail the test")]

use std::collections::BTreeMap;
use std::future::pending;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use dayfly_agent::aws::{CallError, Fault};
use dayfly_agent::clock::{Clock, Uptime};
use dayfly_agent::core::report::Teller;
use dayfly_agent::core::{Ending, Event, Exit, Limits, RunnerId, Saying, Stage, State};
use dayfly_agent::driver::{self, Parts};
use dayfly_agent::effects::{Events, Machine, Outbox, Registrations, Terminator, Unusable, World};
use dayfly_agent::logging;
use dayfly_agent::memory::Memory;
use dayfly_agent::settings::Settings;
use dayfly_agent::telling::Post;
use dayfly_agent::watchdog::Watchdog;
use dayfly_contract::{Phase, Registration};
use futures::future::BoxFuture;
use secrecy::SecretString;
use tempfile::TempDir;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

/// What the outside does, and what was asked of it.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is one thing that goes wrong")]
struct Outside {
    calls: Mutex<Vec<String>>,
    /// SSM never answers.
    store_hangs: bool,
    /// EC2 refuses.
    no_terminate: bool,
    /// The machine can be powered off.
    power_off: bool,
    /// The runner can't be started.
    unusable: bool,
    /// The runner goes on until it is interrupted.
    runner_stays: bool,
    events: Mutex<Option<Events>>,
}

impl Outside {
    fn note(&self, call: &str) {
        self.calls.lock().unwrap().push(call.to_owned());
    }

    fn calls(&self) -> Vec<String> {
        self.calls.lock().unwrap().clone()
    }

    fn tell(&self, event: Event) {
        self.events.lock().unwrap().as_ref().unwrap().send(event).unwrap();
    }
}

fn refused() -> CallError {
    CallError { doing: "asking".to_owned(), why: "refused".to_owned(), fault: Fault::Passing }
}

impl Registrations for Outside {
    fn get(&self) -> BoxFuture<'_, Result<Option<SecretString>, CallError>> {
        self.note("get");
        if self.store_hangs {
            return Box::pin(pending());
        }
        let jit = BASE64.encode(r#"{".runner": "e30="}"#);
        let text = format!(
            r#"{{"version": 1, "reservation": "r", "runner_id": 23, "runner_name": "x", "jit_config": "{jit}"}}"#
        );
        Box::pin(async { Ok(Some(SecretString::from(text))) })
    }

    fn delete(&self) -> BoxFuture<'_, Result<(), CallError>> {
        self.note("delete");
        Box::pin(async { Ok(()) })
    }
}

impl Outbox for Outside {
    fn send(&self, message: String) -> BoxFuture<'_, Result<(), CallError>> {
        let message: serde_json::Value = serde_json::from_str(&message).unwrap();
        let word = |name: &str| message[name].as_str().unwrap_or_default().to_owned();
        self.note(format!("send {} {}", word("kind"), word("reason")).trim());
        Box::pin(async { Ok(()) })
    }
}

impl Terminator for Outside {
    fn terminate(&self) -> BoxFuture<'_, Result<(), CallError>> {
        self.note("terminate");
        Box::pin(async { if self.no_terminate { Err(refused()) } else { Ok(()) } })
    }
}

impl Machine for Outside {
    fn prepare(&self) -> BoxFuture<'static, Result<(), Unusable>> {
        self.note("prepare");
        Box::pin(async { Ok(()) })
    }

    fn stop_reading_ahead(&self) {
        self.note("stop reading ahead");
    }

    fn install(
        &self,
        registration: Registration,
        _timeline: BTreeMap<Phase, Uptime>,
    ) -> BoxFuture<'static, Result<(), Unusable>> {
        self.note(&format!("install {}", registration.runner_name));
        Box::pin(async { Ok(()) })
    }

    fn start(&self, events: Events) -> Result<RunnerId, Unusable> {
        self.note("start");
        if self.unusable {
            return Err(Unusable::runner("no such program"));
        }
        let said = |number, saying| events.send(Event::Said { number, saying }).unwrap();
        said(1, Saying::Listening);
        if !self.runner_stays {
            said(2, Saying::JobStarted { name: "build".to_owned() });
            said(3, Saying::JobEnded { result: "Succeeded".to_owned() });
            events.send(Event::Exited(Exit::Code(0))).unwrap();
        }
        *self.events.lock().unwrap() = Some(events);
        Ok(RunnerId { pid: 7, start_ticks: 9 })
    }

    fn adopt(&self, _runner: Option<RunnerId>, events: Events) {
        self.note("adopt");
        events.send(Event::Exited(Exit::Unknown)).unwrap();
    }

    fn await_update(&self) -> BoxFuture<'static, ()> {
        self.note("await update");
        Box::pin(async {})
    }

    fn has_worker(&self) -> bool {
        self.note("look");
        false
    }

    fn start_extras(&self) {
        self.note("extras");
    }

    fn close_up(&self) -> BoxFuture<'static, ()> {
        self.note("close up");
        Box::pin(async {})
    }

    fn last_lines(&self) -> Vec<String> {
        vec!["the last line".to_owned()]
    }

    fn interrupt(&self) {
        self.note("interrupt");
        self.tell(Event::Exited(Exit::Code(0)));
    }

    fn kill(&self) {
        self.note("kill");
    }

    fn power_off(&self) -> Result<(), io::Error> {
        self.note("power off");
        if self.power_off { Ok(()) } else { Err(io::Error::other("no")) }
    }
}

struct Run {
    outside: Arc<Outside>,
    stop: UnboundedSender<()>,
    folder: TempDir,
    code: tokio::task::JoinHandle<u8>,
}

fn limits() -> Limits {
    Limits {
        claim: Duration::from_secs(30),
        stop: Duration::from_secs(30),
        idle: Duration::from_mins(5),
        minimum_running: Duration::ZERO,
        lifetime: None,
        job: Duration::from_mins(1),
        grace: Duration::from_secs(30),
        retire: Duration::from_millis(100),
        before_end: None,
        standby: None,
        stopped: false,
        kept: false,
    }
}

fn run(outside: Outside) -> Run {
    run_from(outside, State::new(limits(), Uptime(0)))
}

fn run_from(outside: Outside, state: State) -> Run {
    let outside = Arc::new(outside);
    let (stop, stops) = unbounded_channel();
    let folder = tempfile::tempdir().unwrap();
    let settings = [("DAYFLY_END_SECONDS".to_owned(), "1".to_owned())];
    let parts = Parts {
        world: World {
            registrations: outside.clone(),
            post: Arc::new(Post::open(outside.clone(), folder.path(), "i-0123456789abcdef0")),
            terminator: outside.clone(),
            machine: outside.clone(),
        },
        teller: Teller { instance_id: "i-0123456789abcdef0".to_owned(), fleet: "x".to_owned() },
        memory: Memory::of(folder.path()),
        clock: Clock::starting_at(Uptime(0)),
        settings: Settings::read(settings).0,
        stops,
        sources: vec![],
        watchdog: Watchdog::new(|_| None, 0),
        logs: logging::subscriber(None, io::sink).1,
    };
    Run { outside, stop, folder, code: tokio::spawn(driver::run(parts, state)) }
}

impl Run {
    async fn called(&self, call: &str) {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
        while !self.outside.calls().iter().any(|known| known == call) {
            assert!(tokio::time::Instant::now() < deadline, "no {call} in {:?}", self.outside.calls());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn remembers(&self, fact: impl Fn(&State) -> bool) {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
        let state = || Memory::of(self.folder.path()).load();
        while !state().is_some_and(|state| fact(&state)) {
            assert!(tokio::time::Instant::now() < deadline, "remembers {:?}", state());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn code(self) -> (u8, Vec<String>) {
        let code = tokio::time::timeout(Duration::from_secs(20), self.code).await;
        let calls = self.outside.calls();
        (code.unwrap_or_else(|_| panic!("the loop goes on after {calls:?}")).unwrap(), calls)
    }
}

#[tokio::test]
async fn the_main_road_in_order() {
    let run = run(Outside::default());
    run.called("terminate").await;
    let calls = run.outside.calls();
    let (sent, done): (Vec<&str>, Vec<&str>) =
        calls.iter().map(String::as_str).partition(|call| call.starts_with("send"));
    assert_eq!(sent, ["send listening", "send job_started", "send job_completed", "send finished job_done"]);
    assert_eq!(
        done,
        [
            "prepare",
            "get",
            "delete",
            "install x",
            "start",
            "stop reading ahead",
            "extras",
            "stop reading ahead",
            "stop reading ahead",
            "kill",
            "terminate"
        ]
    );
    // The shutdown that EC2 began, which reaches an agent that has heard of EC2's agreement.
    run.remembers(|state| matches!(state.stage, Stage::Ending(Ending::Waiting { .. }))).await;
    run.stop.send(()).unwrap();
    assert_eq!(run.code().await.0, 0);
}

#[tokio::test]
async fn a_store_that_hangs_does_not_outlast_the_deadline() {
    let limits = Limits { claim: Duration::from_millis(400), ..limits() };
    let outside = Outside { store_hangs: true, no_terminate: true, ..Outside::default() };
    let run = run_from(outside, State::new(limits, Uptime(0)));
    let (code, calls) = run.code().await;
    assert_eq!(code, 70);
    assert!(calls.contains(&"send failed registration_missing".to_owned()), "{calls:?}");
    assert!(!calls.contains(&"start".to_owned()), "{calls:?}");
}

#[tokio::test]
async fn where_ec2_refuses_the_machine_is_powered_off() {
    let run = run(Outside { no_terminate: true, power_off: true, ..Outside::default() });
    run.called("power off").await;
    assert!(!run.code.is_finished(), "the agent waits for the power to go");
    run.stop.send(()).unwrap();
    assert_eq!(run.code().await.0, 0);
}

#[tokio::test]
async fn where_nothing_ends_the_machine_the_exit_code_says_so() {
    let (code, calls) = run(Outside { no_terminate: true, ..Outside::default() }).code().await;
    assert_eq!(code, 70);
    assert_eq!(calls.last().unwrap(), "power off");
    assert!(calls.iter().filter(|call| *call == "terminate").count() > 1, "{calls:?}");
    assert_eq!(calls.iter().filter(|call| call.starts_with("send finished")).count(), 1, "{calls:?}");
}

#[tokio::test]
async fn a_runner_that_can_not_be_started_ends_the_instance() {
    let run = run(Outside { unusable: true, ..Outside::default() });
    run.called("terminate").await;
    assert!(run.outside.calls().contains(&"send failed runner_unusable".to_owned()));
}

#[tokio::test]
async fn a_stop_interrupts_the_runner_and_ends_the_instance() {
    let run = run(Outside { runner_stays: true, ..Outside::default() });
    run.called("stop reading ahead").await;
    run.stop.send(()).unwrap();
    run.called("terminate").await;
    let calls = run.outside.calls();
    let at =
        |call: &str| calls.iter().position(|known| known == call).unwrap_or_else(|| panic!("no {call}: {calls:?}"));
    assert!(at("send retire stopped") < at("look") && at("look") < at("interrupt"), "{calls:?}");
    assert!(calls.contains(&"send finished stopped".to_owned()), "{calls:?}");
}

#[tokio::test]
async fn a_stop_while_claiming_starts_no_runner() {
    let run = run(Outside { store_hangs: true, ..Outside::default() });
    run.called("get").await;
    run.stop.send(()).unwrap();
    run.called("terminate").await;
    let calls = run.outside.calls();
    assert!(calls.contains(&"send finished stopped".to_owned()), "{calls:?}");
    assert!(!calls.contains(&"start".to_owned()), "{calls:?}");
}

#[tokio::test]
async fn the_state_on_disk_is_enough_to_go_on() {
    let first = run(Outside { runner_stays: true, ..Outside::default() });
    first.called("stop reading ahead").await;
    first.code.abort();
    let state = Memory::of(first.folder.path()).load().unwrap();
    let second = run_from(Outside::default(), state);
    second.called("terminate").await;
    let calls = second.outside.calls();
    let done: Vec<&str> = calls.iter().map(String::as_str).filter(|call| !call.starts_with("send l")).collect();
    assert_eq!(done, ["adopt", "stop reading ahead", "kill", "send finished runner_exited", "terminate"]);
}
