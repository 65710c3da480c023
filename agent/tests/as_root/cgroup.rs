//! A cgroup holds what has left its process group, and is killed as a whole.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use dayfly_agent::runner::cgroup::{RunnerCgroup, enter};
use nix::unistd::{AccessFlags, access};

const MOUNTS: &str = "/sys/fs/cgroup";
const HYBRID: &str = "/sys/fs/cgroup/unified";

fn writable(mount: &Path) -> bool {
    mount.join("cgroup.procs").exists() && access(mount, AccessFlags::W_OK).is_ok()
}

/// Where version 2 is, alone or beside the other.
fn v2() -> Option<&'static Path> {
    [MOUNTS, HYBRID].map(Path::new).into_iter().find(|mount| mount.join("cgroup.controllers").exists())
}

pub fn has_v1() -> bool {
    writable(&Path::new(MOUNTS).join("systemd"))
}

pub fn has_v2() -> bool {
    v2().is_some_and(writable)
}

pub fn of_version_1() {
    let name = format!("dayfly-test-{}.service", std::process::id());
    let own = format!("2:cpu:/\n1:name=systemd:/{name}\n0::/\n");
    lives_and_dies(Path::new(MOUNTS), &own, &Path::new(MOUNTS).join("systemd").join(name));
}

pub fn of_version_2() {
    let name = format!("dayfly-test-{}.service", std::process::id());
    let mount = v2().unwrap();
    lives_and_dies(mount, &format!("0::/{name}\n"), &mount.join(name));
}

/// Ends what a failed test leaves.
struct Service<'a>(&'a Path, Child);

impl Drop for Service<'_> {
    fn drop(&mut self) {
        let _gone = (self.1.kill(), self.1.wait());
        let _gone = fs::remove_dir(self.0);
    }
}

fn wait_for(what: &str, fact: impl Fn() -> bool, status: impl Fn() -> String) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !fact() {
        assert!(Instant::now() < deadline, "timed out waiting for {what}: {}", status());
        sleep(Duration::from_millis(2));
    }
}

fn lives_and_dies(mounts: &Path, own: &str, service: &Path) {
    assert!(RunnerCgroup::create_in(mounts, own).is_err(), "made without the service's own");
    fs::create_dir(service).unwrap();
    let cgroup = RunnerCgroup::create_in(mounts, own).unwrap();
    assert_eq!(RunnerCgroup::create_in(mounts, own).unwrap(), cgroup, "an agent that was started again finds it");
    assert_eq!(cgroup.kill_all(), 0);
    let entrance = cgroup.entrance().unwrap();
    let mut command = Command::new("sh");
    // One in the group, one that has left it for a session of its own.
    command.args(["-c", "setsid sleep 63 & sleep 64 & wait"]).stdin(Stdio::null());
    // SAFETY: `enter` makes one system call.
    unsafe { command.pre_exec(move || enter(&entrance).map_err(std::io::Error::from)) };
    let mut guard = Service(service, command.spawn().unwrap());
    let told = || format!("{:?}", cgroup.pids());
    wait_for("three processes", || cgroup.pids().len() == 3, told);
    let shell = i32::try_from(guard.1.id()).unwrap();
    assert!(cgroup.pids().contains(&shell), "the first process entered before it ran");
    assert!(cgroup.remove().is_err(), "removed with processes in it");
    // A job that is root may divide it further.
    let below = service.join("runner/below");
    fs::create_dir(&below).unwrap();
    let other = cgroup.pids().into_iter().find(|pid| *pid != shell).unwrap();
    fs::write(below.join("cgroup.procs"), other.to_string()).unwrap();
    assert_eq!(cgroup.kill_all(), 3);
    guard.1.wait().unwrap();
    wait_for("nobody", || cgroup.pids().is_empty(), told);
    cgroup.remove().unwrap();
    assert!(!service.join("runner").exists());
}
