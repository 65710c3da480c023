//! `ping`: what GitHub sends when a hook is set up. The answer is shown beside the delivery, to whoever set it up.

use serde_json::Value;

/// What is to be said about the hook: that its secret is right, and whether it sends what is needed.
pub(super) fn describe(payload: &Value) -> String {
    let hook = &payload["hook"];
    let kind = match hook["type"].as_str() {
        Some(kind) => format!("{} hook", kind.to_lowercase()),
        None => "hook".to_owned(),
    };
    let events: Vec<&str> = hook["events"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let sends = |event: &str| events.contains(&event) || events.contains(&"*");
    let verdict = match (sends("workflow_job"), sends("check_run")) {
        (true, _) => "it sends workflow_job events, as it must",
        (false, true) => "it sends check_run events only; workflow_job tells more and costs no questions",
        (false, false) => "it sends neither workflow_job nor check_run events, so no job will be heard of",
    };
    format!("pong: the {kind}'s secret is right; {verdict}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::describe;

    #[test]
    fn a_hook_that_sends_the_wrong_events_is_told_so() {
        let cases = [
            (json!(["*"]), "it sends workflow_job events"),
            (json!(["push", "workflow_job"]), "it sends workflow_job events"),
            (json!(["check_run"]), "it sends check_run events only"),
            (json!(["push"]), "so no job will be heard of"),
            (json!([]), "so no job will be heard of"),
        ];
        for (events, expected) in cases {
            let said = describe(&json!({"zen": "x", "hook": {"type": "Organization", "events": events}}));
            assert!(said.starts_with("pong: the organization hook's secret is right; "), "{said}");
            assert!(said.contains(expected), "{said}");
        }
        assert!(describe(&json!({})).starts_with("pong: the hook's secret is right"));
    }

    #[test]
    fn githubs_own_samples_are_understood() {
        for (text, kind) in [
            (include_str!("../../../testdata/ping.repository.json"), "repository"),
            (include_str!("../../../testdata/ping.organization.json"), "organization"),
        ] {
            let said = describe(&serde_json::from_str(text).unwrap());
            assert!(said.contains(&format!("the {kind} hook's secret is right")), "{said}");
        }
    }
}
