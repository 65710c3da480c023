//! What reconcile asks of the ledger and the stores, as moto has them.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::AttributeValue;
use dayfly_control::{
    decide::jobs::JobState,
    fleets,
    handover::Handover,
    handover::leftovers::Leftovers,
    ledger::{Census, Committed, Heard, Ledger},
};

use super::{NOW, event, fleet, handover, instance, reserve, server, tell};

#[tokio::test]
async fn the_last_word_of_each_agent_is_kept_and_no_earlier_one() {
    let moto = server::start();
    let ledger = moto.ledger("heard").await;
    assert!(ledger.heard("linux-x64").await.unwrap().is_empty());
    for (n, at) in [(1, NOW + 5), (1, NOW + 9), (1, NOW + 7), (2, NOW)] {
        ledger.hear("linux-x64", &instance(n), at).await.unwrap();
    }
    ledger.hear("other", &instance(3), NOW).await.unwrap();
    let heard = ledger.heard("linux-x64").await.unwrap();
    assert_eq!(heard.into_iter().collect::<Vec<_>>(), [(instance(1), NOW + 9), (instance(2), NOW)]);
    assert_eq!(ledger.view("linux-x64").await.unwrap(), ledger.view("linux-x64").await.unwrap());
    assert!(ledger.view("linux-x64").await.unwrap().runners.is_empty(), "they are no part of a level");
}

#[tokio::test]
async fn texts_are_noted_and_replaced() {
    let moto = server::start();
    let ledger = moto.ledger("texts").await;
    assert_eq!(ledger.text("reconcile#x").await.unwrap(), None);
    let long = "x".repeat(200_000);
    for text in ["{}", long.as_str()] {
        ledger.note_text("reconcile#x", text, NOW / 1000 + 60).await.unwrap();
        assert_eq!(ledger.text("reconcile#x").await.unwrap().as_deref(), Some(text));
    }
}

#[tokio::test]
async fn a_walk_meets_every_job_that_is_not_done() {
    let moto = server::start();
    let ledger = moto.ledger("walk").await;
    for (id, state) in
        (1..=40).zip([JobState::Waiting, JobState::Queued, JobState::Running, JobState::Done].iter().cycle())
    {
        tell(&ledger, &event(id, *state, None), None).await.unwrap();
    }
    // Of a later version.
    let update = moto.client().update_item().table_name(server::table("walk"));
    let update = update.key("pk", AttributeValue::S("job#2".into())).key("sk", AttributeValue::S("job".into()));
    let update = update.update_expression("SET #state = :state").expression_attribute_names("#state", "state");
    update.expression_attribute_values(":state", AttributeValue::S("pondering".into())).send().await.unwrap();
    let (mut met, mut unread) = (BTreeSet::new(), Vec::new());
    let mut from = None;
    loop {
        let page = ledger.open_jobs(from.as_deref()).await.unwrap();
        met.extend(page.jobs.iter().map(|job| job.id));
        unread.extend(page.unread);
        from = page.next;
        if from.is_none() {
            break;
        }
    }
    assert_eq!(met, (1..=40).filter(|id| id % 4 != 0 && *id != 2).collect());
    assert_eq!(unread, ["item job#2 / job has no good \"state\""], "told, and in nobody's way");
    // From where a job was that is no more.
    let rest = ledger.open_jobs(Some("job#999|job")).await.unwrap();
    assert!(rest.jobs.len() <= met.len());
}

#[tokio::test]
async fn a_count_is_mended_only_as_it_was_read() {
    let moto = server::start();
    let ledger = moto.ledger("mend").await;
    let count = async || ledger.view("linux-x64").await.unwrap().meta;
    assert_eq!(ledger.mend("linux-x64", 3, 0, 1).await.unwrap(), Committed::Conflict);
    // A fleet that has never counted anything.
    assert_eq!(ledger.mend("linux-x64", 0, 0, 2).await.unwrap(), Committed::Yes);
    assert_eq!((count().await.alive, count().await.rev), (2, 0));
    tell(&ledger, &event(1, JobState::Queued, None), None).await.unwrap();
    assert_eq!(reserve(&ledger, &fleet(100), 0).await.unwrap(), 1);
    let meta = count().await;
    assert_eq!((meta.alive, meta.rev), (3, 1));
    for (seen, rev) in [(2, 1), (3, 0), (4, 1)] {
        assert_eq!(ledger.mend("linux-x64", seen, rev, 1).await.unwrap(), Committed::Conflict, "{seen} {rev}");
    }
    assert_eq!(ledger.mend("linux-x64", 3, 1, 1).await.unwrap(), Committed::Yes);
    assert_eq!((count().await.alive, count().await.rev), (1, 1));
}

#[tokio::test]
async fn waiting_registrations_of_both_stores_are_listed_page_by_page() {
    let moto = server::start();
    let (stores, _) = handover::stores(&moto, Some("alias/dayfly")).await;
    for n in 1..=12 {
        stores.put(fleets::Handover::Ssm, &instance(n), &handover::registration(10)).await.unwrap();
    }
    stores.put(fleets::Handover::S3, &instance(13), &handover::registration(10)).await.unwrap();
    let (mut met, mut from, mut pages) = (Vec::new(), None, 0);
    loop {
        let (page, next) = stores.waiting(from.as_deref()).await.unwrap();
        met.extend(page);
        (from, pages) = (next, pages + 1);
        if from.is_none() {
            break;
        }
    }
    let mut names: Vec<String> = met.iter().map(|it| it.instance.clone()).collect();
    names.sort();
    assert_eq!((names, pages), ((1..=13).map(instance).collect(), 3));
    assert!(met.iter().all(|it| it.at > 1_700_000_000_000), "{met:?}");
}
