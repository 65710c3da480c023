//! GitHub's description of its API (`rest-openapi.json`) as JSON Schema.

use anyhow::{Context, bail, ensure};
use jsonschema::{Draft, Validator};
use serde_json::{Value, json};

/// The description.
pub(crate) struct OpenApi(Value);

impl OpenApi {
    pub(crate) fn load() -> anyhow::Result<Self> {
        let mut all: Value = serde_json::from_str(include_str!("../../fixtures/rest-openapi.json"))?;
        // Says that an account is a user and an enterprise at once; the `installation` schema has it right.
        let account =
            "/paths/~1app~1installations/get/responses/200/content/application~1json/schema/items/properties/account";
        let account = all.pointer_mut(account).and_then(Value::as_object_mut).context("no account")?;
        let both = account.remove("allOf").context("the description was mended")?;
        account.insert("anyOf".to_owned(), both);
        allow_null(&mut all);
        Ok(Self(all))
    }

    /// Every operation, as `METHOD /path/{pattern}`.
    pub(crate) fn operations(&self) -> Vec<String> {
        let paths = self.0["paths"].as_object().into_iter().flatten();
        let methods = ["get", "post", "put", "patch", "delete"];
        paths
            .flat_map(|(path, item)| {
                let there = methods.iter().filter(|method| item.get(**method).is_some());
                there.map(move |method| format!("{} {path}", method.to_uppercase()))
            })
            .collect()
    }

    /// The pattern that a path follows; the one with the fewest parameters where several do.
    pub(crate) fn pattern(&self, path: &str) -> Option<String> {
        let path = path.strip_prefix("/api/v3").unwrap_or(path);
        // Enterprises are not in this description; their calls have the shape of the organizations'.
        let path = match path.strip_prefix("/enterprises/") {
            Some(rest) => format!("/orgs/{rest}"),
            None => path.to_owned(),
        };
        let parts: Vec<&str> = path.split('/').collect();
        let fits = |pattern: &&String| {
            let wanted: Vec<&str> = pattern.split('/').collect();
            wanted.len() == parts.len() && wanted.iter().zip(&parts).all(|(w, p)| w.starts_with('{') || w == p)
        };
        let paths = self.0["paths"].as_object().into_iter().flatten().map(|(pattern, _)| pattern);
        paths.filter(fits).min_by_key(|pattern| pattern.matches('{').count()).cloned()
    }

    /// Holds an answer against the description. Errors that it doesn't list must look like all of GitHub's errors.
    pub(crate) fn check_answer(
        &self,
        method: &str,
        path: &str,
        status: u16,
        body: Option<&Value>,
    ) -> anyhow::Result<()> {
        let pattern = self.pattern(path).with_context(|| format!("{path} is not in the description"))?;
        let responses = &self.0["paths"][&pattern][method.to_lowercase()]["responses"];
        let response = match responses.get(status.to_string()) {
            Some(response) => self.resolved(response),
            None if status >= 400 => {
                let schema = json!({ "$ref": "#/components/schemas/basic-error" });
                return self.check(&schema, body.unwrap_or(&Value::Null));
            }
            None => bail!("{method} {pattern} does not answer {status}"),
        };
        let Some(content) = response["content"].get("application/json") else {
            ensure!(body.is_none(), "{method} {pattern} {status} has no body");
            return Ok(());
        };
        self.check(&content["schema"], body.context("an answer without a body")?)
    }

    /// Holds a request's body against the description.
    pub(crate) fn check_request(&self, method: &str, path: &str, body: &Value) -> anyhow::Result<()> {
        let pattern = self.pattern(path).with_context(|| format!("{path} is not in the description"))?;
        let operation = &self.0["paths"][&pattern][method.to_lowercase()];
        let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
        ensure!(!schema.is_null(), "{method} {pattern} takes no body");
        self.check(schema, body)
    }

    fn resolved<'a>(&'a self, value: &'a Value) -> &'a Value {
        let reference = value["$ref"].as_str().and_then(|text| text.strip_prefix('#'));
        reference.and_then(|pointer| self.0.pointer(pointer)).unwrap_or(value)
    }

    fn check(&self, schema: &Value, value: &Value) -> anyhow::Result<()> {
        // OpenAPI 3.0 builds on the dialect before draft 5; `components` stands beside it for the references.
        let whole = json!({ "allOf": [schema], "components": self.0["components"] });
        let options = jsonschema::options().with_draft(Draft::Draft4).should_validate_formats(true);
        let validator: Validator = options.build(&whole).map_err(|error| anyhow::anyhow!("{error}"))?;
        let errors: Vec<String> =
            validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect();
        ensure!(errors.is_empty(), "{}\nin {value:#}", errors.join("\n"));
        Ok(())
    }
}

/// `nullable: true` is the description's way to say that null is fine too; JSON Schema says it with a type.
fn allow_null(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(allow_null),
        Value::Object(fields) => {
            fields.values_mut().for_each(allow_null);
            if fields.get("nullable") == Some(&Value::Bool(true)) {
                fields.remove("nullable");
                let plain = Value::Object(std::mem::take(fields));
                *value = json!({ "anyOf": [{ "type": "null" }, plain] });
            }
        }
        _ => {}
    }
}

#[test]
fn the_check_can_fail() {
    let api = OpenApi::load().unwrap();
    let good = json!({ "token": "A1", "expires_at": "2026-11-20T15:00:00Z" });
    let path = "/orgs/o/actions/runners/registration-token";
    api.check_answer("POST", path, 201, Some(&good)).unwrap();
    let wrong = [
        json!({ "token": "A1" }),
        json!({ "token": 1, "expires_at": "2026-11-20T15:00:00Z" }),
        json!({ "token": "A1", "expires_at": "tomorrow" }),
        json!({ "token": null, "expires_at": "2026-11-20T15:00:00Z" }),
    ];
    for body in wrong {
        api.check_answer("POST", path, 201, Some(&body)).unwrap_err();
    }
    api.check_answer("POST", path, 200, Some(&good)).unwrap_err();
    api.check_answer("POST", path, 201, None).unwrap_err();
    api.check_answer("POST", "/orgs/o/nowhere", 201, Some(&good)).unwrap_err();
    api.check_answer("POST", path, 404, Some(&json!({ "message": 7 }))).unwrap_err();
}

#[test]
fn null_is_fine_only_where_it_is_said_to_be() {
    let api = OpenApi::load().unwrap();
    let step = json!({ "name": "a", "status": "queued", "conclusion": null, "number": 1 });
    let mut schema = api.0["components"]["schemas"]["job"]["properties"]["steps"].clone();
    api.check(&schema, &json!([step])).unwrap();
    schema["items"]["properties"]["conclusion"] = json!({ "type": "string" });
    api.check(&schema, &json!([step])).unwrap_err();
}
