//! The agent's end of the hooks' socket.
//!
//! Whoever calls is a job, or says so. One call may be short, soon and of the right user, a few are heard at a time, and
//! whatever else comes is one line in the log, at most every ten seconds.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::{Instant, sleep, timeout};
use tracing::warn;

use super::text::plain_facts;
use super::{ANSWER, HookWord, LONGEST, Message, SOCKET, own_folder};
use crate::core::HookCall;
use crate::runner::account::Account;

/// How long one call may take.
const LIMIT: Duration = Duration::from_secs(2);
/// How many calls are heard at a time; others wait in the kernel.
const AT_ONCE: usize = 4;
/// How long a call keeps its place when it is over, so that a job that calls in a loop is heard 40 times a second.
const REST: Duration = Duration::from_millis(100);
/// Between two log lines about refused calls.
const QUIET: Duration = Duration::from_secs(10);

/// The socket.
#[derive(Debug)]
pub struct HookListener {
    socket: UnixListener,
    /// User ids that may call.
    users: [u32; 2],
}

/// Why a call was not taken. Never quotes what was sent.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("the caller's user id is {0}, neither the runner's nor root's")]
    User(u32),
    #[error("nothing was sent")]
    Nothing,
    #[error("more than {LONGEST} bytes were sent")]
    TooLong,
    #[error("what was sent is no call (line {line}, column {column})")]
    Rubbish { line: usize, column: usize },
    #[error("it took more than {} s", LIMIT.as_secs())]
    Slow,
    #[error("the connection broke ({0})")]
    Broken(#[from] io::Error),
}

/// Opens the socket in `folder`, which is made where it is missing; `account`, and root, may call. What an earlier agent
/// left there is replaced. Must be called within the runtime.
pub fn listen(folder: &Path, account: &Account) -> io::Result<HookListener> {
    own_folder(folder)?;
    let path = folder.join(SOCKET);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _removed_or_absent => {}
    }
    let socket = UnixListener::bind(&path)?;
    fs::set_permissions(&path, Permissions::from_mode(0o600))?;
    if account.switch {
        chown(&path, Some(account.uid.as_raw()), Some(account.gid.as_raw()))?;
    }
    Ok(HookListener { socket, users: [account.uid.as_raw(), 0] })
}

/// Hands each call to `tell`, for ever. A call is answered after `tell` has returned.
pub async fn serve(listener: HookListener, tell: impl Fn(HookCall)) {
    let mut calls = FuturesUnordered::new();
    let mut complaints = Complaints::default();
    loop {
        tokio::select! {
            accepted = listener.socket.accept(), if calls.len() < AT_ONCE => match accepted {
                Ok((stream, _)) => calls.push(hear(stream, &listener.users, &tell)),
                Err(error) => {
                    // Out of descriptors, likely.
                    complaints.add(&error.into(), Instant::now());
                    sleep(REST).await;
                }
            },
            // Whatever the outcome: a pattern that does not fit would have the other calls wait for the next caller.
            Some(outcome) = calls.next(), if !calls.is_empty() => if let Err(refusal) = outcome {
                complaints.add(&refusal, Instant::now());
            },
        }
    }
}

async fn hear(stream: UnixStream, users: &[u32], tell: &impl Fn(HookCall)) -> Result<(), Refusal> {
    let outcome = timeout(LIMIT, take(stream, users, tell)).await.unwrap_or(Err(Refusal::Slow));
    sleep(REST).await;
    outcome
}

async fn take(mut stream: UnixStream, users: &[u32], tell: &impl Fn(HookCall)) -> Result<(), Refusal> {
    // As the kernel has noted it when the caller connected.
    let user = stream.peer_cred()?.uid();
    if !users.contains(&user) {
        return Err(Refusal::User(user));
    }
    let mut line = Vec::new();
    BufReader::new((&mut stream).take(LONGEST as u64 + 1)).read_until(b'\n', &mut line).await?;
    tell(read(&line)?);
    stream.write_all(ANSWER).await?;
    Ok(())
}

