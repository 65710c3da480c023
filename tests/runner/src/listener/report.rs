//! What the listener's threads tell its main loop, through one channel.

use super::core::Event;
use crate::{job::Job, server::ServerError};

/// One report.
#[derive(Debug)]
pub enum Report {
    /// A session is open: the first one, or one in place of another that the server closed.
    Connected(String),
    /// Another session of this runner is open; still trying.
    Conflict,
    /// There is no session, and there will be none.
    NotConnected(ServerError),
    /// An outage begins.
    Lost(String),
    /// It is over.
    Reconnected,
    /// A job was handed out.
    Job(Box<Job>),
    /// The running worker ended, with its exit code unless a signal ended it.
    Worker(Option<i32>),
    /// An answer that the protocol does not have.
    Broken(String),
    /// Anything that needs no words.
    Event(Event),
}
