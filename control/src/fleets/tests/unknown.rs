//! Fields that nobody reads.

use serde_json::{Value, json};

use super::{set, smallest, with};
use crate::fleets::{SCHEMA, unknown_fields};

#[test]
fn misspelt_fields_are_told_by_their_paths() {
    assert_eq!(unknown_fields(&smallest()), [""; 0]);
    let mut document = with("repositorys_denied", json!(["octo-org/secret"]));
    document["public_fork"] = json!(true);
    document["$schema"] = json!("fleets.schema.json");
    set(&mut document["fleets"][0], "launch/tags", json!({"any": "name"}));
    set(&mut document["fleets"][0], "launch/requirements", json!({"vcpus": {"min": 1, "maximum": 2}}));
    set(&mut document["fleets"][0], "github/group", json!(1));
    let expected = [
        "fleets[0].github.group",
        "fleets[0].launch.requirements.vcpus.maximum",
        "fleets[0].repositorys_denied",
        "public_fork",
    ];
    let mut found = unknown_fields(&document);
    found.sort();
    assert_eq!(found, expected);
}

/// Whoever edits a document sees these beside each field.
#[test]
fn the_schema_describes_every_field() {
    fn fields(node: &Value, path: &str, bare: &mut Vec<String>) {
        if let Some(known) = node["properties"].as_object().filter(|_| node.get("type").is_some()) {
            for (name, field) in known {
                let said = ["description", "$ref"].iter().any(|it| field.get(it).is_some());
                // The ends of a range are told where the range is.
                if !said && !["min", "max"].contains(&name.as_str()) {
                    bare.push(format!("{path}/{name}"));
                }
            }
        }
        match node {
            Value::Object(inner) => inner.iter().for_each(|(name, it)| fields(it, &format!("{path}/{name}"), bare)),
            Value::Array(inner) => inner.iter().for_each(|it| fields(it, path, bare)),
            _ => {}
        }
    }
    let mut bare = Vec::new();
    fields(&serde_json::from_str(SCHEMA).unwrap(), "", &mut bare);
    assert_eq!(bare, [""; 0]);
}
