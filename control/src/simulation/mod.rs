//! The handlers against a world in memory: every call to a port is a point where another invocation may run, where time
//! passes, and where the invocation may be killed.
//!
//! [`world`] is that world and its ports, [`runtime`] polls invocations. The unit tests of this crate use them, and so does
//! `tests/sim`, by the feature `simulation`: it plays GitHub, the instances and Lambda over them, thousands of times, and
//! looks at what is left. What is shipped never has that feature (`docs/decisions/0027`).

#![allow(
    missing_docs,
    missing_debug_implementations,
    clippy::expect_used,
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    clippy::new_without_default,
    clippy::panic,
    clippy::should_implement_trait,
    clippy::unwrap_used,
    reason = "what only tests and the simulation use"
)]

mod outside;
pub mod runtime;
pub mod world;

use aws_lambda_events::apigw::ApiGatewayV2httpRequest;

/// What GitHub signs with.
pub const SECRET: &str = "It's a Secret to Everybody";

/// A signed delivery of a `workflow_job` event.
pub fn delivery(body: &str) -> ApiGatewayV2httpRequest {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, SECRET.as_bytes());
    let signature = format!("sha256={}", hex::encode(ring::hmac::sign(&key, body.as_bytes())));
    let mut request = ApiGatewayV2httpRequest::default();
    let headers =
        [("x-hub-signature-256", signature.as_str()), ("x-github-event", "workflow_job"), ("x-github-delivery", "d1")];
    for (name, value) in headers {
        if let Ok(value) = value.parse() {
            request.headers.insert(name, value);
        }
    }
    request.body = Some(body.to_owned());
    request
}
