//! One instance: a folder with a runner in it, the cloud around it, and the agent as a process.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, User, geteuid};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::cloud::{Cloud, Script};

/// Stands in the registration's files; must be seen nowhere else.
pub const SECRET: &str = "c3VwZXItc2VjcmV0LXJzYS1rZXk";
/// How long anything may take before a test fails.
const LIMIT: Duration = Duration::from_secs(30);

/// The lines around a job, as the real runner prints them; `job NAME RESULT` runs one.
const PRELUDE: &str = r#"#!/bin/bash
cd "$(dirname "$0")/.." || exit 99
say() { printf '%s: %s\n' "$(date -u +'%Y-%m-%d %H:%M:%SZ')" "$1"; }
job() { say "Running job: $1"; sleep 0.1; say "Job $1 completed with result: $2"; }
echo "$0 $*" > seen.argv; tr '\0' '\n' < /proc/$$/environ | sort > seen.env; id > seen.id; umask > seen.umask
ls -l /proc/$$/fd > seen.fds; cat /proc/$$/oom_score_adj > seen.oom; ps -o pgid= -p $$ 2>/dev/null > seen.pgid
echo $$ > seen.pid; date +%s%N > seen.start
printf '\n√ Connected to GitHub\n\n'; echo "Current runner version: '2.336.0'"
"#;

pub struct World {
    folder: TempDir,
    pub cloud: Cloud,
    agent: Option<Child>,
    env: Vec<(String, String)>,
}

/// A usable script: user-data with [`config`], a registration that is there.
pub fn usual() -> Script {
    Script {
        user_data: Some(cloud_config(&config()).into_bytes()),
        registration: Some(registration().to_string()),
        ..Script::default()
    }
}

pub fn config() -> Value {
    serde_json::from_str(include_str!("../../contract/golden/agent-config.v1.json")).unwrap()
}

