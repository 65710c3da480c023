use aws_lambda_events::sqs::{SqsEvent, SqsMessage};

use crate::{
    clock::Millis,
    decide::rerun::{
        Fate, Interrupted, Note, Why,
        tests::{ended, interrupted, name, note},
    },
    fleets::{Fleet, Interrupted as Setting, tests::fleet},
    github::runs::{Again, RunJob, RunState},
    handlers::scale_up::{handle, tests::deps_of},
    ledger::tests::job,
    simulation::{
        runtime::{run, step},
        world::{Fault, Port, world},
    },
    wake::{Look, WakeUp},
};

const FLEET: &str = "linux-x64";

/// A run with one job, on runner 1, that was interrupted just now and is noted.
fn scene() -> Port {
    let port = world(1);
    let now = port.0.now.get();
    put(&port, note([Interrupted { at: now, ..interrupted(1, "build") }]));
    port.0.ledger.borrow_mut().jobs.insert(7, crate::ledger::Job { version: 1, ..job(7, FLEET) });
    stands(&port, "in_progress", None, vec![RunJob { conclusion: None, ..ended(7, "build", "failure", 1) }]);
    port
}

fn put(port: &Port, note: Note) {
    port.0.known_runs.notes.borrow_mut().insert(note.run, Note { version: 1, ..note });
}

fn stands(port: &Port, status: &str, conclusion: Option<&str>, jobs: Vec<RunJob>) {
    let state = RunState { status: status.into(), conclusion: conclusion.map(str::to_owned), attempt: 1 };
    port.0.known_runs.runs.borrow_mut().insert(5, (state, jobs));
}

fn fails(port: &Port) {
    stands(port, "completed", Some("failure"), vec![ended(7, "build", "failure", 1)]);
}

fn batch(at: Millis, received: u32) -> SqsEvent {
    let mut message = SqsMessage::default();
    message.message_id = Some("m".into());
    message.receipt_handle = Some("r".into());
    let look = WakeUp { run: Some(Look { id: 5, at }), ..WakeUp::new(FLEET) };
    message.body = Some(serde_json::to_string(&look).unwrap());
    message.attributes.insert("ApproximateReceiveCount".into(), received.to_string());
    let mut batch = SqsEvent::default();
    batch.records = vec![message];
    batch
}

/// One message, for a look at that time; answers how many are given back, and the metrics.
fn look_of(port: &Port, fleet: Fleet, at: Millis, received: u32) -> (usize, String) {
    let deps = deps_of(port, fleet);
    let deadline = port.0.now.get() + 20_000;
    let back = run(handle(&deps, &batch(at, received), deadline)).batch_item_failures.len();
    (back, deps.metrics.take(0).join("\n"))
}

fn look(port: &Port, at: Millis) -> (usize, String) {
    look_of(port, fleet(FLEET), at, 1)
}

fn noted(port: &Port) -> Note {
    port.0.known_runs.notes.borrow()[&5].clone()
}

fn fate(port: &Port) -> Fate {
    noted(port).jobs[0].fate.clone()
}

fn again(port: &Port) -> Vec<(u64, u64, Again)> {
    port.0.known_runs.again.borrow().clone()
}

/// The looks that were sent for: when, and for what time of the note.
fn sent(port: &Port) -> Vec<(Millis, Millis)> {
    port.0.sent.borrow_mut().drain(..).map(|it| (it.visible_at, it.run.unwrap().at)).collect()
}

/// Whatever is sent for is looked at in its time, until nothing is, or the run has been looked at so often.
fn play(port: &Port, most: u32) {
    for _ in 0..most {
        let Some(it) = port.0.sent.borrow_mut().pop() else { return };
        port.0.now.set(port.0.now.get().max(it.visible_at));
        look(port, it.run.unwrap().at);
    }
}

#[test]
fn a_run_is_waited_for_and_then_run_again_once() {
    let port = scene();
    let now = port.0.now.get();
    assert_eq!(look(&port, 0).0, 0);
    assert_eq!(sent(&port), [(now + 15_000, now + 15_000)], "a delayed message, for the time that is noted");
    fails(&port);
    port.0.now.set(now + 15_000);
    let metrics = look(&port, now + 15_000).1;
    assert_eq!(again(&port), [(5, 1, Again::Job(7))]);
    assert!(metrics.contains("\"Reruns\":1") && metrics.contains("\"Action\":\"again\""), "{metrics}");
    assert_eq!((fate(&port), sent(&port)), (Fate::Again(2), vec![]));
    let history = port.0.ledger.borrow().jobs[&7].history.clone();
    let told: Vec<&str> = history.entries().iter().map(|it| it.what.as_str()).collect();
    assert_eq!(told, ["interrupted", "re-run"], "explain shows it");
    // Late and doubled messages.
    for at in [0, now + 15_000] {
        look(&port, at);
    }
    assert_eq!((again(&port).len(), sent(&port)), (1, vec![]));
}

