//! Runs a program beside the runner, such as the user's `before_end`, and logs what it writes.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use super::environment::Environment;

/// The journal is no place for a script's megabytes.
const LINES: usize = 1000;
/// Of one line; what follows is the next line.
const LINE_BYTES: usize = 2000;
/// How long the output of a program that has ended is waited for: what it left behind may hold on to it.
const DRAIN: Duration = Duration::from_secs(1);

/// How a script ended.
#[derive(Debug)]
pub enum ScriptEnd {
    /// By itself.
    Exited(ExitStatus),
    /// It took too long and was killed, with its process group.
    Killed,
    /// It could not be started.
    NotStarted(io::Error),
}

/// Runs the program `path` as the agent's own user, for `limit` at most, with `environment` and nothing else in its
/// environment, in a process group of its own. Its output goes to the log.
pub async fn run_script(path: &Path, args: &[&str], limit: Duration, environment: &Environment) -> ScriptEnd {
    let name = path.display().to_string();
    let (mut child, output) = match start(path, args, environment) {
        Ok(started) => started,
        Err(error) => {
            warn!(script = name, %error, "A script can't be started");
            return ScriptEnd::NotStarted(error);
        }
    };
    let group = child.id().and_then(|pid| i32::try_from(pid).ok()).map(Pid::from_raw);
    let mut log = Log::new(&name);
    let mut logging = std::pin::pin!(copy(output, &mut log));
    let mut limit = std::pin::pin!(sleep(limit));
    let mut all_read = false;
    let exited = loop {
        tokio::select! {
            status = child.wait() => break Some(status),
            () = &mut logging, if !all_read => all_read = true,
            () = &mut limit => break None,
        }
    };
    if exited.is_none() {
        // Not yet waited for, so that its number is still its own.
        let _gone = group.map(|group| killpg(group, Signal::SIGKILL));
        let _reaped = child.wait().await;
    }
    if !all_read {
        let _held_open = timeout(DRAIN, logging).await;
    }
    match exited {
        None => {
            warn!(script = name, "A script took too long and was killed");
            ScriptEnd::Killed
        }
        Some(Ok(status)) => {
            info!(script = name, %status, "A script has ended");
            ScriptEnd::Exited(status)
        }
        Some(Err(error)) => ScriptEnd::NotStarted(error),
    }
}

fn start(path: &Path, args: &[&str], environment: &Environment) -> io::Result<(Child, Receiver)> {
    let (reader, writer) = io::pipe()?;
    let mut command = Command::new(path);
    command
        .args(args)
        .env_clear()
        .envs(environment)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer)
        .process_group(0)
        .kill_on_drop(true);
    let child = command.spawn()?;
    // Our copies of the writing end are the command's, and go with it: the end of the output is seen.
    drop(command);
    Ok((child, Receiver::from_owned_fd(OwnedFd::from(reader))?))
}

async fn copy(mut output: Receiver, log: &mut Log<'_>) {
    let mut buffer = vec![0; 4096];
    loop {
        match output.read(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(count) => log.push(buffer.get(..count).unwrap_or_default()),
        }
    }
}

/// Logs lines, so many of them. What no line end follows is logged when it is dropped.
struct Log<'a> {
    script: &'a str,
    lines: Lines,
    left: usize,
}

impl<'a> Log<'a> {
    fn new(script: &'a str) -> Self {
        Self { script, lines: Lines::default(), left: LINES }
    }

    fn push(&mut self, bytes: &[u8]) {
        for line in self.lines.push(bytes) {
            self.tell(&line);
        }
    }

    fn tell(&mut self, line: &str) {
        match self.left {
            0 => return,
            1 => warn!(script = self.script, "A script writes more lines than are logged"),
            _ => info!(script = self.script, line, "A script writes"),
        }
        self.left -= 1;
    }
}

impl Drop for Log<'_> {
    fn drop(&mut self) {
        if let Some(line) = self.lines.rest() {
            self.tell(&line);
        }
    }
}

/// Cuts output into lines.
#[derive(Debug, Default)]
struct Lines {
    begun: Vec<u8>,
}

