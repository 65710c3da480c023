//! The ledger in a real DynamoDB API, and registrations in SSM and S3, and what else is there of S3 and EC2: moto, started here on a free port, or whatever
//! `DAYFLY_TEST_AWS_ENDPOINT` names.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "the helpers of a test are test code")]

#[path = "moto_ledger/census.rs"]
mod census;
#[path = "moto_ledger/command.rs"]
mod command;
#[path = "moto_ledger/deployed.rs"]
mod deployed;
#[path = "moto_ledger/estate.rs"]
mod estate;
#[path = "moto_ledger/handover.rs"]
mod handover;
#[path = "moto_ledger/level.rs"]
mod level;
#[path = "moto_ledger/objects.rs"]
mod objects;
#[path = "moto_ledger/operating.rs"]
mod operating;
#[path = "moto_ledger/queues.rs"]
mod queues;
#[path = "moto_ledger/reruns.rs"]
mod reruns;
#[path = "moto_ledger/server.rs"]
mod server;
#[path = "moto_ledger/turns.rs"]
mod turns;

use dayfly_contract::{Kind, Lifecycle};
use dayfly_control::{
    decide::{
        doubt::Why,
        events::{self, JobEvent, Terms},
        jobs::JobState,
        plan::plan,
        runners::RunnerState,
    },
    fleets::{Fleet, Fleets},
    ledger::{
        Committed, Doubt, Failure, LastError, Ledger, LedgerError, Notes, Reservation, Runner, Write,
        dynamo::DynamoLedger,
    },
};
use futures::future::try_join_all;
use serde_json::json;

const NOW: u64 = 1_795_000_000_000;
const TERMS: Terms = Terms { boot_seconds: 300, lease_until: NOW, reusable: false, now: NOW };

fn fleet(max: u64) -> Fleet {
    let text = json!({"version": 1, "fleets": [{
        "name": "linux-x64", "labels": ["self-hosted"], "max": max, "github": {"level": "organization"},
        "launch": {"template_id": "lt-1", "template_version": "1", "subnets": ["subnet-1"],
                   "instance_types": ["c7i.large"]}
    }]});
    Fleets::read(&text.to_string()).unwrap().fleets.remove(0)
}

fn event(id: u64, state: JobState, instance: Option<&str>) -> JobEvent {
    JobEvent {
        state,
        id,
        asks: vec![],
        labels: vec!["self-hosted".into()],
        repository: "octo-org/octo-repo".into(),
        public_fork: false,
        run_id: 1,
        run_attempt: 1,
        installation: Some(77),
        runner_id: None,
        runner_name: instance.map(|instance| format!("linux-x64-{instance}")),
        conclusion: None,
        waited_ms: None,
    }
}

/// As the webhook does it.
async fn tell(ledger: &DynamoLedger, event: &JobEvent, instance: Option<&str>) -> Result<(), LedgerError> {
    loop {
        let job = ledger.job(event.id).await?;
        let runner = match instance {
            Some(instance) => ledger.runner("linux-x64", instance).await?,
            None => None,
        };
        let changes = events::job_event(event, job, "linux-x64", runner, NOW);
        if changes.writes.is_empty() || ledger.commit(changes.writes).await? == Committed::Yes {
            return Ok(());
        }
    }
}

/// As scale-up does it; answers how many it reserved.
async fn reserve(ledger: &DynamoLedger, fleet: &Fleet, planner: u64) -> Result<u32, LedgerError> {
    let mut reserved = 0;
    for attempt in 0.. {
        let view = ledger.view(&fleet.name).await?;
        let made = plan(fleet, &view, NOW);
        let Some(wanted) = made.launches.first().cloned() else { return Ok(reserved) };
        let reservation = Reservation {
            fleet: fleet.name.clone(),
            id: format!("{planner}-{attempt}"),
            group: 0,
            count: wanted.count,
            market: Some(wanted.market),
            without: wanted.without,
            asks: wanted.asks,
            standby: wanted.standby,
            scope: wanted.target.scope,
            installation: wanted.target.installation,
            trace: None,
            created_at: NOW,
            lease_until: NOW + 1,
            version: 0,
        };
        let (rev, max, plan) = (view.meta.rev, fleet.max, Some(made.told(fleet, NOW)));
        let count = Write::Reserve { fleet: fleet.name.clone(), rev, count: wanted.count, max, at: NOW, plan };
        if ledger.commit(vec![count, Write::PutReservation(reservation)]).await? == Committed::Yes {
            reserved += wanted.count;
        }
    }
    Ok(reserved)
}

