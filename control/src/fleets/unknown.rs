//! Fields of a document that nobody reads.

use serde_json::Value;

use super::SCHEMA;

/// The paths of all fields of `document` that the schema does not know, in document order. The reader passes over
/// them, so that an older control plane can read a newer document; they may as well be misspelt.
#[must_use]
pub fn unknown_fields(document: &Value) -> Vec<String> {
    let mut found = Vec::new();
    // The schema is ours and JSON, which a test holds fast; with none, nothing is known to be unknown.
    if let Ok(schema) = serde_json::from_str::<Value>(SCHEMA) {
        walk(&schema, &schema, document, "", &mut found);
    }
    found
}

fn walk(schema: &Value, node: &Value, value: &Value, path: &str, found: &mut Vec<String>) {
    let referred = node["$ref"].as_str().and_then(|to| schema.pointer(to.strip_prefix('#')?));
    let node = referred.unwrap_or(node);
    match value {
        Value::Object(fields) => {
            // Free names, as those of tags.
            let Some(known) = node["properties"].as_object() else { return };
            for (name, value) in fields {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                match known.get(name) {
                    Some(node) => walk(schema, node, value, &path, found),
                    None => found.push(path),
                }
            }
        }
        Value::Array(items) => {
            for (i, item) in items.iter().enumerate() {
                walk(schema, &node["items"], item, &format!("{path}[{i}]"), found);
            }
        }
        _ => {}
    }
}
