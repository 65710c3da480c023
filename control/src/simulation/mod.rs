//! The handlers against a world in memory: every call to a port is a point where another invocation may run, where time
//! passes, and where the invocation may be killed.
//!
//! [`world`] is that world and its ports, [`runtime`] polls invocations in a random order, [`model`] plays GitHub, the
//! instances and Lambda over them, thousands of times, and looks at what is left.

pub(crate) mod model;
mod outside;
pub(crate) mod runtime;
#[cfg(test)]
mod tests;
pub(crate) mod world;
