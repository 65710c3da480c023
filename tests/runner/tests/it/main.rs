//! The real binary against a tiny server: what its supervisor and its jobs see.
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "helpers of tests, which clippy does not take for tests")]

mod configure;
mod jobs;
mod outage;
mod packing;
mod scripts;
mod server;
mod start;
mod stop;
mod surroundings;
mod world;