fn instance(n: usize) -> String {
    format!("i-{n:017x}")
}

#[tokio::test]
async fn twenty_planners_at_once_reserve_the_demand_and_no_more() {
    let moto = server::start();
    let ledger = &moto.ledger("planners").await;
    let fleet = &fleet(100);
    try_join_all((1..=37).map(async |id| tell(ledger, &event(id, JobState::Queued, None), None).await)).await.unwrap();
    let reserved = try_join_all((0..20).map(|planner| reserve(ledger, fleet, planner))).await.unwrap();
    assert_eq!(reserved.iter().sum::<u32>(), 37, "{reserved:?}");
    let view = ledger.view(&fleet.name).await.unwrap();
    assert_eq!(view.meta.alive, 37);
    assert_eq!(view.reservations.iter().map(|it| it.count).sum::<u32>(), 37);
    assert_eq!(view.meta.rev, view.reservations.len() as u64);
}

#[tokio::test]
async fn twenty_planners_at_once_keep_to_max() {
    let moto = server::start();
    let ledger = &moto.ledger("max").await;
    let fleet = &fleet(5);
    try_join_all((1..=9).map(async |id| tell(ledger, &event(id, JobState::Queued, None), None).await)).await.unwrap();
    let reserved = try_join_all((0..20).map(|planner| reserve(ledger, fleet, planner))).await.unwrap();
    assert_eq!(reserved.iter().sum::<u32>(), 5, "{reserved:?}");
    // A plan made before others were counted is refused by the count too, not by `rev` alone.
    let view = ledger.view(&fleet.name).await.unwrap();
    let (name, rev) = (fleet.name.clone(), view.meta.rev);
    let count = Write::Reserve { fleet: name, rev, count: 1, max: 5, at: NOW, plan: None };
    assert_eq!(ledger.commit(vec![count]).await.unwrap(), Committed::Conflict);
}

/// The life of a fleet: queued, reserved, launched, run and settled, with everything told four times at once.
#[tokio::test]
async fn every_event_four_times_at_once_counts_once() {
    let moto = server::start();
    let ledger = &moto.ledger("life").await;
    let fleet = &fleet(100);
    let four = |ids: std::ops::RangeInclusive<u64>| ids.flat_map(|id| [id; 4]);
    try_join_all(four(1..=6).map(async |id| tell(ledger, &event(id, JobState::Queued, None), None).await))
        .await
        .unwrap();
    assert_eq!(reserve(ledger, fleet, 0).await.unwrap(), 6);
    let reservation = ledger.view(&fleet.name).await.unwrap().reservations.remove(0);
    // One of six never comes.
    let instances: Vec<String> = (1..=5).map(instance).collect();
    let (writes, runners) = events::resolved(&reservation, &instances, &[], TERMS);
    assert_eq!(ledger.commit(writes.clone()).await.unwrap(), Committed::Yes);
    assert_eq!(ledger.commit(writes).await.unwrap(), Committed::Conflict, "resolved once");
    let mut view = ledger.view(&fleet.name).await.unwrap();
    view.runners.sort_by(|a, b| a.instance.cmp(&b.instance));
    assert_eq!((view.meta.alive, view.reservations.len(), view.runners), (5, 0, runners.clone()));

    for runner in runners {
        let write = events::registered(runner, Some(23), NOW).unwrap();
        assert_eq!(ledger.commit(vec![write.clone()]).await.unwrap(), Committed::Yes);
        assert_eq!(ledger.commit(vec![write]).await.unwrap(), Committed::Conflict, "of the version before");
    }
    try_join_all(four(1..=5).map(async |id| {
        let it = instance(usize::try_from(id).unwrap());
        tell(ledger, &event(id, JobState::Running, Some(&it)), Some(&it)).await
    }))
    .await
    .unwrap();
    let view = ledger.view(&fleet.name).await.unwrap();
    assert_eq!(view.queued.iter().map(|it| it.job).collect::<Vec<_>>(), [6]);
    assert!(view.runners.iter().all(|it| it.state == RunnerState::Busy && it.runner_id == Some(23)));
    assert_eq!(ledger.queued(&fleet.name, 1).await.unwrap(), view.queued);

    try_join_all(four(1..=5).map(async |id| settle(ledger, &instance(usize::try_from(id).unwrap())).await))
        .await
        .unwrap();
    let view = ledger.view(&fleet.name).await.unwrap();
    assert_eq!((view.meta.alive, view.runners), (0, vec![]));
    let job = ledger.job(1).await.unwrap().unwrap();
    assert_eq!((job.state, job.runner_name), (JobState::Running, Some(format!("linux-x64-{}", instance(1)))));
}

