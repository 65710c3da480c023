//! Telling control: lifecycle messages, in order, also while the queue can't be reached.
//!
//! [`Post::send`] puts a message into a bounded buffer ([`pending`]) and at once into a file ([`kept`]), from which an
//! agent that is killed and started again sends it; one task sends the messages one after the other. So a message is
//! told once or, after a crash, twice, and it is lost only where the buffer overflows or the instance ends before the
//! queue can be reached. [`redact`] makes the runner's last words fit to be told.

mod kept;
mod pending;
pub mod redact;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dayfly_contract::{Kind, Lifecycle};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tracing::{error, info, warn};

use self::kept::Kept;
use self::pending::{Letter, Pending};
use crate::aws::CallError;
use crate::backoff::{Backoff, random};
use crate::effects::Outbox;

/// How long one try may take; the client's own limits are shorter.
const ATTEMPT: Duration = Duration::from_secs(15);
/// The longest pause between tries, while the agent has nothing but time.
const PATIENT: Duration = Duration::from_secs(30);
/// The same when the instance waits for it to end.
const HURRIED: Duration = Duration::from_secs(2);
/// How long refusals are tried against at the end: what IAM refuses for longer it refuses for good.
const REFUSED_LIMIT: Duration = Duration::from_secs(5);

/// Sends lifecycle messages.
#[derive(Debug)]
pub struct Post {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

/// What became of the messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flushed {
    /// All were sent.
    All,
    /// So many were not.
    Left(usize),
}

struct Shared {
    outbox: Arc<dyn Outbox>,
    kept: Kept,
    pending: Mutex<Pending>,
    /// There is something to send.
    filled: Notify,
    /// The pause is over.
    hurry: Notify,
    progress: watch::Sender<Progress>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Shared")
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    left: usize,
    is_hurried: bool,
    is_refused: bool,
}

impl Post {
    /// Sends through `outbox`, beginning with what an earlier agent of `instance_id` has left in `directory`. Runs a
    /// task, so there must be a runtime.
    #[must_use]
    pub fn open(outbox: Arc<dyn Outbox>, directory: &Path, instance_id: &str) -> Self {
        let kept = Kept::new(directory, instance_id);
        let pending = Pending::of(kept.load());
        if !pending.is_empty() {
            info!(messages = pending.len(), "Messages of an earlier agent are sent now");
        }
        let (progress, _) = watch::channel(Progress { left: pending.len(), ..Progress::default() });
        let (filled, hurry) = (Notify::new(), Notify::new());
        let shared = Arc::new(Shared { outbox, kept, pending: Mutex::new(pending), filled, hurry, progress });
        let task = tokio::spawn(Arc::clone(&shared).deliver());
        Self { shared, task }
    }

    /// Sends `message` after all others, but before a final one. It is in the file when this returns.
    pub fn send(&self, message: &Lifecycle) {
        let text = match serde_json::to_string(message) {
            Ok(text) => sendable(text),
            // Can't be: it has no maps but those with texts as keys.
            Err(error) => return error!(%error, kind = ?message.kind, "A lifecycle message can't be written"),
        };
        info!(lifecycle.message = text, "Control is told: {:?}", message.kind);
        let dropped = self.shared.change(|pending| pending.push(Letter { kind: message.kind, text }));
        if let Some(Letter { kind, text }) = dropped
            && kind != Kind::Heartbeat
        {
            error!(lifecycle.message = text, "Too many messages wait; control is not told this one: {kind:?}");
        }
        self.shared.filled.notify_one();
    }

    /// For the end: waits until all is sent, the final message before old news, for up to `limit`; less where the queue refuses all
    /// the time. What could not be sent is logged, and stays in the file.
    pub async fn flush(&self, limit: Duration) -> Flushed {
        let mut progress = self.shared.progress.subscribe();
        self.shared.progress.send_modify(|progress| progress.is_hurried = true);
        self.shared.hurry.notify_one();
        let settled = progress.wait_for(|progress| progress.left == 0 || progress.is_refused);
        // In time or not, what counts is what is left.
        let _in_time = timeout(limit, settled).await.is_ok();
        let pending = self.shared.lock();
        for letter in pending.letters() {
            let (kind, text) = (letter.kind, &letter.text);
            error!(lifecycle.message = text, "A message can't be sent; control is not told: {kind:?}");
        }
        if pending.is_empty() { Flushed::All } else { Flushed::Left(pending.len()) }
    }
}

impl Drop for Post {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what is pending, in memory and in the file.
    fn change<T>(&self, change: impl FnOnce(&mut Pending) -> T) -> T {
        let mut pending = self.lock();
        let result = change(&mut pending);
        self.kept.save(pending.letters());
        self.progress.send_modify(|progress| progress.left = pending.len());
        result
    }

    async fn deliver(self: Arc<Self>) {
        let mut trouble = Trouble::new();
        loop {
            let next = self.lock().first();
            let Some((number, text)) = next else {
                self.filled.notified().await;
                continue;
            };
            match timeout(ATTEMPT, self.outbox.send(text)).await {
                Ok(Ok(())) => {
                    self.change(|pending| pending.remove(number));
                    trouble.over();
                    self.progress.send_modify(|progress| progress.is_refused = false);
                }
                Ok(Err(error)) => self.pause(&mut trouble, Some(error)).await,
                Err(_elapsed) => self.pause(&mut trouble, None).await,
            }
        }
    }

    async fn pause(&self, trouble: &mut Trouble, error: Option<CallError>) {
        let is_hurried = self.progress.borrow().is_hurried;
        trouble.note(error, is_hurried);
        if is_hurried && trouble.refused_since.is_some_and(|since| since.elapsed() >= REFUSED_LIMIT) {
            self.progress.send_modify(|progress| progress.is_refused = true);
        }
        tokio::select! {
            () = sleep(trouble.backoff.next(random())) => {}
            () = self.hurry.notified() => trouble.backoff = backoff(true),
        }
    }
}

/// Tries that failed, one after the other.
struct Trouble {
    began: Option<Instant>,
    /// Since when all answers at the end were refusals.
    refused_since: Option<Instant>,
    backoff: Backoff,
}

impl Trouble {
    fn new() -> Self {
        Self { began: None, refused_since: None, backoff: backoff(false) }
    }

    fn note(&mut self, error: Option<CallError>, is_hurried: bool) {
        let is_final = error.as_ref().is_some_and(|error| error.fault.is_final());
        self.refused_since = (is_hurried && is_final).then(|| self.refused_since.unwrap_or_else(Instant::now));
        if self.began.is_none() {
            let error = error.map_or_else(|| "no answer".to_owned(), |error| error.to_string());
            warn!(error, "Control can't be told now; trying on");
            self.began = Some(Instant::now());
        }
    }

    fn over(&mut self) {
        if let Some(began) = self.began.take() {
            info!(seconds = began.elapsed().as_secs(), "Control can be told again");
        }
        *self = Self::new();
    }
}

fn backoff(is_hurried: bool) -> Backoff {
    Backoff::new(Duration::from_millis(200), if is_hurried { HURRIED } else { PATIENT })
}

/// SQS takes the characters that XML has, which are all that stand in JSON but these two.
fn sendable(text: String) -> String {
    if text.contains(['\u{fffe}', '\u{ffff}']) {
        text.replace('\u{fffe}', "\\ufffe").replace('\u{ffff}', "\\uffff")
    } else {
        text
    }
}

#[cfg(test)]
mod tests;