fn read(line: &[u8]) -> Result<HookCall, Refusal> {
    if line.is_empty() {
        return Err(Refusal::Nothing);
    }
    if line.len() > LONGEST {
        return Err(Refusal::TooLong);
    }
    let message: Message = serde_json::from_slice(line)
        .map_err(|error| Refusal::Rubbish { line: error.line(), column: error.column() })?;
    let facts = plain_facts(message.facts);
    Ok(match message.hook {
        HookWord::Started => HookCall::Started(facts),
        HookWord::Completed => HookCall::Completed(facts),
    })
}

/// Tells of refused calls now and then.
#[derive(Debug, Default)]
struct Complaints {
    told: Option<Instant>,
    untold: u32,
}

impl Complaints {
    fn add(&mut self, refusal: &Refusal, now: Instant) {
        if let Some(untold) = self.due(now) {
            warn!(error = %refusal, untold, "A call of a job's hook was refused");
        }
    }

    /// Whether to tell of a refusal, and if so, of how many was not told before.
    fn due(&mut self, now: Instant) -> Option<u32> {
        if self.told.is_some_and(|told| now < told + QUIET) {
            self.untold = self.untold.saturating_add(1);
            return None;
        }
        self.told = Some(now);
        Some(std::mem::take(&mut self.untold))
    }
}

#[cfg(test)]
mod tests {
    use dayfly_contract::JobFacts;

    use std::os::unix::fs::MetadataExt;
    use std::sync::{Arc, Mutex};

    use nix::unistd::{Gid, Uid, getegid, geteuid};

    use super::*;
    use crate::hook::client;

    fn account(uid: Uid, switch: bool) -> Account {
        let gid = if switch { Gid::from_raw(uid.as_raw()) } else { getegid() };
        Account { name: "x".to_owned(), uid, gid, groups: vec![gid], home: "/".into(), shell: "/bin/sh".into(), switch }
    }

    type Told = Arc<Mutex<Vec<HookCall>>>;

    /// Serves a socket in a folder; what is told is kept.
    async fn served<T>(change: impl FnOnce(&mut HookListener), then: impl AsyncFnOnce(&Path, Told) -> T) -> T {
        let folder = tempfile::tempdir().unwrap();
        let mut listener = listen(folder.path(), &account(geteuid(), false)).unwrap();
        change(&mut listener);
        let told = Told::default();
        let socket = folder.path().join(SOCKET);
        let keep = told.clone();
        tokio::select! {
            () = serve(listener, move |call| keep.lock().unwrap().push(call)) => unreachable!(),
            result = then(&socket, told) => result,
        }
    }

    /// Sends `bytes`, and answers what came back before the connection's end.
    async fn send(socket: &Path, bytes: &[u8]) -> Vec<u8> {
        let mut stream = UnixStream::connect(socket).await.unwrap();
        // The agent may hang up in the middle.
        let _cut = stream.write_all(bytes).await;
        let _cut = stream.shutdown().await;
        let mut answer = Vec::new();
        let _cut = stream.read_to_end(&mut answer).await;
        answer
    }

    #[tokio::test]
    async fn the_client_is_heard() {
        served(
            |_| {},
            async |socket, told| {
                let path = socket.to_owned();
                let vars = |name: &str| match name {
                    "GITHUB_REPOSITORY" => Some("octo/repo".to_owned()),
                    "GITHUB_RUN_ID" => Some("77".to_owned()),
                    "GITHUB_WORKFLOW" => Some("w".repeat(100_000)),
                    _ => None,
                };
                tokio::task::spawn_blocking(move || {
                    client::call(HookWord::Started, &path, vars)?;
                    client::call(HookWord::Completed, &path, |_| None)
                })
                .await
                .unwrap()
                .unwrap();
                let facts = JobFacts {
                    repository: Some("octo/repo".to_owned()),
                    run_id: Some(77),
                    workflow: Some("w".repeat(256)),
                    ..JobFacts::default()
                };
                let expected = [HookCall::Started(facts), HookCall::Completed(JobFacts::default())];
                assert_eq!(*told.lock().unwrap(), expected, "each is told before its answer");
            },
        )
        .await;
    }

