//! What the agent remembers when systemd restarts it: its state, in a file that is gone with the next boot.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use dayfly_contract::{AgentConfig, Problem, Problems};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use tracing::warn;

use crate::aws::imds::Identity;
use crate::core::State;

/// The file; raised when [`State`] changes, so that an agent that was replaced does not guess.
const VERSION: u32 = 2;

/// The folder is ours.
#[derive(Debug)]
#[must_use = "it is given up when dropped"]
pub struct Lock(#[expect(dead_code, reason = "held, not looked at")] Option<Flock<fs::File>>);

const REGISTRATION: &str = "registration.json";

/// A folder for the agent's state and the runner's output.
#[derive(Clone, Debug)]
pub struct Memory {
    directory: PathBuf,
    boot_id: String,
}

#[derive(Serialize, Deserialize)]
struct Document {
    version: u32,
    /// Uptimes and process ids mean nothing after a reboot.
    boot_id: String,
    state: State,
}

/// What the metadata service has told: it is asked once a boot, as a job may block it.
#[derive(Serialize, Deserialize)]
struct Told {
    boot_id: String,
    identity: Identity,
    /// As its own document, which says its version.
    config: String,
}

impl Memory {
    /// The memory in `directory`, which may not be there yet.
    #[must_use]
    pub fn of(directory: &Path) -> Self {
        let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        Self { directory: directory.to_owned(), boot_id: boot_id.trim().to_owned() }
    }

    /// Makes the folder where it is missing, and tries to write to it.
    pub fn prepare(&self) -> Result<(), Problems> {
        self.try_out().map_err(|error| {
            let allowed = format!("a folder that the agent can write to ({error})");
            Problems(vec![Problem::new("DAYFLY_STATE_DIR", self.directory.display().to_string(), allowed)])
        })
    }

    fn try_out(&self) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.directory)?;
        self.write(".probe", b"")?;
        fs::remove_file(self.directory.join(".probe"))
    }

    /// Holds the folder against a second agent, such as one that somebody has started by hand, for as long as the answer
    /// lives. `None` where another one holds it.
    #[must_use]
    pub fn lock(&self) -> Option<Lock> {
        let file =
            OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(self.directory.join("lock"));
        match file.map(|file| Flock::lock(file, FlockArg::LockExclusiveNonblock)) {
            Ok(Ok(lock)) => Some(Lock(Some(lock))),
            Ok(Err((_file, Errno::EWOULDBLOCK))) => None,
            // Whatever else is wrong with the folder is told when it is written to.
            Ok(Err(_)) | Err(_) => Some(Lock(None)),
        }
    }

    /// Where the runner's output goes.
    #[must_use]
    pub fn output(&self) -> PathBuf {
        self.directory.join("runner.log")
    }

    /// The state an earlier agent of this boot has left.
    #[must_use]
    pub fn load(&self) -> Option<State> {
        let text = fs::read(self.file()).ok()?;
        match serde_json::from_slice::<Document>(&text) {
            Ok(document) if document.version == VERSION && document.boot_id == self.boot_id => Some(document.state),
            Ok(_other_boot) => None,
            Err(error) => {
                warn!(%error, "The state of an earlier agent can't be read");
                None
            }
        }
    }

    /// Keeps `state`, all or nothing.
    pub fn save(&self, state: &State) {
        let document = Document { version: VERSION, boot_id: self.boot_id.clone(), state: state.clone() };
        let saved =
            serde_json::to_vec(&document).map_err(io::Error::other).and_then(|text| self.replace("state.json", &text));
        if let Err(error) = saved {
            // Only a restarted agent would miss it.
            warn!(%error, "The agent's state can't be kept");
        }
    }

    /// Who this instance is and what it shall do, as an earlier agent of this boot has learned it.
    #[must_use]
    pub fn known(&self) -> Option<(Identity, AgentConfig)> {
        let told: Told = serde_json::from_slice(&fs::read(self.instance_file()).ok()?).ok()?;
        let config = AgentConfig::read(&told.config).ok()?;
        (told.boot_id == self.boot_id).then_some((told.identity, config))
    }

    /// Keeps that.
    pub fn keep(&self, identity: &Identity, config: &AgentConfig) {
        let told = |config| Told { boot_id: self.boot_id.clone(), identity: identity.clone(), config };
        let text = serde_json::to_string(config).and_then(|config| serde_json::to_vec(&told(config)));
        if let Err(error) = text.map_err(io::Error::other).and_then(|text| self.replace("instance.json", &text)) {
            // A restarted agent asks the metadata service again.
            warn!(%error, "What the metadata service told can't be kept");
        }
    }

    /// The registration that was taken, until the runner has it. The store's copy is gone by then, and an agent that is
    /// killed in between must not lose it. Root's own, on a file system in memory, and gone before a job can look.
    pub fn keep_registration(&self, text: &SecretString) {
        if let Err(error) = self.replace(REGISTRATION, text.expose_secret().as_bytes()) {
            // Only a restarted agent would miss it.
            warn!(%error, "The registration can't be kept");
        }
    }

    /// The registration that was taken, if the runner does not have it yet.
    #[must_use]
    pub fn registration(&self) -> Option<SecretString> {
        fs::read_to_string(self.directory.join(REGISTRATION)).ok().map(SecretString::from)
    }

    /// Forgets the registration.
    pub fn forget_registration(&self) {
        match fs::remove_file(self.directory.join(REGISTRATION)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                warn!(%error, "The registration can't be forgotten");
            }
            _ => {}
        }
    }

    fn instance_file(&self) -> PathBuf {
        self.directory.join("instance.json")
    }

    fn file(&self) -> PathBuf {
        self.directory.join("state.json")
    }

    /// Writes a file, all or nothing.
    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let new = format!("{name}.new");
        self.write(&new, bytes)?;
        fs::rename(self.directory.join(new), self.directory.join(name))
    }

    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let path = self.directory.join(name);
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?.write_all(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Uptime;
    use crate::core::tests::limits;
    use crate::core::{Event, RunnerId, step};

    fn state() -> State {
        let (state, _) = step(State::new(limits(), Uptime(400)), Event::Began, Uptime(500));
        let (state, _) = step(state, Event::Started(RunnerId { pid: 7, start_ticks: 9 }), Uptime(600));
        state
    }

    #[test]
    fn a_state_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let memory = Memory::of(&folder.path().join("deep/dayfly"));
        memory.prepare().unwrap();
        assert_eq!(memory.load(), None);
        memory.save(&state());
        assert_eq!(memory.load(), Some(state()));
    }

    #[test]
    fn what_was_told_is_kept_for_this_boot() {
        let folder = tempfile::tempdir().unwrap();
        let memory = Memory::of(folder.path());
        assert_eq!(memory.known(), None);
        let (instance_id, region) = ("i-0123456789abcdef0".to_owned(), "eu-west-1".to_owned());
        let identity = Identity { instance_id, region, ..Identity::default() };
        let config = AgentConfig::read(include_str!("../contract/golden/agent-config.v1.json")).unwrap();
        memory.keep(&identity, &config);
        assert_eq!(memory.known(), Some((identity, config)));
        assert_eq!(Memory { boot_id: "another".to_owned(), ..memory.clone() }.known(), None);
        fs::write(memory.instance_file(), "{").unwrap();
        assert_eq!(memory.known(), None);
    }

    #[test]
    fn a_registration_is_kept_for_root_until_it_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let memory = Memory::of(folder.path());
        assert!(memory.registration().is_none());
        memory.keep_registration(&SecretString::from("secret"));
        assert_eq!(memory.registration().unwrap().expose_secret(), "secret");
        let mode = fs::metadata(folder.path().join(REGISTRATION)).unwrap();
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode.permissions()) & 0o777, 0o600);
        memory.forget_registration();
        memory.forget_registration();
        assert!(memory.registration().is_none());
    }

    #[test]
    fn one_agent_holds_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let memory = Memory::of(folder.path());
        let lock = memory.lock().unwrap();
        assert!(memory.lock().is_none());
        drop(lock);
        assert!(memory.lock().is_some());
        assert!(Memory::of(Path::new("/proc/dayfly")).lock().is_some(), "that is told elsewhere");
    }

    #[test]
    fn another_boots_state_and_rubbish_are_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let memory = Memory::of(folder.path());
        let other = Memory { boot_id: "another".to_owned(), ..memory.clone() };
        other.save(&state());
        assert_eq!(memory.load(), None);
        fs::write(memory.file(), "{").unwrap();
        assert_eq!(memory.load(), None);
    }

    #[test]
    fn a_folder_that_can_not_be_is_a_config_mistake() {
        let problem = Memory::of(Path::new("/proc/dayfly")).prepare().unwrap_err().to_string();
        assert!(problem.starts_with("DAYFLY_STATE_DIR: found /proc/dayfly, expected a folder"), "{problem}");
    }
}
