//! A machine as a plain process, for computers where one is not root: the agent with a folder, a metadata service and
//! an environment of its own. What a machine does, it does too: its start is the boot, its exit the power-off (nothing
//! of it lives on), SIGTERM the power button.

use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, User};
use tokio::process::{Child, Command};
use tokio::sync::watch;

use super::{Asked, Machine, Phase, Spawner, strays};
use crate::tree;

/// How machines in process mode are made.
#[derive(Clone, Debug)]
pub struct ProcessMode {
    /// The agent's program.
    pub agent: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// Folder of a runner, of which each machine gets its own copy at `<folder>/actions-runner`.
    pub runner: Option<PathBuf>,
    /// `AWS_ENDPOINT_URL` of the agent.
    pub aws_endpoint: String,
    /// Further variables of the agent.
    pub env: Vec<(String, String)>,
    /// Replacements in the user-data, made for each machine: it was written for an image, where all have the same
    /// paths. `{folder}` in a replacement is the machine's folder.
    pub rewrite: Vec<(String, String)>,
    /// User to run the agent as. Needed where the host is root, as agents run no runner as root; else the host's own.
    pub user: Option<String>,
}

impl ProcessMode {
    /// Agents of the host's own user, with `/opt/actions-runner` in user-data replaced by each machine's copy.
    #[must_use]
    pub fn new(agent: &Path, aws_endpoint: &str) -> Self {
        Self {
            agent: agent.to_owned(),
            args: Vec::new(),
            runner: None,
            aws_endpoint: aws_endpoint.to_owned(),
            env: Vec::new(),
            rewrite: vec![("/opt/actions-runner".to_owned(), "{folder}/actions-runner".to_owned())],
            user: None,
        }
    }
}

/// What all plain processes of a host share.
#[derive(Debug)]
pub(crate) struct Room {
    mode: ProcessMode,
    user: Option<User>,
    spawner: Spawner,
}

impl Room {
    pub(crate) fn new(mode: ProcessMode, folder: &Path) -> anyhow::Result<Self> {
        let user = match &mode.user {
            Some(name) => {
                let user = User::from_name(name)
                    .with_context(|| format!("looking up user {name}"))?
                    .with_context(|| format!("ProcessMode.user: found {name:?}, expected a user of this computer"))?;
                reachable(folder)?;
                Some(user)
            }
            None => None,
        };
        Ok(Self { mode, user, spawner: Spawner::start()? })
    }

    /// What the instance reads as its user-data.
    pub(crate) fn user_data(&self, raw: Option<Vec<u8>>, folder: &Path) -> Option<Vec<u8>> {
        Some(rewrite(raw?, &self.mode.rewrite, &folder.display().to_string()))
    }
}

/// Another user gets nowhere through a folder that is not open to all.
fn reachable(folder: &Path) -> anyhow::Result<()> {
    for ancestor in folder.ancestors() {
        let mode = std::fs::metadata(ancestor).with_context(|| format!("looking at {}", ancestor.display()))?;
        if mode.permissions().mode() & 0o001 == 0 {
            bail!(
                "ProcessMode.user: other users cannot pass through {}: choose a work_dir elsewhere",
                ancestor.display()
            );
        }
    }
    Ok(())
}

/// User-data that is no text is left alone.
fn rewrite(raw: Vec<u8>, pairs: &[(String, String)], folder: &str) -> Vec<u8> {
    match String::from_utf8(raw) {
        Ok(text) => {
            pairs.iter().fold(text, |text, (from, to)| text.replace(from, &to.replace("{folder}", folder))).into_bytes()
        }
        Err(binary) => binary.into_bytes(),
    }
}

/// From the first process to the last.
pub(super) async fn live(machine: &Machine, room: &Room) {
    let permit = machine.room.boots.acquire().await;
    if *machine.asked.borrow() == Asked::No {
        match start(machine, room).await {
            Ok(child) => {
                drop(permit);
                follow(machine, child).await;
            }
            Err(error) => machine.problem(&error),
        }
    }
    machine.mark(Phase::Ended);
    let folder = machine.folder();
    let left = strays::kill_strays(&folder, machine.record().leader).await;
    if !left.is_empty() {
        machine.problem(&anyhow::anyhow!("processes {left:?} cannot be killed"));
    }
    // What a boot begins without.
    let gone: &[&str] = if machine.is_kept() { &["run", "hook", "tmp"] } else { &[""] };
    for part in gone {
        if let Err(error) = super::remove_folder(&folder.join(part)) {
            machine.problem(&error);
        }
    }
}

