//! The thread that talks to the server: it opens the session, then asks for messages, one long poll after another.
//!
//! It only reports. A poll may hang for as long as the server likes; whoever listens to the reports is free meanwhile.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::Sender,
    },
    thread,
    time::{Duration, Instant},
};

use super::{core::Event, report::Report};
use crate::server::{Message, Server, ServerError};

/// The real one tries every 30 s to get its session back.
const CONFLICT_WAIT: Duration = Duration::from_secs(30);

/// Says that the listener closes its session itself: the poll that ends with it is then no session lost, and none is opened
/// that would keep a runner online that has gone.
#[derive(Clone, Debug, Default)]
pub struct Closing(Arc<AtomicBool>);

impl Closing {
    /// From here on no session is opened. To be said before the session is closed.
    pub fn begin(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    fn begun(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// Starts the thread. It ends with the process, or when nobody takes its reports.
pub fn start(server: Server, agent_id: String, conflict: Duration, closing: Closing, to: Sender<Report>) {
    thread::spawn(move || {
        while let Some(session) = open(&server, &agent_id, conflict, &to)
            && poll(&server, &session, &to) == Polled::SessionLost
            && !closing.begun()
        {}
    });
}

fn open(server: &Server, agent_id: &str, conflict: Duration, to: &Sender<Report>) -> Option<String> {
    let begun = Instant::now();
    let mut outage = Outage::default();
    loop {
        match server.open_session(agent_id) {
            Ok(session) => {
                outage.over(to);
                return to.send(Report::Connected(session.clone())).is_ok().then_some(session);
            }
            Err(ServerError::Unreachable(why)) => outage.wait(&why, to),
            Err(ServerError::Conflict) if begun.elapsed() < conflict => {
                drop(to.send(Report::Conflict));
                thread::sleep(CONFLICT_WAIT.min(conflict.saturating_sub(begun.elapsed())));
            }
            Err(error) => {
                drop(to.send(Report::NotConnected(error)));
                return None;
            }
        }
    }
}

/// Why a session is polled no more.
#[derive(Debug, PartialEq, Eq)]
enum Polled {
    /// The server has closed it, as after a long outage: another is to be opened.
    SessionLost,
    /// Nothing more will come, or nobody listens.
    Over,
}

fn poll(server: &Server, session: &str, to: &Sender<Report>) -> Polled {
    let mut outage = Outage::default();
    loop {
        let asked = Instant::now();
        let answer = server.next_message(session);
        if !matches!(answer, Err(ServerError::Unreachable(_))) {
            outage.over(to);
        }
        let sent = match answer {
            Ok(Some(Message::Job { job })) => to.send(Report::Job(job)),
            Ok(Some(Message::Update)) => to.send(Report::Event(Event::Update)),
            Ok(Some(Message::RefreshConfig)) => to.send(Report::Event(Event::Refresh)),
            Ok(None) => Ok(()),
            Err(ServerError::Unreachable(why)) => {
                outage.wait(&why, to);
                Ok(())
            }
            Err(error @ (ServerError::Gone | ServerError::Refused)) => {
                drop(to.send(Report::NotConnected(error)));
                return Polled::Over;
            }
            Err(ServerError::Conflict) => return Polled::SessionLost,
            Err(ServerError::VersionRefused) => to.send(Report::Event(Event::VersionRefused)),
            Err(error) => to.send(Report::Broken(error.to_string())),
        };
        if sent.is_err() {
            return Polled::Over;
        }
        // A server that answers at once, over and over, must not keep this machine busy.
        if asked.elapsed() < Duration::from_millis(20) {
            thread::sleep(Duration::from_millis(50));
        }
    }
}

/// One outage: told when it begins and when it is over, with longer and longer waits between.
#[derive(Default)]
struct Outage {
    tries: u32,
}

impl Outage {
    fn wait(&mut self, why: &str, to: &Sender<Report>) {
        if self.tries == 0 {
            drop(to.send(Report::Lost(why.to_owned())));
        }
        thread::sleep(backoff(self.tries));
        self.tries += 1;
    }

    fn over(&mut self, to: &Sender<Report>) {
        if self.tries > 0 {
            self.tries = 0;
            drop(to.send(Report::Reconnected));
        }
    }
}

/// The wait after `tries` failures: a quarter of a second, doubled up to 8 s. The real one waits longer; here 30 s of
/// silence make a runner offline.
#[must_use]
pub fn backoff(tries: u32) -> Duration {
    Duration::from_millis(250 << tries.min(5))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_stay_bounded() {
        let waits: Vec<_> = [0, 1, 2, 5, 6, u32::MAX].map(|tries| backoff(tries).as_millis()).into();
        assert_eq!(waits, [250, 500, 1000, 8000, 8000, 8000]);
    }
}