/// As lifecycle does it.
async fn settle(ledger: &DynamoLedger, instance: &str) -> Result<(), LedgerError> {
    let mut message = Lifecycle::new(Kind::Finished, instance, "linux-x64");
    message.runner_id = Some(23);
    loop {
        let runner = ledger.runner("linux-x64", instance).await?;
        let writes = events::ended(&message, runner, NOW);
        if writes.is_empty() || ledger.commit(writes).await? == Committed::Yes {
            return Ok(());
        }
    }
}

#[tokio::test]
async fn an_end_before_the_beginning_is_found_by_the_resolution() {
    let moto = server::start();
    let ledger = &moto.ledger("gone").await;
    let fleet = &fleet(100);
    tell(ledger, &event(1, JobState::Queued, None), None).await.unwrap();
    reserve(ledger, fleet, 0).await.unwrap();
    let failed = Lifecycle::new(Kind::Failed, &instance(1), "linux-x64");
    assert_eq!(ledger.commit(events::ended(&failed, None, NOW)).await.unwrap(), Committed::Yes);
    let reservation = ledger.view(&fleet.name).await.unwrap().reservations.remove(0);
    let instances = [instance(1)];
    let (writes, _) = events::resolved(&reservation, &instances, &[], TERMS);
    assert_eq!(ledger.commit(writes).await.unwrap(), Committed::Conflict);
    let gone: Vec<Runner> = ledger.view(&fleet.name).await.unwrap().runners;
    let (writes, runners) = events::resolved(&reservation, &instances, &gone, TERMS);
    assert_eq!((ledger.commit(writes).await.unwrap(), runners), (Committed::Yes, vec![]));
    let view = ledger.view(&fleet.name).await.unwrap();
    assert_eq!((view.meta.alive, view.reservations, view.runners), (0, vec![], vec![]));
}

#[tokio::test]
async fn a_pause_only_grows_and_does_not_disturb_the_count() {
    let moto = server::start();
    let ledger = &moto.ledger("pause").await;
    let fleet = &fleet(100);
    ledger.pause(&fleet.name, 70).await.unwrap();
    ledger.pause(&fleet.name, 50).await.unwrap();
    assert_eq!(ledger.view(&fleet.name).await.unwrap().meta.paused_until, 70);
    tell(ledger, &event(1, JobState::Queued, None), None).await.unwrap();
    assert_eq!(reserve(ledger, fleet, 0).await.unwrap(), 1, "a meta item without rev and alive");
    let meta = ledger.view(&fleet.name).await.unwrap().meta;
    assert_eq!((meta.paused_until, meta.alive, meta.rev), (70, 1, 1));
}

