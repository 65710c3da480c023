//! What a schedule's function is told.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::model::{Schedule, Scheduler, arn_part};

/// The event: the target's input, or else the scheduled event that AWS makes. `due` is when it should have run.
pub(crate) fn event(schedule: &Schedule, due: Timestamp, id: &str) -> Vec<u8> {
    let time = due.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    match &schedule.input {
        Some(input) if schedule.by == Scheduler::Scheduler => {
            // EventBridge Scheduler's keywords. Source: its user guide, "Adding context attributes".
            let input = input
                .replace("<aws.scheduler.schedule-arn>", &schedule.arn)
                .replace("<aws.scheduler.scheduled-time>", &time)
                .replace("<aws.scheduler.execution-id>", id)
                .replace("<aws.scheduler.attempt-number>", "1");
            input.into_bytes()
        }
        Some(input) => input.clone().into_bytes(),
        None => {
            // The rule's detail is an object, the scheduler's a string with one in it.
            let (source, detail) = match schedule.by {
                Scheduler::Rule => ("aws.events", json!({})),
                Scheduler::Scheduler => ("aws.scheduler", Value::from("{}")),
            };
            json!({
                "version": "0",
                "id": id,
                "detail-type": "Scheduled Event",
                "source": source,
                "account": arn_part(&schedule.arn, 4),
                "time": time,
                "region": arn_part(&schedule.arn, 3),
                "resources": [schedule.arn],
                "detail": detail,
            })
            .to_string()
            .into_bytes()
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;
    use crate::when::When;

    fn event_of(by: Scheduler, input: Option<&str>) -> Value {
        let schedule = Schedule {
            name: "tick".to_owned(),
            arn: "arn:aws:events:eu-west-1:123456789012:rule/tick".to_owned(),
            function: "f".to_owned(),
            when: When::parse("rate(1 minute)").unwrap(),
            zone: TimeZone::UTC,
            input: input.map(str::to_owned),
            by,
        };
        serde_json::from_slice(&event(&schedule, "2026-11-20T12:00:00.7Z".parse().unwrap(), "id")).unwrap()
    }

    #[test]
    fn an_input_is_passed_as_it_is() {
        let keyword = r#"{"at":"<aws.scheduler.scheduled-time>"}"#;
        assert_eq!(event_of(Scheduler::Rule, Some(keyword)), json!({"at": "<aws.scheduler.scheduled-time>"}));
        assert_eq!(event_of(Scheduler::Scheduler, Some(keyword)), json!({"at": "2026-11-20T12:00:00Z"}));
    }

    #[test]
    fn without_one_there_is_a_scheduled_event() {
        assert_eq!(
            event_of(Scheduler::Rule, None),
            json!({
                "version": "0", "id": "id", "detail-type": "Scheduled Event", "source": "aws.events",
                "account": "123456789012", "time": "2026-11-20T12:00:00Z", "region": "eu-west-1",
                "resources": ["arn:aws:events:eu-west-1:123456789012:rule/tick"], "detail": {}
            })
        );
        assert_eq!(event_of(Scheduler::Scheduler, None)["detail"], "{}");
    }
}
