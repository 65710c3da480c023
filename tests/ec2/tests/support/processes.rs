//! A host whose machines are plain processes.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use laptop_ec2::{Config, Ec2Host, Mode, ProcessMode};

use super::{FakeMoto, processes_with, wait_for};

pub(crate) struct Setup {
    pub(crate) moto: FakeMoto,
    pub(crate) host: Ec2Host,
    pub(crate) work: PathBuf,
    pub(crate) dir: tempfile::TempDir,
}

/// A host whose agent is a bash script, or the probe agent where it is empty.
pub(crate) async fn start(script: &str) -> Setup {
    start_with(script, |_, _| {}).await
}

/// The same, with other options; a folder that lasts as long is at hand.
pub(crate) async fn start_with(script: &str, change: impl FnOnce(&mut Config, &Path)) -> Setup {
    let dir = tempfile::tempdir().expect("a folder");
    let moto = FakeMoto::start().await;
    let agent = if script.is_empty() {
        PathBuf::from(env!("CARGO_BIN_EXE_probe-agent"))
    } else {
        let path = dir.path().join("agent");
        std::fs::write(&path, format!("#!/bin/bash\n{script}\n")).expect("a script");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("a mode");
        path
    };
    let work = dir.path().join("work");
    let mode = Mode::Process(ProcessMode::new(&agent, "http://127.0.0.1:5000"));
    let mut config = Config::new(&moto.url, mode, &work);
    config.poll = Duration::from_millis(20);
    config.grace = Duration::from_millis(500);
    change(&mut config, dir.path());
    let host = Ec2Host::start(config).await.expect("a host");
    Setup { moto, host, work, dir }
}

/// The options of machines as plain processes.
pub(crate) fn process(config: &mut Config) -> &mut ProcessMode {
    match &mut config.mode {
        Mode::Process(mode) => mode,
        Mode::Systemd(_) => panic!("not process mode"),
    }
}

impl Setup {
    /// Ends the host; nothing may be left.
    pub(crate) async fn end(self) {
        let left = self.host.shutdown().await;
        assert_eq!(left, [""; 0]);
        assert!(!self.work.exists(), "{} is left", self.work.display());
        let work = self.work.display().to_string();
        assert_eq!(processes_with(&work), [""; 0]);
        drop(self.dir);
    }

    /// Waits until the console says something, and answers with all of it.
    pub(crate) async fn console(&self, id: &str, text: &str) -> String {
        let console = || self.host.machine(id).map(|machine| machine.console()).unwrap_or_default();
        let found = || Some(console()).filter(|console| console.contains(text));
        wait_for(&format!("the console of {id} says {text}"), 20, found, console).await
    }
}
