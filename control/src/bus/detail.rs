//! GitHub's payload, cut to what an event may carry.

use serde_json::{Map, Value, json};

/// EventBridge takes 256 KB for an entry with all its parts; the rest of it is small.
/// <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevents.html>
pub const LARGEST: usize = 255 * 1024;

/// What is kept of the payload's large objects when all of them are too much.
const KEPT: [(&str, &[&str]); 5] = [
    ("repository", &["id", "full_name", "private", "visibility", "default_branch"]),
    ("organization", &["id", "login"]),
    ("enterprise", &["id", "slug"]),
    ("sender", &["id", "login", "type"]),
    ("installation", &["id"]),
];

/// The detail of the event: `payload` as it is, where that fits. Else with `"dayfly_cut": true`, first without the job's
/// steps, then with the ids and names of everything around the job, then with the job's ids alone.
#[must_use]
pub fn detail(payload: &Value) -> String {
    let whole = payload.to_string();
    if whole.len() <= LARGEST {
        return whole;
    }
    let mut cut = payload.clone();
    if let Some(job) = cut.get_mut("workflow_job").and_then(Value::as_object_mut) {
        job.remove("steps");
    }
    cut["dayfly_cut"] = json!(true);
    let stepless = cut.to_string();
    if stepless.len() <= LARGEST {
        return stepless;
    }
    let mut around =
        Map::from_iter([("dayfly_cut".to_owned(), json!(true)), ("action".to_owned(), cut["action"].take())]);
    around
        .extend(KEPT.iter().filter_map(|(name, fields)| Some(((*name).to_owned(), only(payload.get(*name)?, fields)))));
    around.insert("workflow_job".to_owned(), cut["workflow_job"].take());
    let named = Value::Object(around.clone()).to_string();
    if named.len() <= LARGEST {
        return named;
    }
    around
        .insert("workflow_job".to_owned(), only(&payload["workflow_job"], &["id", "run_id", "run_attempt", "status"]));
    Value::Object(around).to_string()
}

fn only(value: &Value, fields: &[&str]) -> Value {
    fields
        .iter()
        .filter_map(|field| Some(((*field).to_owned(), value.get(*field)?.clone())))
        .collect::<Map<_, _>>()
        .into()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{LARGEST, detail};

    const QUEUED: &str = include_str!("../../testdata/workflow_job.queued.json");

    fn large() -> Value {
        json!("y".repeat(LARGEST))
    }

    fn read(text: &str) -> Value {
        assert!(text.len() <= LARGEST, "{} bytes", text.len());
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_payload_that_fits_is_not_changed() {
        let payload: Value = serde_json::from_str(QUEUED).unwrap();
        assert_eq!(read(&detail(&payload)), payload);
    }

    #[test]
    fn one_that_does_not_loses_its_steps_first_and_its_ids_never() {
        let payload: Value = serde_json::from_str(QUEUED).unwrap();
        let mut long = payload.clone();
        long["workflow_job"]["steps"] = json!([{"name": large()}]);
        let mut expected = payload.clone();
        expected["workflow_job"].as_object_mut().unwrap().remove("steps");
        expected["dayfly_cut"] = json!(true);
        assert_eq!(read(&detail(&long)), expected);

        long["repository"]["description"] = large();
        let cut = read(&detail(&long));
        assert_eq!(cut["repository"]["full_name"], payload["repository"]["full_name"]);
        assert_eq!(cut["repository"].get("description"), None);
        assert_eq!((&cut["action"], &cut["workflow_job"]), (&json!("queued"), &expected["workflow_job"]));

        long["workflow_job"]["name"] = large();
        let cut = read(&detail(&long));
        assert_eq!(cut["workflow_job"]["id"], payload["workflow_job"]["id"]);
        assert_eq!(cut["workflow_job"].get("name"), None);
        assert_eq!(cut["installation"]["id"], payload["installation"]["id"]);
        assert_eq!(cut["dayfly_cut"], json!(true));
    }
}
