//! The job's log, sent to the server in batches by a thread of its own, so that no step waits for it.

use std::{
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    thread,
    time::{Duration, Instant},
};

use jiff::Timestamp;

use crate::server::{Server, ServerError};

const BATCH: Duration = Duration::from_millis(200);
/// More than this is not kept through an outage.
const KEPT: usize = 1 << 20;
/// How long the end of a job waits for its log.
const AT_END: Duration = Duration::from_secs(5);

/// Takes lines.
#[derive(Clone, Debug)]
pub struct Log {
    lines: Sender<Entry>,
}

#[derive(Debug)]
enum Entry {
    Line(String),
    Finish(Sender<()>),
}

impl Log {
    /// Starts the thread.
    #[must_use]
    pub fn start(server: Server, job: String) -> Self {
        let (lines, entries) = channel();
        thread::spawn(move || {
            send_all(&entries, |text| {
                // Only an outage is worth another try: a server that has deleted the job takes no log of it.
                !matches!(server.append_log(&job, text), Err(ServerError::Unreachable(_)))
            });
        });
        Self { lines }
    }

    /// One line, with the time before it as the real one has it.
    pub fn line(&self, text: &str) {
        let stamped = format!("{} {text}\n", Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.%7fZ"));
        drop(self.lines.send(Entry::Line(stamped)));
    }

    /// Waits, for a limited time, until all lines are sent.
    pub fn finish(&self) {
        let (done, wait) = channel();
        drop(self.lines.send(Entry::Finish(done)));
        let _ = wait.recv_timeout(AT_END);
    }
}

/// Sends until told to finish; what could not be sent stays for the next try.
fn send_all(entries: &Receiver<Entry>, send: impl Fn(&str) -> bool) {
    let mut waiting = String::new();
    let mut retry = Instant::now();
    loop {
        // Nothing to send: nothing to wake up for.
        let limit = if waiting.is_empty() { Duration::from_hours(1) } else { BATCH };
        match entries.recv_timeout(limit) {
            Ok(Entry::Line(line)) => {
                if waiting.len() + line.len() <= KEPT {
                    waiting.push_str(&line);
                }
                if waiting.len() < KEPT / 16 {
                    continue;
                }
            }
            Ok(Entry::Finish(done)) => {
                while !waiting.is_empty() && !send(&waiting) {
                    thread::sleep(BATCH);
                }
                drop(done);
                return;
            }
            Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => {}
        }
        if !waiting.is_empty() && Instant::now() >= retry {
            if send(&waiting) {
                waiting.clear();
            } else {
                retry = Instant::now() + Duration::from_secs(1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn all_lines_arrive_once_and_in_order_even_after_a_failure() {
        let (lines, entries) = channel();
        let log = Log { lines };
        log.line("one");
        log.line("two");
        let (done, wait) = channel();
        log.lines.send(Entry::Finish(done)).unwrap();
        let got = Mutex::new((0, String::new()));
        send_all(&entries, |text| {
            let mut got = got.lock().unwrap();
            got.0 += 1;
            if got.0 == 1 {
                return false;
            }
            got.1.push_str(text);
            true
        });
        assert!(wait.recv().is_err(), "told by closing");
        let got = got.into_inner().unwrap();
        let texts: Vec<&str> = got.1.lines().map(|line| line.split_once(' ').unwrap().1).collect();
        assert_eq!((got.0, texts), (2, vec!["one", "two"]));
    }
}
