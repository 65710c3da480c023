//! A fleet's level as a real table has it: what is wanted, and what is not understood.

use aws_sdk_dynamodb::types::AttributeValue;
use dayfly_control::{
    decide::{
        events,
        jobs::JobState,
        plan::{Claim, plan},
        pool,
        runners::RunnerState,
    },
    fleets::{Eviction, Fleet, Pool, PoolKind},
    ledger::{Committed, Ledger, Manual, UnreadSupply, Write, dynamo::DynamoLedger},
};
use futures::future::join_all;

use super::{NOW, TERMS, event, fleet, reserve, server, tell};

const FLEET: &str = "linux-x64";

#[tokio::test]
async fn what_is_wanted_is_a_job_or_what_a_person_asked_for() {
    let moto = server::start();
    let ledger = &moto.ledger("wanted").await;
    let wanted = async |now| ledger.is_wanted(FLEET, now).await.unwrap();
    assert!(!wanted(NOW).await);
    let ask = async |id: u32, expires| {
        let (fleet, repository) = (FLEET.into(), "octo-org/octo-repo".into());
        let id = format!("m{id:03}");
        let it = Manual { fleet, id, count: 1, repository, installation: None, created_at: NOW, expires };
        ledger.ask(&it).await.unwrap();
    };
    // More than a page of what has expired, which DynamoDB deletes when it gets to it.
    for id in 0..30 {
        ask(id, NOW / 1000).await;
    }
    assert!(!wanted(NOW).await);
    ask(999, NOW / 1000 + 60).await;
    assert!(wanted(NOW).await && !wanted(NOW + 60_000).await);
    reserve(ledger, &fleet(5), 0).await.unwrap();
    assert!(!wanted(NOW + 60_000).await, "what is reserved is not wanted");
    tell(ledger, &event(1, JobState::Queued, None), None).await.unwrap();
    assert!(wanted(NOW + 60_000).await);
}

#[tokio::test]
async fn a_reservation_is_refused_where_a_job_is_not_queued_any_more() {
    let moto = server::start();
    let ledger = &moto.ledger("still").await;
    tell(ledger, &event(1, JobState::Queued, None), None).await.unwrap();
    let check = |job| Write::StillQueued { fleet: FLEET.into(), job };
    let recover = || Write::Recover { fleet: FLEET.into() };
    assert_eq!(ledger.commit(vec![recover(), check(1)]).await.unwrap(), Committed::Yes);
    assert_eq!(ledger.commit(vec![recover(), check(1), check(2)]).await.unwrap(), Committed::Conflict);
}

#[tokio::test]
async fn one_item_that_is_not_understood_does_not_hide_the_others() {
    let moto = server::start();
    let ledger = &moto.ledger("unread").await;
    for id in 1..=3 {
        tell(ledger, &event(id, JobState::Queued, None), None).await.unwrap();
    }
    reserve(ledger, &fleet(5), 0).await.unwrap();
    let reservation = ledger.view(FLEET).await.unwrap().reservations.remove(0);
    let instances: Vec<String> = (1..=3).map(|n| format!("i-{n:017x}")).collect();
    let (writes, _) = events::resolved(&reservation, &instances, &[], TERMS);
    assert_eq!(ledger.commit(writes).await.unwrap(), Committed::Yes);
    let spoil = async |sk: &str, name: &str, value: AttributeValue| {
        let key = |text: &str| AttributeValue::S(text.into());
        let update = moto.client().update_item().table_name(server::table("unread"));
        let update = update.key("pk", key("fleet#linux-x64")).key("sk", key(sk));
        let update = update.update_expression("SET #it = :it").expression_attribute_names("#it", name);
        update.expression_attribute_values(":it", value).send().await.unwrap();
    };
    let text = |text: &str| AttributeValue::S(text.into());
    // As a newer version may write them.
    spoil("runner#i-00000000000000001", "state", text("resting")).await;
    spoil("runner#i-00000000000000002", "boot_deadline", text("soon")).await;
    spoil("queued#2", "queued_at", text("today")).await;
    let view = ledger.view(FLEET).await.unwrap();
    assert_eq!((view.meta.alive, view.runners.len(), view.queued.len()), (3, 1, 2));
    let why: Vec<&str> = view.unread.iter().map(|it| it.why.as_str()).collect();
    assert_eq!(why.len(), 3, "{why:?}");
    assert!(why[0].contains("queued#2") && why[1].contains("00001") && why[1].contains("state"), "{why:?}");
    let scope = "orgs/octo-org".parse().unwrap();
    let supply = UnreadSupply { scope, asks: vec![], count: 1, until: NOW + 300_000 };
    let supplies: Vec<_> = view.unread.iter().map(|it| it.supply.clone()).collect();
    assert_eq!(supplies, [None, Some(supply), None], "as far as it can be read");
    assert_eq!(ledger.queued(FLEET, 10).await.unwrap().len(), 2);
}

