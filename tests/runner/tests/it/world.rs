//! An installed runner, its server, and the listener's process; nothing of it may be left at the end.

use std::{
    fs::{self, File},
    os::unix::process::{CommandExt, ExitStatusExt},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::server::{Server, TOKEN};

pub(crate) const EXE: &str = env!("CARGO_BIN_EXE_standin-runner");
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

/// The three files of a configuration, as the server sends them. `extra` goes into `.runner`.
pub(crate) fn files(url: &str, extra: &Value) -> String {
    let mut runner = json!({
        "agentId": 42, "agentName": "fleet-i-0ab", "poolId": 1, "poolName": "Default", "disableUpdate": true,
        "serverUrl": format!("{url}/_runner/"), "gitHubUrl": "https://github.com/octo", "workFolder": "_work",
    });
    runner.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    let b64 = |value: &Value| BASE64_STANDARD.encode(value.to_string());
    let credentials = json!({"scheme": "OAuth", "data": {"clientId": "x", "token": TOKEN}});
    json!({".runner": b64(&runner), ".credentials": b64(&credentials), ".credentials_rsaparams": b64(&json!({}))})
        .to_string()
}

/// A job of these steps.
pub(crate) fn job(id: u64, steps: &[&str]) -> Value {
    named_job(id, "build", steps)
}

pub(crate) fn named_job(id: u64, name: &str, steps: &[&str]) -> Value {
    let steps: Vec<Value> = steps.iter().map(|run| json!({"name": "step", "run": run})).collect();
    json!({"type": "job", "job": {
        "id": id, "runId": 77, "runAttempt": 2, "name": name, "jobKey": "key", "repository": "octo/hello",
        "workflow": "CI", "actor": "mona", "steps": steps, "env": {"JOB_VARIABLE": "from-job"},
    }})
}

/// Waits for a fact; the last status tells what was there instead.
pub(crate) fn wait_for<T>(what: &str, status: impl Fn() -> String, mut fact: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + LIMIT;
    loop {
        if let Some(fact) = fact() {
            return fact;
        }
        assert!(Instant::now() < until, "timed out waiting for {what}; {}", status());
        std::thread::sleep(Duration::from_millis(10));
    }
}

pub(crate) struct World {
    pub(crate) server: Server,
    pub(crate) dir: TempDir,
    pub(crate) extra: Value,
}

impl World {
    /// A runner for one job.
    pub(crate) fn new() -> Self {
        Self::with(json!({"ephemeral": true}))
    }

    /// A runner with this in its `.runner`.
    pub(crate) fn with(extra: Value) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let world = Self { server: Server::start(extra["ephemeral"] == json!(true)), dir, extra };
        laptop_runner::pack::install(Path::new(EXE), &world.root()).unwrap();
        world
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.dir.path().join("runner")
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }

    pub(crate) fn jit(&self) -> String {
        BASE64_STANDARD.encode(files(&self.server.url(), &self.extra))
    }

    /// Writes the configuration, as whoever starts the listener may.
    pub(crate) fn configured(self) -> Self {
        let files: std::collections::BTreeMap<String, String> =
            serde_json::from_str(&files(&self.server.url(), &self.extra)).unwrap();
        for (name, content) in files {
            fs::write(self.file(&name), BASE64_STANDARD.decode(content).unwrap()).unwrap();
        }
        self
    }

    /// An executable script beside the runner.
    pub(crate) fn script(&self, name: &str, text: &str) -> String {
        let path = self.dir.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    pub(crate) fn queue(&self, message: Value) {
        self.server.change(|seen| seen.queue.push_back(message));
    }

    pub(crate) fn run(&self) -> Runner<'_> {
        self.listener(&["run"], &[])
    }

    pub(crate) fn listener(&self, args: &[&str], env: &[(&str, &str)]) -> Runner<'_> {
        self.start("bin/Runner.Listener", args, env)
    }

    /// Starts a program of the runner as the leader of a process group, with short waits.
    pub(crate) fn start(&self, program: &str, args: &[&str], env: &[(&str, &str)]) -> Runner<'_> {
        let out = |name: &str| File::create(self.dir.path().join(name)).unwrap();
        let child = Command::new(self.file(program))
            .args(args)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.dir.path())
            .env("STANDIN_SIGINT_MS", "300")
            .env("STANDIN_SIGTERM_MS", "300")
            .env("STANDIN_CONFLICT_MS", "300")
            .envs(env.iter().copied())
            .current_dir(self.dir.path())
            .stdin(Stdio::null())
            .stdout(out("stdout"))
            .stderr(out("stderr"))
            .process_group(0)
            .spawn()
            .unwrap();
        Runner { world: self, child }
    }

    pub(crate) fn log(&self, job: u64) -> String {
        self.server.seen().log.get(&job.to_string()).cloned().unwrap_or_default()
    }

    pub(crate) fn completed(&self) -> Vec<(String, String)> {
        self.server.seen().completed.clone()
    }

    /// Everything that the runner wrote to its own logs.
    pub(crate) fn diag(&self) -> String {
        let entries = fs::read_dir(self.file("_diag")).into_iter().flatten().flatten();
        entries.map(|entry| fs::read_to_string(entry.path()).unwrap()).collect()
    }

    /// Processes that carry this world's folder in their environment.
    pub(crate) fn processes(&self) -> Vec<String> {
        let mark = self.dir.path().to_str().unwrap().to_owned();
        let entries = fs::read_dir("/proc").unwrap().flatten();
        let pids = entries.filter(|entry| {
            let env = fs::read(entry.path().join("environ")).unwrap_or_default();
            String::from_utf8_lossy(&env).contains(&mark)
        });
        pids.map(|entry| {
            let line = fs::read_to_string(entry.path().join("cmdline")).unwrap_or_default().replace('\0', " ");
            format!("{} {line}", entry.file_name().display())
        })
        .collect()
    }

    pub(crate) fn nothing_left(&self) {
        let left = || format!("left: {:?}", self.processes());
        wait_for("no process to be left", left, || self.processes().is_empty().then_some(()));
    }
}

