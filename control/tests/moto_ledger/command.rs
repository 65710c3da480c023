//! `dayfly jobs`, `runners`, `launch` and `explain`, as they are shipped, against moto.

use std::process::{Command, Output};

use dayfly_control::{
    decide::{
        events::{self, Terms},
        jobs::JobState,
        plan::plan,
    },
    ledger::{Committed, Ledger},
};
use serde_json::Value;

use super::{NOW, TERMS, event, fleet, instance, reserve, server, tell};
use crate::server::Moto;

/// Runs the command line against `moto`.
fn dayfly(moto: &Moto, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dayfly"));
    command.args(arguments).env_clear().env("AWS_ENDPOINT_URL", &moto.endpoint).env("AWS_REGION", "eu-west-1");
    command.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test");
    command.output().unwrap()
}

fn answer(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn refusal(output: &Output) -> String {
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{output:?}");
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[tokio::test]
async fn the_command_line_shows_what_the_ledger_knows() {
    let moto = server::start();
    let ledger = &moto.ledger("command").await;
    let table = &format!("dayfly-test-command-{}", std::process::id());
    let fleet = &fleet(1);
    for id in [7, 8] {
        tell(ledger, &event(id, JobState::Queued, None), None).await.unwrap();
    }
    assert_eq!(reserve(ledger, fleet, 0).await.unwrap(), 1);
    let reservation = ledger.view(&fleet.name).await.unwrap().reservations.remove(0);
    let (writes, runners) = events::resolved(&reservation, &[instance(1)], &[], Terms { now: NOW + 1000, ..TERMS });
    assert_eq!(ledger.commit(writes).await.unwrap(), Committed::Yes);
    let registered = events::registered(runners[0].clone(), Some(23), NOW + 2000).unwrap();
    assert_eq!(ledger.commit(vec![registered]).await.unwrap(), Committed::Yes);
    tell(ledger, &event(7, JobState::Running, Some(&instance(1))), Some(&instance(1))).await.unwrap();

    let jobs = answer(&dayfly(&moto, &["jobs", "--table", table]));
    let lines: Vec<Vec<&str>> = jobs.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["JOB", "STATE", "FLEET", "REPOSITORY", "WAITED", "RAN", "RUNNER"]);
    assert_eq!(
        (lines[1][..4].to_vec(), lines[2][..2].to_vec()),
        (vec!["8", "queued", "linux-x64", "octo-org/octo-repo"], vec!["7", "running"])
    );
    assert!(!jobs.contains('\x1b'), "no colour where no terminal is");
    let json: Value =
        serde_json::from_str(&answer(&dayfly(&moto, &["jobs", "--table", table, "--json", "--state", "running"])))
            .unwrap();
    assert_eq!((json.as_array().unwrap().len(), &json[0]["id"]), (1, &7.into()));
    let none = answer(&dayfly(&moto, &["jobs", "--table", table, "--fleet", "big"]));
    assert_eq!(none.lines().count(), 1);

    for arguments in
        [&["runners", "--table", table, "--json"][..], &["runners", "--table", table, "--json", "--fleet", "linux-x64"]]
    {
        let json: Value = serde_json::from_str(&answer(&dayfly(&moto, arguments))).unwrap();
        assert_eq!((&json[0]["instance"], &json[0]["state"]), (&instance(1).into(), &"busy".into()), "{json}");
        let what: Vec<&str> =
            json[0]["history"].as_array().unwrap().iter().filter_map(|it| it["what"].as_str()).collect();
        // The job was told at NOW, before the registration.
        assert_eq!(what.len(), 4, "{what:?}");
    }

    let why = answer(&dayfly(&moto, &["explain", "7", "--table", table]));
    let name = format!("linux-x64-{}", instance(1));
    assert!(why.contains(&format!("It has the runner {name}.")) && why.contains("registered"), "{why}");
    let why = answer(&dayfly(&moto, &["explain", "8", "--table", table]));
    assert!(why.contains("Fleet linux-x64 is full: 1 instance is alive and its max is 1."), "{why}");
    assert!(
        why.contains("routed to fleet linux-x64") && why.contains("2 wanted, 0 on hand, 1 launched, 1 held back"),
        "{why}"
    );
    let json: Value =
        serde_json::from_str(&answer(&dayfly(&moto, &["explain", "8", "--table", table, "--json"]))).unwrap();
    assert_eq!(json["last_plan"]["held_back"], 1);
}

#[tokio::test]
async fn a_launch_by_hand_is_demand_and_wakes_the_fleet() {
    let moto = server::start();
    let ledger = &moto.ledger("by-hand").await;
    let table = &format!("dayfly-test-by-hand-{}", std::process::id());
    let queue = format!("{}/123456789012/nobodys", moto.endpoint);
    let missing =
        dayfly(&moto, &["launch", "linux-x64", "--table", table, "--repository", "o/r", "--deployment", "nowhere"]);
    assert!(refusal(&missing).contains("finding the queue dayfly-nowhere-wake"), "{missing:?}");
    let view = ledger.view("linux-x64").await.unwrap();
    assert!(view.manual.is_empty(), "nothing is put that nobody is woken for");
    let unheard = dayfly(&moto, &["launch", "linux-x64", "--table", table, "--wake-queue-url", &queue]);
    assert!(refusal(&unheard).contains("--repository says whose"), "{unheard:?}");

    // The demand stands although the queue is not there; the next look counts it.
    let arguments =
        ["launch", "linux-x64", "--count", "3", "--table", table, "--repository", "o/r", "--wake-queue-url", &queue];
    assert!(refusal(&dayfly(&moto, &arguments)).contains("waking fleet linux-x64"));
    let view = ledger.view("linux-x64").await.unwrap();
    assert_eq!((view.manual.len(), view.manual[0].count, view.manual[0].repository.as_str()), (1, 3, "o/r"));
    let planned = plan(&fleet(2), &view, view.manual[0].created_at);
    assert_eq!((planned.launched(), planned.held_back), (2, 1));
}

#[test]
fn what_can_not_be_asked_is_one_clear_error() {
    let moto = server::start();
    let no_table = refusal(&dayfly(&moto, &["jobs", "--deployment", "nowhere"]));
    assert_eq!(
        no_table,
        "dayfly: there is no table dayfly-nowhere-ledger in eu-west-1; --deployment, --table and AWS_REGION say which\n"
    );
    let bad = refusal(&dayfly(&moto, &["jobs", "--deployment", "No Where"]));
    assert!(bad.starts_with("dayfly: --deployment: found \"No Where\", expected"), "{bad}");

    let mut command = Command::new(env!("CARGO_BIN_EXE_dayfly"));
    command.args(["jobs", "--deployment", "main"]).env_clear().env("AWS_EC2_METADATA_DISABLED", "true");
    let no_region = refusal(&command.output().unwrap());
    assert!(no_region.contains("no AWS region is set"), "{no_region}");
    let no_credentials = refusal(&command.env("AWS_REGION", "eu-west-1").env("HOME", "/nonexistent").output().unwrap());
    assert!(no_credentials.starts_with("dayfly: no AWS credentials were found"), "{no_credentials}");
}

#[tokio::test]
async fn a_job_that_is_not_there_and_a_reader_that_went_away() {
    let moto = server::start();
    moto.ledger("absent").await;
    let table = &format!("dayfly-test-absent-{}", std::process::id());
    let absent = refusal(&dayfly(&moto, &["explain", "9", "--table", table]));
    assert!(absent.starts_with("dayfly: there is no job 9: "), "{absent}");

    // A pipe whose other end is closed before anything is written.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = Command::new(env!("CARGO_BIN_EXE_dayfly"));
    command.args(["jobs", "--table", table]).env("AWS_ENDPOINT_URL", &moto.endpoint).env("AWS_REGION", "eu-west-1");
    command.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test").stdout(writer);
    let output = command.output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}
