//! Schedules, found and run.

use serde_json::json;

use crate::{World, cloud::function_arn, wait_for};

async fn world() -> World {
    World::new(|cloud| {
        cloud.add_function("f", &[]);
        let mut things = cloud.things();
        let arn = |name: &str| format!("arn:aws:events:eu-west-1:123456789012:rule/{name}");
        things.rules = vec![
            json!({"Name": "tick", "Arn": arn("tick"), "ScheduleExpression": "rate(1 minute)", "State": "ENABLED"}),
            json!({"Name": "pattern", "Arn": arn("pattern"), "EventPattern": "{}", "State": "ENABLED"}),
            json!({"Name": "bad", "Arn": arn("bad"), "ScheduleExpression": "rate(5 seconds)", "State": "ENABLED"}),
        ];
        let target = json!({"Id": "1", "Arn": function_arn("f"), "Input": "{\"tick\":1}"});
        things.targets.insert("tick".to_owned(), vec![target.clone()]);
        things.targets.insert("bad".to_owned(), vec![target]);
        things.schedules = vec![json!({
            "Name": "pool", "GroupName": "g", "Arn": "arn:aws:scheduler:eu-west-1:123456789012:schedule/g/pool",
            "ScheduleExpression": "cron(* * * * ? *)", "ScheduleExpressionTimezone": "UTC", "State": "ENABLED",
            "Target": {"Arn": function_arn("f"), "RoleArn": "r", "Input": "{\"pool\":3}"},
        })];
    })
    .await
}

#[tokio::test]
async fn rules_and_schedules_are_found_and_run_on_request() {
    let world = world().await;
    let found = world.host.refresh().await.unwrap();
    assert_eq!(found.schedules, ["tick", "pool"]);
    assert_eq!(found.problems.len(), 1);
    assert!(found.problems[0].contains("rule bad") && found.problems[0].contains("5 seconds"), "{found:?}");
    for (name, event) in [("tick", json!({"tick": 1})), ("pool", json!({"pool": 3}))] {
        let answers = world.host.run_schedule_now(name).await.unwrap();
        assert_eq!(answers.len(), 1);
        assert_eq!(answers[0].success().unwrap()["event"], event);
    }
    let error = world.host.run_schedule_now("pattern").await.unwrap_err();
    assert!(error.to_string().contains("\"pattern\""), "{error}");
}

#[tokio::test]
async fn a_schedule_runs_when_it_is_due() {
    let world = World::new(|cloud| {
        cloud.add_function("f", &[]);
        // A busy machine may take its time to look at them, and one that is past by then never runs.
        let once = |lead: i64| {
            let at = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(lead);
            let name = format!("once-{lead}");
            json!({
                "Name": name, "GroupName": "default", "State": "ENABLED",
                "Arn": format!("arn:aws:scheduler:eu-west-1:123456789012:schedule/default/{name}"),
                "ScheduleExpression": format!("at({})", at.strftime("%Y-%m-%dT%H:%M:%S")),
                "Target": {"Arn": function_arn("f"), "RoleArn": "r"},
            })
        };
        cloud.things().schedules = [2, 7, 14].map(once).to_vec();
    })
    .await;
    wait_for("a run", || {
        let runs = world.host.stats().get("f").map_or(0, |stats| stats.invocations);
        if runs > 0 { Ok(()) } else { Err(runs) }
    })
    .await;
}