pub(crate) struct Runner<'a> {
    world: &'a World,
    pub(crate) child: Child,
}

impl Runner<'_> {
    pub(crate) fn stdout(&self) -> String {
        fs::read_to_string(self.world.dir.path().join("stdout")).unwrap()
    }

    pub(crate) fn stderr(&self) -> String {
        fs::read_to_string(self.world.dir.path().join("stderr")).unwrap()
    }

    fn status(&self) -> String {
        format!("stdout: {}\nstderr: {}\ndiag: {}", self.stdout(), self.stderr(), self.world.diag())
    }

    pub(crate) fn wait_line(&self, part: &str) {
        wait_for(part, || self.status(), || self.stdout().contains(part).then_some(()));
    }

    pub(crate) fn wait_log(&self, job: u64, part: &str) {
        let status = || format!("{}\nlog: {}", self.status(), self.world.log(job));
        wait_for(part, status, || self.world.log(job).contains(part).then_some(()));
    }

    pub(crate) fn listening(self) -> Self {
        self.wait_line("Listening for Jobs");
        self
    }

    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid()), signal).unwrap();
    }

    pub(crate) fn signal_group(&self, signal: Signal) {
        kill(Pid::from_raw(-self.pid()), signal).unwrap();
    }

    pub(crate) fn end(&mut self) -> ExitStatus {
        let until = Instant::now() + LIMIT;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < until, "still running; {}", self.status());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The exit code; a signal counts as 128 more, as in a shell.
    pub(crate) fn code(&mut self) -> i32 {
        let status = self.end();
        status.code().unwrap_or_else(|| 128 + status.signal().unwrap())
    }
}

impl Drop for Runner<'_> {
    fn drop(&mut self) {
        // Only what a failed test leaves: its own process group.
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = kill(Pid::from_raw(-self.pid()), Signal::SIGKILL);
            drop(self.child.wait());
        }
        if std::thread::panicking() {
            eprintln!("{}", self.status());
        }
    }
}