#[test]
fn of_doubled_messages_one_goes_on() {
    let port = scene();
    let now = port.0.now.get();
    look(&port, 0);
    look(&port, 0);
    port.0.now.set(now + 5000);
    look(&port, 0);
    let sent = sent(&port);
    assert_eq!(sent.len(), 3);
    for (visible_at, at) in sent {
        port.0.now.set(visible_at.max(port.0.now.get()));
        look(&port, at);
    }
    assert_eq!(port.0.sent.borrow().len(), 1, "the others' times are not the note's any more");
    let at = port.0.sent.borrow_mut().pop().unwrap().run.unwrap().at;
    // Seen again, after whoever had it was killed: it is sent for.
    look_of(&port, fleet(FLEET), at - 1, 2);
    assert_eq!(self::sent(&port)[0].1, at);
}

#[test]
fn what_is_not_to_be_run_again_is_told() {
    let cases = [
        ("success", "success", 1, Why::Succeeded),
        ("failure", "failure", 0, Why::Off),
        ("cancelled", "failure", 1, Why::Cancelled),
    ];
    for (run, job, rerun, why) in cases {
        let port = scene();
        stands(&port, "completed", Some(run), vec![ended(7, "build", job, 1)]);
        let of = Fleet { interrupted: Setting { rerun, on_demand: true }, ..fleet(FLEET) };
        let metrics = look_of(&port, of, 0, 1).1;
        assert_eq!((fate(&port), again(&port), sent(&port)), (Fate::Left(why), vec![], vec![]));
        assert!(metrics.contains(&format!("\"Action\":\"{}\"", why.name())), "{metrics}");
        assert!(port.0.ledger.borrow().jobs[&7].history.has("not re-run"));
    }
    let port = scene();
    stands(&port, "completed", Some("failure"), vec![ended(7, "build", "failure", 1)]);
    look_of(&port, fleet("another"), 0, 1);
    assert_eq!(fate(&port), Fate::Left(Why::Off), "its fleet is gone");
}

#[test]
fn a_run_is_waited_for_a_day_and_no_longer() {
    let port = scene();
    let begin = port.0.now.get();
    look(&port, 0);
    play(&port, 1000);
    let waited = (port.0.now.get() - begin) / 3_600_000;
    assert_eq!((fate(&port), waited, again(&port).len()), (Fate::Left(Why::Late), 24, 0));
    assert!(port.0.called("github.run_state") < 150, "{}", port.0.called("github.run_state"));
    let port = scene();
    put(&port, note([Interrupted { at: begin, id: Some(7), ..interrupted(1, "build") }]));
    port.0.now.set(begin + 25 * 3_600_000);
    let metrics = look(&port, 0).1;
    assert!(metrics.contains("\"Action\":\"late\""), "{metrics}");
    assert!(port.0.ledger.borrow().jobs[&7].history.has("not re-run"), "and its job's history tells why");
}

#[test]
fn what_github_does_not_answer_is_asked_again_and_what_it_refuses_is_not() {
    for call in ["github.run_state", "github.run_jobs", "github.run_again"] {
        for fault in [Fault::GitHubTransient, Fault::GitHubLimited(60)] {
            let port = scene();
            fails(&port);
            port.0.fault(call, fault);
            look(&port, 0);
            assert_eq!((again(&port).len(), fate(&port)), (0, Fate::Waiting), "{call}");
            play(&port, 10);
            assert_eq!((again(&port).len(), fate(&port)), (1, Fate::Again(2)), "{call}");
        }
        let port = scene();
        fails(&port);
        port.0.fault(call, Fault::GitHubPermanent);
        let metrics = look(&port, 0).1;
        assert_eq!((again(&port).len(), fate(&port), sent(&port)), (0, Fate::Left(Why::Refused), vec![]), "{call}");
        assert!(metrics.contains("rerun_refused"), "{metrics}");
    }
}

