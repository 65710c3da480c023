//! What happens outside, turned into events: [`signals`] to the agent, the runner's output and exit ([`watch`]), its
//! [`worker`], [`notices`] of EC2's, too little room on a [`disk`], and time in which the machine stood still
//! ([`stillness`]); [`begin`] begins those of the machine. Results of the agent's own actions come from `effects`, calls of hooks from `hook`.

pub mod begin;
pub mod disk;
pub mod follow;
pub mod notices;
pub mod signals;
pub mod stillness;
pub mod watch;
pub mod worker;