pub fn registration() -> Value {
    let file = |text: &str| BASE64.encode(text);
    let jit = json!({
        ".runner": file(r#"{"agentId": 23, "serverUrl": "http://localhost/"}"#),
        ".credentials": file(&format!(r#"{{"scheme": "OAuth", "data": {{"token": "{SECRET}"}}}}"#)),
        ".credentials_rsaparams": file(&format!(r#"{{"d": "{SECRET}"}}"#)),
    });
    json!({
        "version": 1,
        "reservation": "0d9a1c52-6a0e-4a55-9b0a-8a3c1b8f7e21",
        "runner_id": 23,
        "runner_name": "linux-x64-i-0123456789abcdef0",
        "jit_config": BASE64.encode(jit.to_string()),
    })
}

pub fn cloud_config(config: &Value) -> String {
    format!(
        "#cloud-config\nwrite_files:\n- path: /etc/dayfly/agent.json\n  encoding: b64\n  content: {}\n",
        BASE64.encode(config.to_string())
    )
}

impl World {
    /// A world with `script` and a runner that does `runner` (bash) after it has connected.
    pub async fn new(script: Script, runner: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("dayfly-").tempdir().unwrap();
        // Another user's runner must get in.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let world = Self { folder, cloud: Cloud::start(script).await, agent: None, env: vec![] };
        let directory = world.runner_directory();
        fs::create_dir_all(directory.join("bin")).unwrap();
        fs::create_dir_all(directory.join("externals")).unwrap();
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o777)).unwrap();
        let listener = directory.join("bin/Runner.Listener");
        fs::write(&listener, format!("{PRELUDE}{runner}\n")).unwrap();
        fs::set_permissions(&listener, fs::Permissions::from_mode(0o755)).unwrap();
        world
    }

    pub fn set(&mut self, name: &str, value: &str) -> &mut Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn runner_directory(&self) -> PathBuf {
        self.path().join("runner")
    }

    /// What the runner has noted of itself.
    pub fn seen(&self, what: &str) -> String {
        fs::read_to_string(self.runner_directory().join(format!("seen.{what}"))).unwrap_or_default()
    }

    /// Starts the agent, as the unit would, or again.
    pub fn start(&mut self) -> &mut Self {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.path().join("agent.log")).unwrap();
        let agent = Command::new(env!("CARGO_BIN_EXE_dayfly-agent"))
            .env_clear()
            .env("AWS_ENDPOINT_URL", &self.cloud.url)
            .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", &self.cloud.url)
            .env("DAYFLY_STATE_DIR", self.path().join("state"))
            .env("DAYFLY_CONFIG_FILE", self.path().join("agent.json"))
            .env("DAYFLY_RUNNER_DIRECTORY", self.runner_directory())
            .env("DAYFLY_RUNNER_USER", runner_user())
            .env("DAYFLY_ENDING", "terminate")
            .env("DAYFLY_HOOK_DIR", self.path().join("hook"))
            .env("DAYFLY_LOG_FILE", self.path().join("logs/agent.log"))
            // All tests share one network.
            .env("DAYFLY_METADATA_ACCESS", "all")
            .env("NOTIFY_SOCKET", "/nonexistent")
            .envs(self.env.iter().cloned())
            .stdin(Stdio::null())
            .stderr(log.try_clone().unwrap())
            .stdout(log)
            .spawn()
            .unwrap();
        self.agent = Some(agent);
        self
    }

    pub fn pid(&self) -> i32 {
        self.agent.as_ref().unwrap().id().unwrap().try_into().unwrap()
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid()), signal).unwrap();
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.path().join("agent.log")).unwrap_or_default()
    }

    /// Waits for a fact; its last status is told when it does not come.
    pub async fn wait_for(&self, what: &str, fact: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + LIMIT;
        while !fact(self) {
            assert!(
                Instant::now() < deadline,
                "timed out waiting for {what}; calls {:?}; log:\n{}",
                self.cloud.calls(),
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits for a log line that holds `text`.
    pub async fn wait_for_log(&self, text: &str) {
        self.wait_for(text, |world| world.log().contains(text)).await;
    }

    /// Waits until the agent's process has ended; its exit code.
    pub async fn exit_code(&mut self) -> i32 {
        let log = self.log();
        let waited = tokio::time::timeout(LIMIT, self.agent.as_mut().unwrap().wait()).await;
        let status = waited.unwrap_or_else(|_| panic!("the agent goes on; log:\n{log}\n{}", self.log())).unwrap();
        status.code().unwrap_or(-1)
    }

    /// Waits until EC2 was asked to terminate the instance, shuts the machine down as EC2 would, and answers the one
    /// lifecycle message.
    pub async fn ended(&mut self) -> Value {
        self.wait_for("termination", |world| world.cloud.script().terminated).await;
        // EC2 agrees before the agent has read that it did.
        self.wait_for_log("EC2 terminates the instance").await;
        self.signal(Signal::SIGTERM);
        assert_eq!(self.exit_code().await, 0, "{}", self.log());
        self.message()
    }

    /// The last lifecycle message, of which there is one.
    pub fn message(&self) -> Value {
        let last = self.messages("finished").into_iter().chain(self.messages("failed")).collect::<Vec<_>>();
        let script = self.cloud.script();
        assert_eq!(last.len(), 1, "{:?}", script.messages);
        assert_eq!(script.messages.last(), last.first(), "nothing comes after it");
        assert_eq!(script.unsigned, 0, "calls without the role's credentials");
        last[0].clone()
    }

    /// The lifecycle messages of one kind.
    pub fn messages(&self, kind: &str) -> Vec<Value> {
        self.cloud.script().messages.iter().filter(|message| message["kind"] == kind).cloned().collect()
    }
}

impl Drop for World {
    /// Nothing is left: no registration's parameter is looked at here, as some tests keep it from being deleted, but no
    /// runner and no agent may live on.
    fn drop(&mut self) {
        if let Some(pid) = self.agent.as_ref().and_then(Child::id).and_then(|pid| i32::try_from(pid).ok()) {
            let _gone = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        let began = Instant::now();
        let mut left = processes_of(&self.runner_directory());
        // One that was killed may still be dying.
        while !left.is_empty() && !std::thread::panicking() && began.elapsed() < Duration::from_secs(10) {
            std::thread::sleep(Duration::from_millis(10));
            left = processes_of(&self.runner_directory());
        }
        for pid in &left {
            let _gone = kill(Pid::from_raw(*pid), Signal::SIGKILL);
        }
        assert!(
            left.is_empty() || std::thread::panicking(),
            "processes of the runner are left: {left:?}\n{}",
            self.log()
        );
    }
}

/// Processes that run in `directory`.
fn processes_of(directory: &Path) -> Vec<i32> {
    let Ok(entries) = fs::read_dir("/proc") else { return vec![] };
    let numbers = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    numbers
        .filter(|pid| fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd.starts_with(directory)))
        .collect()
}

/// Someone other than root.
pub fn runner_user() -> String {
    if geteuid().is_root() { "nobody".to_owned() } else { User::from_uid(geteuid()).unwrap().unwrap().name }
}