async fn start(machine: &Machine, room: &Room) -> anyhow::Result<Child> {
    let (folder, mode) = (machine.folder(), &room.mode);
    let endpoint = machine.room.imds.listen_for(machine.id()).await?;
    for part in ["run", "home", "tmp"] {
        let part = folder.join(part);
        std::fs::create_dir_all(&part).with_context(|| format!("creating {}", part.display()))?;
    }
    // One that was stopped has its disk.
    if let Some(runner) = mode.runner.as_ref().filter(|_| !folder.join("actions-runner").exists()) {
        let (from, to) = (runner.clone(), folder.join("actions-runner"));
        tokio::task::spawn_blocking(move || tree::copy(&from, &to, tree::Files::Link)).await??;
    }
    if let Some(user) = &room.user {
        let (folder, owner) = (folder.clone(), (user.uid.as_raw(), user.gid.as_raw()));
        tokio::task::spawn_blocking(move || own(&folder, owner)).await??;
    }
    machine.mark(Phase::Prepared);
    let console = machine.console_file()?;
    // `setsid` and `setpriv` turn into the agent, so the child is the agent itself: the leader of a session of its own,
    // told to stop when the host dies.
    let mut command = Command::new("setsid");
    command
        .args(["setpriv", "--pdeathsig", "TERM"])
        .args(room.user.iter().flat_map(|user| {
            [format!("--reuid={}", user.uid), format!("--regid={}", user.gid), "--clear-groups".to_owned()]
        }))
        .arg("--")
        .arg(&mode.agent)
        .args(&mode.args)
        .current_dir(&folder)
        .env_clear()
        .envs(environment(&folder, &mode.aws_endpoint, &endpoint.to_string()))
        .envs(mode.env.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(console.try_clone()?)
        .stderr(console);
    room.spawner.spawn(command).await
}

fn environment(folder: &Path, aws_endpoint: &str, metadata: &str) -> Vec<(&'static str, String)> {
    let inside = |name: &str| folder.join(name).display().to_string();
    vec![
        ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned()),
        ("HOME", inside("home")),
        ("TMPDIR", inside("tmp")),
        ("LANG", "C.UTF-8".to_owned()),
        ("AWS_ENDPOINT_URL", aws_endpoint.to_owned()),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", format!("http://{metadata}")),
        ("DAYFLY_STATE_DIR", inside("run")),
        ("DAYFLY_HOOK_DIR", inside("hook")),
        ("DAYFLY_LOG_FILE", inside("agent.log")),
        // This computer's packet filter is not the agent's to change.
        ("DAYFLY_METADATA_ACCESS", "all".to_owned()),
        ("DAYFLY_ENDING", "terminate".to_owned()),
    ]
}

/// Gives a folder to a user, without the files that are shared by hard links: their owner is everyone's.
fn own(folder: &Path, owner: (u32, u32)) -> anyhow::Result<()> {
    use std::os::unix::fs::MetadataExt as _;
    tree::walk(folder, &mut |path, metadata| {
        if metadata.is_symlink() || (metadata.is_file() && metadata.nlink() > 1) {
            return Ok(());
        }
        chown(path, Some(owner.0), Some(owner.1)).with_context(|| format!("giving {} away", path.display()))
    })
}

/// Waits for the agent's end, and helps it along when that is asked for.
async fn follow(machine: &Machine, mut child: Child) {
    let leader = child.id().and_then(|id| i32::try_from(id).ok());
    machine.record.send_modify(|record| record.leader = leader);
    machine.mark(Phase::Leader);
    machine.mark(Phase::Ready);
    let mut asked = machine.asked.subscribe();
    let folder = machine.folder();
    let ended = tokio::select! {
        ended = child.wait() => ended,
        never = end(machine, &folder, leader, &mut asked) => match never {},
    };
    let code = match ended {
        Ok(status) => super::nspawn::code(status),
        Err(error) => {
            machine.problem(&anyhow::Error::new(error).context("waiting for the agent"));
            return;
        }
    };
    machine.record.send_modify(|record| record.exit_code = Some(code));
}

async fn end(
    machine: &Machine,
    folder: &Path,
    leader: Option<i32>,
    asked: &mut watch::Receiver<Asked>,
) -> std::convert::Infallible {
    let wanted = asked.wait_for(|asked| *asked > Asked::No).await.map_or(Asked::Plug, |asked| *asked);
    machine.mark(Phase::Stopping);
    if wanted == Asked::Off {
        if let Some(leader) = leader {
            signal(leader, Signal::SIGTERM);
        }
        // Whichever comes first; both mean the same.
        let _ = tokio::time::timeout(machine.room.grace, asked.wait_for(|asked| *asked == Asked::Plug)).await;
    }
    loop {
        strays::kill_strays(folder, leader).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// One that is gone by now needs no signal.
fn signal(pid: i32, signal: Signal) {
    let _ = kill(Pid::from_raw(pid), signal);
}

/// Stops or continues every process of the machine. Repeated, as processes may be born meanwhile.
pub(super) async fn freeze(machine: &Machine, _room: &Room, frozen: bool) -> anyhow::Result<()> {
    let leader = machine.record().leader.with_context(|| format!("{} does not run", machine.id()))?;
    let wanted = if frozen { Signal::SIGSTOP } else { Signal::SIGCONT };
    for _ in 0..3 {
        for pid in strays::find(&machine.folder(), Some(leader)) {
            signal(pid, wanted);
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

/// Runs a command in the machine's folder.
pub(super) async fn exec(machine: &Machine, command: &[&str]) -> anyhow::Result<Output> {
    let (program, args) = command.split_first().context("no command given")?;
    Command::new(program)
        .args(args)
        .current_dir(machine.folder())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .with_context(|| format!("running {program} in {}", machine.id()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_data_is_rewritten_for_the_machine() {
        let pairs = ProcessMode::new(Path::new("agent"), "http://x").rewrite;
        let text = br#"content: "{\"directory\":\"/opt/actions-runner\"}""#.to_vec();
        let found = String::from_utf8(rewrite(text, &pairs, "/w/i-1")).expect("text");
        assert_eq!(found, r#"content: "{\"directory\":\"/w/i-1/actions-runner\"}""#);
        assert_eq!(rewrite(vec![0xff, 0xfe], &pairs, "/w/i-1"), [0xff, 0xfe]);
    }

    #[test]
    fn the_environment_holds_nothing_of_the_hosts() {
        let names: Vec<&str> =
            environment(Path::new("/w/i-1"), "http://a", "127.0.0.1:9").into_iter().map(|(name, _)| name).collect();
        assert!(!names.contains(&"AWS_ACCESS_KEY_ID"), "{names:?}");
        for name in ["DAYFLY_STATE_DIR", "DAYFLY_HOOK_DIR", "DAYFLY_LOG_FILE"] {
            assert!(names.contains(&name), "{names:?}");
        }
    }
}