/// A fleet that keeps so many standing by.
fn pooled(size: u64) -> Fleet {
    let pool = Pool {
        kind: PoolKind::Standby,
        size,
        schedules: vec![],
        eviction: Eviction::Oldest,
        lifetime_seconds: 86_400,
        repository: Some("octo-org/octo-repo".into()),
    };
    Fleet { pool: Some(pool), ..fleet(100) }
}

/// As scale-up claims: one planner, until nothing is left to claim. Answers how many it got.
async fn claim(ledger: &DynamoLedger, fleet: &Fleet) -> usize {
    let mut got = 0;
    loop {
        let view = ledger.view(&fleet.name).await.unwrap();
        let Some(Claim { runner, target, asks }) = plan(fleet, &view, NOW).claims.into_iter().next() else {
            return got;
        };
        let rev = view.meta.rev;
        let it = pool::claimed(runner, &target, &asks, None, 300, NOW + 1, NOW);
        let writes = vec![Write::Advance { fleet: fleet.name.clone(), rev }, Write::PutRunner(it)];
        got += usize::from(ledger.commit(writes).await.unwrap() == Committed::Yes);
    }
}

#[tokio::test]
async fn of_many_planners_each_job_gets_one_instance_that_stands_by() {
    let moto = server::start();
    let ledger = &moto.ledger("standby").await;
    let fleet = &pooled(6);
    assert_eq!(reserve(ledger, fleet, 0).await.unwrap(), 6, "the pool is filled");
    let reservation = ledger.view(FLEET).await.unwrap().reservations.remove(0);
    assert!(reservation.standby);
    let instances: Vec<String> = (1..=6).map(|n| format!("i-{n:017x}")).collect();
    let (writes, _) = events::resolved(&reservation, &instances, &[], TERMS);
    assert_eq!(ledger.commit(writes).await.unwrap(), Committed::Yes);
    let count = async |state| {
        let view = ledger.view(FLEET).await.unwrap();
        view.runners.iter().filter(|it| it.state == state).count()
    };
    assert_eq!(count(RunnerState::Warming).await, 6);
    for id in 1..=4 {
        tell(ledger, &event(id, JobState::Queued, None), None).await.unwrap();
    }
    let got = join_all((0..8).map(|_| claim(ledger, fleet))).await;
    assert_eq!(got.iter().sum::<usize>(), 4, "{got:?}");
    assert_eq!((count(RunnerState::Launched).await, count(RunnerState::Warming).await), (4, 2));
    // `max` may have been lowered below what lives: a claim counts nothing.
    let view = ledger.view(FLEET).await.unwrap();
    assert_eq!(view.meta.alive, 6);
    let stale = Write::Advance { fleet: FLEET.into(), rev: view.meta.rev - 1 };
    assert_eq!(ledger.commit(vec![stale]).await.unwrap(), Committed::Conflict);
    let first = Write::Advance { fleet: "new".into(), rev: 0 };
    assert_eq!(ledger.commit(vec![first.clone()]).await.unwrap(), Committed::Yes);
    assert_eq!(ledger.commit(vec![first]).await.unwrap(), Committed::Conflict);
}
