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

/// Of each kind of event: its object, what of it is long and told elsewhere, and the ids that are never left out.
const OBJECTS: [(&str, &str, &[&str]); 2] = [
    ("workflow_job", "steps", &["id", "run_id", "run_attempt", "status"]),
    ("check_run", "output", &["id", "status", "conclusion", "head_sha"]),
];

/// The detail of the event: `payload` as it is, where that fits. Else with `"dayfly_cut": true`, first without the job's
/// steps or the check run's output, then with the ids and names of everything around it, then with its own ids alone.
#[must_use]
pub fn detail(payload: &Value) -> String {
    let whole = payload.to_string();
    if whole.len() <= LARGEST {
        return whole;
    }
    let found = OBJECTS.into_iter().find(|(object, ..)| payload.get(*object).is_some());
    let (object, long, ids) = found.unwrap_or(OBJECTS[0]);
    let mut cut = payload.clone();
    if let Some(inner) = cut.get_mut(object).and_then(Value::as_object_mut) {
        inner.remove(long);
    }
    cut["dayfly_cut"] = json!(true);
    let shortened = cut.to_string();
    if shortened.len() <= LARGEST {
        return shortened;
    }
    let mut around =
        Map::from_iter([("dayfly_cut".to_owned(), json!(true)), ("action".to_owned(), cut["action"].take())]);
    around
        .extend(KEPT.iter().filter_map(|(name, fields)| Some(((*name).to_owned(), only(payload.get(*name)?, fields)))));
    around.insert(object.to_owned(), cut[object].take());
    let named = Value::Object(around.clone()).to_string();
    if named.len() <= LARGEST {
        return named;
    }
    around.insert(object.to_owned(), only(&payload[object], ids));
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
    #[test]
    fn a_check_run_loses_its_output_first() {
        let payload: Value = serde_json::from_str(include_str!("../../testdata/check_run.created.json")).unwrap();
        let mut long = payload.clone();
        long["check_run"]["output"]["text"] = large();
        let mut expected = payload.clone();
        expected["check_run"].as_object_mut().unwrap().remove("output");
        expected["dayfly_cut"] = json!(true);
        assert_eq!(read(&detail(&long)), expected);
        long["check_run"]["name"] = large();
        let cut = read(&detail(&long));
        assert_eq!((&cut["check_run"]["id"], &cut["action"]), (&payload["check_run"]["id"], &payload["action"]));
        assert_eq!((cut["check_run"].get("name"), cut.get("workflow_job")), (None, None));
    }
}