    #[tokio::test]
    async fn rubbish_is_refused_and_the_next_call_is_heard() {
        served(
            |_| {},
            async |socket, told| {
                let long = [b"{\"hook\":\"started\",\"x\":\"".to_vec(), vec![b'x'; 1 << 20]].concat();
                let deep = vec![b'['; 10_000];
                for bytes in [
                    &b""[..],
                    b"\n",
                    b"hello\n",
                    b"{\"hook\":\"paused\"}\n",
                    b"{\"hook\":",
                    b"\xff\xfe\n",
                    &long,
                    &deep,
                ] {
                    assert_eq!(send(socket, bytes).await, b"", "{:?}", &bytes[..bytes.len().min(20)]);
                }
                assert_eq!(*told.lock().unwrap(), []);
                let line = "{\"hook\":\"completed\",\"facts\":{\"actor\":\"a\\u001b[1mb\"},\"more\":[1]}\n";
                assert_eq!(send(socket, line.as_bytes()).await, b"ok\n");
                let facts = JobFacts { actor: Some("a\u{fffd}[1mb".to_owned()), ..JobFacts::default() };
                assert_eq!(*told.lock().unwrap(), [HookCall::Completed(facts)]);
            },
        )
        .await;
    }

    #[tokio::test]
    async fn another_user_is_refused() {
        let nobody_here = [geteuid().as_raw() + 1, geteuid().as_raw() + 2];
        served(
            |listener| listener.users = nobody_here,
            async |socket, told| {
                assert_eq!(send(socket, b"{\"hook\":\"started\"}\n").await, b"");
                assert_eq!(*told.lock().unwrap(), []);
            },
        )
        .await;
    }

    #[tokio::test]
    async fn silent_callers_do_not_keep_others_out_for_long() {
        served(
            |_| {},
            async |socket, told| {
                let began = Instant::now();
                let mut silent = Vec::new();
                for _ in 0..2 * AT_ONCE {
                    silent.push(UnixStream::connect(socket).await.unwrap());
                }
                let answer = timeout(Duration::from_secs(20), send(socket, b"{\"hook\":\"started\"}\n")).await.unwrap();
                assert_eq!(answer, b"ok\n");
                assert!(began.elapsed() >= 2 * LIMIT, "{:?}: more than {AT_ONCE} are heard at once", began.elapsed());
                assert_eq!(told.lock().unwrap().len(), 1);
            },
        )
        .await;
    }

    #[tokio::test]
    async fn a_socket_is_the_runners_alone_and_replaces_an_earlier_one() {
        let folder = tempfile::tempdir().unwrap();
        let own = geteuid();
        let mode_and_owner = || {
            let metadata = fs::metadata(folder.path().join(SOCKET)).unwrap();
            (metadata.permissions().mode() & 0o7777, metadata.uid())
        };
        let _earlier = listen(folder.path(), &account(own, false)).unwrap();
        assert_eq!(mode_and_owner(), (0o600, own.as_raw()));
        let other = listen(folder.path(), &account(Uid::from_raw(65534), true));
        if own.is_root() {
            assert_eq!(other.unwrap().users, [65534, 0]);
            assert_eq!(mode_and_owner(), (0o600, 65534));
        } else {
            assert_eq!(other.unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        }
    }

    #[tokio::test]
    async fn complaints_are_rare_and_counted() {
        let mut complaints = Complaints::default();
        let now = Instant::now();
        assert_eq!(complaints.due(now), Some(0));
        assert_eq!(complaints.due(now + Duration::from_secs(1)), None);
        assert_eq!(complaints.due(now + Duration::from_secs(9)), None);
        assert_eq!(complaints.due(now + QUIET), Some(2));
        assert_eq!(complaints.due(now + 2 * QUIET), Some(0));
    }
}
