//! Answers as GitHub words them.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// Where GitHub's error bodies point.
const DOCS: &str = "https://docs.github.com/rest";

/// An error answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) status: StatusCode,
    message: String,
    errors: Vec<Value>,
}

impl Failure {
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), errors: Vec::new() }
    }

    pub(crate) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "Not Found")
    }

    pub(crate) fn bad_credentials() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "Bad credentials")
    }

    pub(crate) fn forbidden() -> Self {
        Self::new(StatusCode::FORBIDDEN, "Resource not accessible by integration")
    }

    /// 422 with each mistake named (`validation-error-simple` in the description).
    pub(crate) fn invalid(errors: Vec<String>) -> Self {
        Self::unprocessable(errors.into_iter().map(Value::String).collect())
    }

    /// 422 in the other shape that GitHub has for it (`validation-error`).
    pub(crate) fn invalid_objects(errors: &[String]) -> Self {
        Self::unprocessable(errors.iter().map(|text| json!({ "code": "custom", "message": text })).collect())
    }

    fn unprocessable(errors: Vec<Value>) -> Self {
        Self { status: StatusCode::UNPROCESSABLE_ENTITY, message: "Validation Failed".to_owned(), errors }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut body = json!({ "message": self.message, "documentation_url": DOCS, "status": self.status.as_str() });
        if !self.errors.is_empty() {
            body["errors"] = json!(self.errors);
        }
        answer(self.status, &body)
    }
}

/// A JSON answer.
pub(crate) fn answer(status: StatusCode, body: &Value) -> Response {
    let content_type = HeaderValue::from_static("application/json; charset=utf-8");
    (status, [(header::CONTENT_TYPE, content_type)], body.to_string()).into_response()
}

/// 200 with JSON.
pub(crate) fn ok(body: &Value) -> Response {
    answer(StatusCode::OK, body)
}

/// What a handler answers.
pub(crate) type Answered = Result<Response, Failure>;