impl Lines {
    /// The lines that `bytes` end, without the empty ones.
    fn push(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut lines = vec![];
        for &byte in bytes {
            if byte != b'\n' {
                self.begun.push(byte);
            }
            if byte == b'\n' || self.begun.len() >= LINE_BYTES {
                lines.extend(self.rest());
            }
        }
        lines
    }

    fn rest(&mut self) -> Option<String> {
        let line = String::from_utf8_lossy(&self.begun).trim_end().to_owned();
        self.begun.clear();
        (!line.is_empty()).then_some(line)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::sync::{Arc, Mutex};
    use std::time::Instant;

    use super::*;

    const LONG: Duration = Duration::from_secs(30);

    /// What a script did, and what of it was logged.
    async fn run(text: &str, limit: Duration) -> (ScriptEnd, String) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("script");
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        let written = Arc::new(Mutex::new(Vec::new()));
        let (subscriber, _filter) = crate::logging::subscriber(None, {
            let written = Arc::clone(&written);
            move || Written(Arc::clone(&written))
        });
        let environment = Environment::from([("NAME".into(), "value".into())]);
        let end = {
            let _logging = tracing::subscriber::set_default(subscriber);
            run_script(&path, &["one"], limit, &environment).await
        };
        let log = String::from_utf8(written.lock().unwrap().clone()).unwrap();
        (end, log)
    }

    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn what_it_writes_is_logged() {
        let (end, log) = run("echo $1 $NAME; echo $HOME two >&2; printf three; exit 3", LONG).await;
        assert!(matches!(end, ScriptEnd::Exited(status) if status.code() == Some(3)), "{end:?}");
        for text in ["one value", "\"two\"", "three"] {
            assert!(log.contains(text), "{text} in {log}");
        }
    }

    #[tokio::test]
    async fn at_the_limit_its_group_is_killed() {
        // On a busy machine the shell may come to nothing within the first limit.
        let mut limit = Duration::from_millis(300);
        let pid: i32 = loop {
            let began = Instant::now();
            let (end, log) = run("sleep 61 & echo child $!; wait", limit).await;
            assert!(matches!(end, ScriptEnd::Killed), "{end:?}");
            assert!(began.elapsed() < limit + Duration::from_secs(20), "{:?}", began.elapsed());
            match log.split("child ").nth(1) {
                Some(rest) => break rest.split('"').next().unwrap().parse().unwrap(),
                None => assert!(limit < Duration::from_secs(30), "it never began: {log}"),
            }
            limit *= 4;
        };
        let deadline = Instant::now() + Duration::from_secs(10);
        while super::super::process::identify(pid).is_some() {
            assert!(Instant::now() < deadline, "timed out: {pid} lives on");
            sleep(Duration::from_millis(5)).await;
        }
    }

    #[tokio::test]
    async fn what_it_leaves_behind_is_not_waited_for() {
        let began = Instant::now();
        let (end, _) = run("sleep 20 & exit 0", LONG).await;
        assert!(matches!(end, ScriptEnd::Exited(status) if status.success()), "{end:?}");
        assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    }

    #[tokio::test]
    async fn a_flood_is_cut_short_and_does_not_stop_the_script() {
        let (end, log) = run("seq 200000; exit 4", LONG).await;
        assert!(matches!(end, ScriptEnd::Exited(status) if status.code() == Some(4)), "{end:?}");
        assert_eq!(log.matches("A script writes\"").count(), LINES - 1);
        assert!(log.contains("more lines than are logged"));
    }

    #[tokio::test]
    async fn one_that_is_not_there_is_told() {
        let end = run_script(Path::new("/nonexistent"), &[], LONG, &Environment::new()).await;
        assert!(matches!(end, ScriptEnd::NotStarted(error) if error.kind() == io::ErrorKind::NotFound));
    }

    #[test]
    fn lines_are_cut_at_a_length() {
        let mut lines = Lines::default();
        assert_eq!(lines.push(b"a\r\n\nb"), ["a"]);
        assert_eq!(lines.push(&vec![b'x'; LINE_BYTES]), [format!("b{}", "x".repeat(LINE_BYTES - 1))]);
        assert_eq!(lines.rest().as_deref(), Some("x"));
        assert_eq!(lines.rest(), None);
    }
}
