//! Misbehaviour over HTTP.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use laptop_github::Fault;
use serde_json::json;

use crate::support::{As, Lab, ORG, wait_for};

const JIT: &str = "/orgs/{org}/actions/runners/generate-jitconfig";

fn jit_path() -> String {
    format!("/orgs/{ORG}/actions/runners/generate-jitconfig")
}

fn body(name: &str) -> serde_json::Value {
    json!({ "name": name, "runner_group_id": 1, "labels": ["a"] })
}

#[tokio::test]
async fn a_secondary_limit_for_two_calls_and_then_all_is_well() {
    let lab = Lab::start().await.unwrap();
    let headers = BTreeMap::from([("retry-after".to_owned(), "60".to_owned())]);
    let message = json!({ "message": "You have exceeded a secondary rate limit.", "documentation_url": "https://x" });
    let fault = Fault { count: Some(2), status: Some(403), headers, body: message, ..Fault::of("POST", JIT) };
    lab.github.add_fault(fault).unwrap();
    assert_eq!(lab.get(&format!("/orgs/{ORG}/actions/runners")).await.unwrap().status, 200, "another route");
    for _ in 0..2 {
        let reply = lab.call("POST", &jit_path(), As::Installation, Some(body("a"))).await.unwrap();
        assert_eq!((reply.status, reply.header("retry-after")), (403, "60"));
        assert_eq!(reply.message(), "You have exceeded a secondary rate limit.");
    }
    assert!(lab.github.runners().is_empty());
    assert_eq!(lab.call("POST", &jit_path(), As::Installation, Some(body("a"))).await.unwrap().status, 201);
    assert_eq!(lab.github.calls()[&format!("POST {JIT}")], 3);
}

#[tokio::test]
async fn an_answer_may_be_lost_after_the_work_is_done() {
    let lab = Lab::start().await.unwrap();
    let fault = Fault { count: Some(1), status: Some(502), after: true, ..Fault::of("POST", JIT) };
    lab.github.add_fault(fault).unwrap();
    let reply = lab.call_anyhow("POST", &jit_path(), As::Installation, Some(body("a"))).await.unwrap();
    assert_eq!(reply.status, 502);
    assert_eq!(lab.github.runners().len(), 1);
    assert_eq!(lab.call("POST", &jit_path(), As::Installation, Some(body("a"))).await.unwrap().status, 409);
}

#[tokio::test]
async fn a_delay_and_a_call_that_hangs() {
    let lab = Lab::start().await.unwrap();
    lab.github.add_fault(Fault { count: Some(1), delay_ms: 250, ..Fault::of("GET", "/app") }).unwrap();
    let begun = Instant::now();
    assert_eq!(lab.call("GET", "/app", As::App, None).await.unwrap().status, 200);
    assert!(begun.elapsed() >= Duration::from_millis(250));

    lab.github.add_fault(Fault { count: Some(1), hang: true, ..Fault::of("GET", "/app") }).unwrap();
    let mut call = std::pin::pin!(lab.call("GET", "/app", As::App, None));
    let met = wait_for("the fault to be met", || {
        if lab.github.faults().is_empty() { Ok(()) } else { Err("not yet".to_owned()) }
    });
    tokio::select! {
        answer = &mut call => panic!("{answer:?}"),
        met = met => met.unwrap(),
    }
    assert!(tokio::time::timeout(Duration::from_millis(400), call).await.is_err());
    assert_eq!(lab.call("GET", "/app", As::App, None).await.unwrap().status, 200);
}

#[tokio::test]
async fn faults_meet_the_runner_too_and_end_when_cleared() {
    let lab = Lab::start().await.unwrap();
    let mut runner = lab.jit("r", &["a"]).await.unwrap();
    runner.connect().await.unwrap();
    lab.github.add_fault(Fault { method: None, status: Some(503), ..Fault::of("", "/_runner/*") }).unwrap();
    assert_eq!(runner.message().await.unwrap().0, 503);
    assert_eq!(runner.message().await.unwrap().0, 503);
    lab.github.clear_faults();
    assert_eq!(runner.message().await.unwrap().0, 202);
}

#[tokio::test]
async fn chance_meets_some_and_spares_some() {
    let lab = Lab::start().await.unwrap();
    let fault = Fault { status: Some(500), probability: Some(0.5), ..Fault::of("GET", "/rate_limit") };
    lab.github.add_fault(fault).unwrap();
    let mut met = 0;
    for _ in 0..100 {
        met += u32::from(lab.call_anyhow("GET", "/rate_limit", As::Nobody, None).await.unwrap().status == 500);
    }
    assert!((25..=75).contains(&met), "{met} of 100");
}

#[tokio::test]
async fn a_stopped_emulator_answers_no_more() {
    let lab = Lab::start().await.unwrap();
    lab.github.stop();
    let addr = lab.github.addr();
    wait_for("the port to close", || {
        std::net::TcpStream::connect(addr).map_or_else(|_| Ok(()), |_| Err("still open".to_owned()))
    })
    .await
    .unwrap();
}
