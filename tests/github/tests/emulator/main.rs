//! The emulator over HTTP. Every answer of the REST API that a test sees is held against GitHub's own description of
//! it: `support::Lab::call` does so, with the schemas of `openapi`.

#![expect(clippy::unwrap_used, clippy::panic, reason = "clippy knows tests by their attribute only, not their helpers")]

mod admin;
mod apps;
mod faults;
mod jobs;
mod many;
mod openapi;
mod registration;
mod releases;
mod runners;
mod support;
mod tour;
mod webhooks;