#[tokio::test]
async fn failures_are_counted_once_in_a_pause_and_forgotten_after_a_job() {
    let moto = server::start();
    let ledger = &moto.ledger("failures").await;
    let name = "linux-x64";
    let counted = async || ledger.meta(name).await.map(|meta| (meta.failures, meta.paused_until)).unwrap();
    assert_eq!(counted().await, (0, 0), "no meta item");
    assert_eq!(reserve_two(ledger, name).await, Committed::Yes);
    let failed = async |count, seen, at, until| {
        let failure = Some(Failure { seen, count: seen + 1, at, until });
        ledger.commit(vec![Write::Free { fleet: name.into(), count, ran_job: false, failure }]).await.unwrap()
    };
    assert_eq!(failed(1, 0, 10, 20).await, Committed::Yes);
    assert_eq!(failed(1, 0, 20, 25).await, Committed::Conflict, "counted already");
    assert_eq!(failed(1, 1, 15, 25).await, Committed::Conflict, "within the pause");
    assert_eq!((counted().await, ledger.meta(name).await.unwrap().alive), ((1, 20), 1), "whole or not at all");
    assert_eq!(failed(0, 1, 20, 30).await, Committed::Yes);
    assert_eq!((counted().await, ledger.meta(name).await.unwrap().alive), ((2, 30), 1), "of one never counted");
    let unheard_of = Failure { seen: 0, count: 1, at: 10, until: 20 };
    let unheard_of = Write::Free { fleet: "unheard-of".into(), count: 0, ran_job: false, failure: Some(unheard_of) };
    assert_eq!(ledger.commit(vec![unheard_of]).await.unwrap(), Committed::Yes, "without a meta item");
    assert_eq!(ledger.meta("unheard-of").await.unwrap().failures, 1);
    let after_job = vec![Write::Free { fleet: name.into(), count: 1, ran_job: true, failure: None }];
    assert_eq!(ledger.commit(after_job).await.unwrap(), Committed::Yes);
    assert_eq!(counted().await, (0, 30), "a job was run");
}

async fn reserve_two(ledger: &DynamoLedger, fleet: &str) -> Committed {
    let counted = Write::Reserve { fleet: fleet.to_owned(), rev: 0, count: 2, max: 10, at: NOW, plan: None };
    ledger.commit(vec![counted]).await.unwrap()
}

#[tokio::test]
async fn the_last_error_stands_until_an_instance_comes() {
    let moto = server::start();
    let ledger = &moto.ledger("refusals").await;
    let name = "linux-x64";
    let error = |code: &str, at| LastError { code: code.into(), message: "no".into(), at, count: 1 };
    ledger.refuse(name, &error("First", 10), 20).await.unwrap();
    ledger.refuse(name, &error("Second", 15), 40).await.unwrap();
    let meta = ledger.meta(name).await.unwrap();
    assert_eq!((meta.last_error, meta.paused_until), (Some(error("First", 10)), 20), "within the pause");
    ledger.refuse(name, &error("Third", 20), 30).await.unwrap();
    assert_eq!(ledger.meta(name).await.unwrap().last_error, Some(error("Third", 20)));
    assert_eq!(reserve_two(ledger, name).await, Committed::Yes, "a meta item without rev and alive");
    assert_eq!(ledger.commit(vec![Write::Recover { fleet: name.into() }]).await.unwrap(), Committed::Yes);
    let meta = ledger.meta(name).await.unwrap();
    assert_eq!((meta.last_error, meta.alive, meta.reserved_at, meta.paused_until), (None, 2, NOW, 30));
}

#[tokio::test]
async fn breakers_are_seen_with_the_level_and_change_one_after_the_other() {
    let moto = server::start();
    let ledger = &moto.ledger("offers").await;
    let name = "linux-x64";
    let none = ledger.offers(name).await.unwrap();
    assert_eq!((none.fleet.as_str(), none.version), (name, 0));
    assert_eq!(ledger.view(name).await.unwrap().offers, none);
    let mut opened = none.clone();
    let failed = ["spot/subnet-1/c7i.large".to_owned()].into();
    assert!(opened.breakers.hear(&[].into(), &failed, NOW, 0));
    assert_eq!(ledger.commit(vec![Write::PutOffers(opened.clone())]).await.unwrap(), Committed::Yes);
    assert_eq!(ledger.commit(vec![Write::PutOffers(opened.clone())]).await.unwrap(), Committed::Conflict);
    let read = ledger.view(name).await.unwrap().offers;
    assert_eq!((&read.breakers, read.version), (&opened.breakers, 1));
    assert_eq!(ledger.offers(name).await.unwrap(), read);
}

