//! `dayfly-agent hook started|completed`: tells the agent of this machine that a job has come to its first or last step.
//!
//! It runs in the job, as the runner's user, and takes two seconds at most.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use dayfly_contract::JobFacts;

use super::text::plain_facts;
use super::{ANSWER, HookWord, Message};

/// How long all of it may take.
const LIMIT: Duration = Duration::from_secs(2);
/// How long it is tried again: systemd starts an agent that has died again within less.
const AGAIN: Duration = Duration::from_millis(1500);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(100);

/// Why the agent was not told.
#[derive(Debug, thiserror::Error)]
pub enum HookError {
    /// No agent at the socket.
    #[error("calling the agent at {}", socket.display())]
    Call {
        /// The socket.
        socket: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The agent did not take the call; its log says why.
    #[error("the agent at {} has not taken the call; its log says why", socket.display())]
    Refused {
        /// The socket.
        socket: PathBuf,
    },
    /// The agent did not answer.
    #[error("no answer from the agent at {} within {} s", socket.display(), LIMIT.as_secs())]
    Silent {
        /// The socket.
        socket: PathBuf,
    },
}

/// Tells the agent at `socket` which hook runs, and of which job: `vars` looks a `GITHUB_*` variable up.
pub fn call(word: HookWord, socket: &Path, vars: impl Fn(&str) -> Option<String>) -> Result<(), HookError> {
    call_within(LIMIT, AGAIN, word, socket, vars)
}

/// The same, with limits of all of it, and of trying again.
fn call_within(
    limit: Duration,
    again: Duration,
    word: HookWord,
    socket: &Path,
    vars: impl Fn(&str) -> Option<String>,
) -> Result<(), HookError> {
    let failed = |source| HookError::Call { socket: socket.to_owned(), source };
    let mut line =
        serde_json::to_vec(&Message { hook: word, facts: facts(vars) }).map_err(|error| failed(error.into()))?;
    line.push(b'\n');
    let (done, answered) = mpsc::channel();
    let path = socket.to_owned();
    // On a thread of its own: connecting blocks for as long as the agent's queue is full, and has no timeout.
    let spawned = thread::Builder::new().spawn(move || {
        let began = Instant::now();
        let outcome = loop {
            match exchange(&path, &line, limit) {
                // The agent is being started again, or has just died with the call in its queue.
                Err(_gone) if began.elapsed() < again => thread::sleep(PAUSE),
                outcome => break outcome,
            }
        };
        // Nobody waits any more when the limit has passed.
        let _late = done.send(outcome);
    });
    spawned.map_err(failed)?;
    match answered.recv_timeout(limit) {
        Ok(Ok(true)) => Ok(()),
        Ok(Ok(false)) => Err(HookError::Refused { socket: socket.to_owned() }),
        Ok(Err(error)) => Err(failed(error)),
        Err(_elapsed) => Err(HookError::Silent { socket: socket.to_owned() }),
    }
}

/// Answers whether the call was taken.
fn exchange(socket: &Path, line: &[u8], limit: Duration) -> io::Result<bool> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_write_timeout(Some(limit))?;
    stream.set_read_timeout(Some(limit))?;
    stream.write_all(line)?;
    let mut answer = Vec::new();
    stream.take(ANSWER.len() as u64).read_to_end(&mut answer)?;
    Ok(answer == ANSWER)
}

fn facts(vars: impl Fn(&str) -> Option<String>) -> JobFacts {
    plain_facts(JobFacts {
        repository: vars("GITHUB_REPOSITORY"),
        run_id: vars("GITHUB_RUN_ID").and_then(|text| text.parse().ok()),
        run_attempt: vars("GITHUB_RUN_ATTEMPT").and_then(|text| text.parse().ok()),
        job: vars("GITHUB_JOB"),
        workflow: vars("GITHUB_WORKFLOW"),
        actor: vars("GITHUB_ACTOR"),
    })
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::os::unix::net::UnixListener;

    use super::*;

    fn none(_name: &str) -> Option<String> {
        None
    }

    /// Where an agent answers: a busy machine may be slower than a job is to wait.
    fn patient(word: HookWord, socket: &Path) -> Result<(), HookError> {
        call_within(Duration::from_secs(30), Duration::from_secs(20), word, socket, none)
    }

    #[test]
    fn facts_come_from_the_jobs_variables() {
        let facts = facts(|name| match name {
            "GITHUB_RUN_ID" => Some("123".to_owned()),
            "GITHUB_RUN_ATTEMPT" => Some("first".to_owned()),
            "GITHUB_WORKFLOW" => Some("a\nb".to_owned()),
            "GITHUB_ACTOR" => Some(String::new()),
            "GITHUB_REPOSITORY" => Some("octo/repo".to_owned()),
            "GITHUB_JOB" => Some("build".to_owned()),
            other => panic!("{other} is none of ours"),
        });
        let expected = JobFacts {
            repository: Some("octo/repo".to_owned()),
            run_id: Some(123),
            run_attempt: None,
            job: Some("build".to_owned()),
            workflow: Some("a\u{fffd}b".to_owned()),
            actor: None,
        };
        assert_eq!(facts, expected);
    }

    #[test]
    fn an_agent_that_comes_late_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("s");
        // Its predecessor has left a socket at which nobody listens.
        drop(UnixListener::bind(&socket).unwrap());
        let path = socket.clone();
        let caller = thread::spawn(move || patient(HookWord::Completed, &path));
        thread::sleep(Duration::from_millis(150));
        std::fs::remove_file(&socket).unwrap();
        let listener = UnixListener::bind(&socket).unwrap();
        let (stream, _) = listener.accept().unwrap();
        let mut line = String::new();
        BufReader::new(&stream).read_line(&mut line).unwrap();
        (&stream).write_all(b"ok\n").unwrap();
        assert!(line.starts_with("{\"hook\":\"completed\""), "{line}");
        caller.join().unwrap().unwrap();
    }

    #[test]
    fn a_refusal_is_not_tried_again() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("s");
        let listener = UnixListener::bind(&socket).unwrap();
        let path = socket.clone();
        let caller = thread::spawn(move || patient(HookWord::Started, &path));
        let (stream, _) = listener.accept().unwrap();
        BufReader::new(&stream).read_line(&mut String::new()).unwrap();
        drop(stream);
        assert!(matches!(caller.join().unwrap(), Err(HookError::Refused { .. })));
        listener.set_nonblocking(true).unwrap();
        assert_eq!(listener.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn an_agent_that_is_silent_or_gone_costs_two_seconds() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("s");
        // Tried until AGAIN, and then told as it was, however slow the machine is.
        let error = call_within(Duration::from_secs(30), AGAIN, HookWord::Started, &socket, none).unwrap_err();
        assert!(matches!(error, HookError::Call { .. }), "{error}");

        assert_eq!(LIMIT, Duration::from_secs(2));
        let began = Instant::now();
        let _never_accepts = UnixListener::bind(&socket).unwrap();
        let error = call(HookWord::Started, &socket, none).unwrap_err();
        assert!(error.to_string().contains("no answer") || matches!(error, HookError::Call { .. }), "{error}");
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    }
}
