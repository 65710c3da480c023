//! What happens outside, turned into events: [`signals`] to the agent, and the runner's output and exit ([`watch`]).
//! Results of the agent's own actions come from `effects`.

pub mod follow;
pub mod signals;
pub mod watch;