#[tokio::test]
async fn a_note_is_recalled_by_whoever_comes_later() {
    let moto = server::start();
    let ledger = &moto.ledger("notes").await;
    let key = "installation#1001#orgs/octo-org";
    assert_eq!(ledger.recall(key).await.unwrap(), None);
    for value in [77, 0, u64::MAX] {
        ledger.remember(key, value, NOW / 1000).await.unwrap();
        assert_eq!(ledger.recall(key).await.unwrap(), Some(value));
    }
    assert_eq!(ledger.recall("installation#1001#orgs/octo").await.unwrap(), None);
}

#[tokio::test]
async fn of_twenty_that_claim_a_note_one_gets_it_and_after_its_time_another() {
    let moto = server::start();
    let ledger = &moto.ledger("claims").await;
    let now = NOW / 1000;
    for (at, expected) in [(now, 1), (now + 4, 0), (now + 5, 1), (now + 9, 0)] {
        let claims = (0..20).map(|_| ledger.claim("asking-fork#o/r#5", at, at + 5));
        let got = try_join_all(claims).await.unwrap().into_iter().filter(|it| *it).count();
        assert_eq!(got, expected, "{} s later", at - now);
    }
    assert!(ledger.claim("asking-fork#o/r#6", now, now + 5).await.unwrap());
    ledger.remember("asking-fork#o/r#6", 1, now + 5).await.unwrap();
    assert_eq!(ledger.recall("asking-fork#o/r#6").await.unwrap(), Some(1));
}

#[tokio::test]
async fn a_doubt_is_seen_with_the_level_and_goes_with_its_job() {
    let moto = server::start();
    let ledger = &moto.ledger("doubts").await;
    let waiting = |id| events::job_event(&event(id, JobState::Waiting, None), None, "linux-x64", None, NOW).writes;
    let doubt = |job, why| Doubt { fleet: "linux-x64".into(), job, why, since: NOW, ask_at: NOW + 1, expires: NOW };
    let doubts = [
        doubt(7, Why::Held),
        doubt(8, Why::Fork { otherwise: None }),
        doubt(9, Why::Fork { otherwise: Some("b".into()) }),
    ];
    for it in &doubts {
        let writes = waiting(it.job).into_iter().chain([Write::PutDoubt(it.clone())]).collect();
        assert_eq!(ledger.commit(writes).await.unwrap(), Committed::Yes);
        let again = waiting(it.job).into_iter().chain([Write::DropDoubt { fleet: it.fleet.clone(), job: it.job }]);
        assert_eq!(ledger.commit(again.collect()).await.unwrap(), Committed::Conflict, "the job has changed");
    }
    let view = ledger.view("linux-x64").await.unwrap();
    assert_eq!((view.doubts, view.queued.len()), (doubts.to_vec(), 0));
    let drop = vec![Write::DropDoubt { fleet: "linux-x64".into(), job: 7 }];
    for _ in 0..2 {
        assert_eq!(ledger.commit(drop.clone()).await.unwrap(), Committed::Yes, "or it is gone already");
    }
    assert_eq!(ledger.view("linux-x64").await.unwrap().doubts, doubts[1..]);
}

#[tokio::test]
async fn a_table_that_is_not_there_is_an_error_that_says_so() {
    let moto = server::start();
    let ledger = DynamoLedger::new(&moto.client(), "no-such-table");
    let error = ledger.view("linux-x64").await.unwrap_err();
    let text = dayfly_control::report::Chain(&error).to_string();
    assert!(text.starts_with("reading the level of linux-x64 from no-such-table: "), "{text}");
    assert!(text.contains("ResourceNotFound"), "{text}");
}