#[test]
fn a_ledger_or_queue_that_fails_gives_the_message_back() {
    for call in ["ledger.rerun", "ledger.put_rerun", "ledger.commit", "wake.wake"] {
        let port = scene();
        port.0.fault(call, Fault::Ledger);
        if call == "ledger.commit" {
            fails(&port);
        }
        assert_eq!(look(&port, 0).0, 1, "{call}");
        if call != "ledger.commit" {
            fails(&port);
        }
        look_of(&port, fleet(FLEET), 0, 2);
        play(&port, 10);
        assert_eq!(again(&port).len(), 1, "{call}");
    }
}

/// What counts in the end.
fn outcome(port: &Port) -> String {
    let ledger = port.0.ledger.borrow();
    let told: Vec<String> =
        ledger.jobs[&7].history.entries().iter().map(|it| format!("{} {}", it.what, it.detail)).collect();
    format!("{:?} {:?} {told:?}", port.0.known_runs.again.borrow(), noted(port).jobs)
}

#[test]
fn wherever_a_look_is_killed_the_run_is_run_again_once() {
    let whole = scene();
    fails(&whole);
    look(&whole, 0);
    let expected = outcome(&whole).replace("id: Some(7)", "");
    let mut steps = 0;
    loop {
        let port = scene();
        fails(&port);
        port.0.concurrent.set(true);
        let deps = deps_of(&port, fleet(FLEET));
        let first = batch(0, 1);
        let mut future = Box::pin(handle(&deps, &first, port.0.now.get() + 20_000));
        let over = (0..steps).any(|_| step(future.as_mut()).is_ready());
        drop(future);
        port.0.concurrent.set(false);
        if !over {
            // SQS shows the message again after its time.
            port.0.now.set(port.0.now.get() + 30_000);
            look_of(&port, fleet(FLEET), 0, 2);
        }
        play(&port, 20);
        assert_eq!(outcome(&port).replace("id: Some(7)", ""), expected, "killed at step {steps}");
        if over {
            break;
        }
        steps += 1;
    }
    assert!(steps > 8, "{steps}");
}

#[test]
fn two_jobs_of_a_run_whose_code_failed_elsewhere_are_run_again_one_by_one() {
    let port = scene();
    let now = port.0.now.get();
    let it = |n, name: &str| Interrupted { at: now, ..interrupted(n, name) };
    put(&port, note([it(1, "build"), it(2, "test")]));
    let jobs = vec![ended(7, "build", "failure", 1), ended(8, "test", "failure", 2), ended(9, "lint", "failure", 3)];
    stands(&port, "completed", Some("failure"), jobs);
    look(&port, 0);
    assert_eq!(again(&port), [(5, 1, Again::Job(7))]);
    {
        // The second attempt is over.
        let mut runs = port.0.known_runs.runs.borrow_mut();
        let (run, jobs) = runs.get_mut(&5).unwrap();
        (run.status, run.conclusion) = ("completed".into(), Some("failure".into()));
        jobs[0] = RunJob { runner_name: Some(name(4)), ..ended(1007, "build", "success", 4) };
    }
    play(&port, 10);
    assert_eq!(again(&port), [(5, 1, Again::Job(7)), (5, 2, Again::Job(8))]);
    let fates: Vec<Fate> = noted(&port).jobs.into_iter().map(|it| it.fate).collect();
    assert_eq!(fates, [Fate::Again(2), Fate::Again(3)]);
}

#[test]
fn a_re_run_counts_once_though_another_interruption_was_noted_meanwhile() {
    let port = scene();
    fails(&port);
    port.0.concurrent.set(true);
    let first = deps_of(&port, fleet(FLEET));
    let batch = batch(0, 1);
    let mut future = Box::pin(handle(&first, &batch, port.0.now.get() + 20_000));
    while again(&port).is_empty() {
        assert!(!step(future.as_mut()).is_ready(), "GitHub was not asked");
    }
    // GitHub has done it, and what came of it is not noted yet.
    port.0.known_runs.notes.borrow_mut().get_mut(&5).unwrap().version += 5;
    while !step(future.as_mut()).is_ready() {}
    drop(future);
    port.0.concurrent.set(false);
    let counted = |metrics: &str| metrics.matches("\"Action\":\"again\"").count();
    assert_eq!((counted(&first.metrics.take(0).join("\n")), fate(&port)), (0, Fate::Waiting));
    port.0.now.set(port.0.now.get() + 60_000);
    assert_eq!(counted(&look(&port, 0).1), 1);
    assert_eq!((again(&port).len(), fate(&port)), (1, Fate::Again(2)));
}
