//! The private world: what gets in, what gets out, and that nothing stays. It needs root; without it no test is run, and
//! it says so.
#![expect(clippy::expect_used, reason = "tests without the usual harness")]

mod support;

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, ChildStdout, Command, ExitCode, Stdio};

use libtest_mimic::{Arguments, Trial};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, Uid};
use support::{groups, processes_with, wait_for};

const TESTS: [(&str, fn()); 5] = [
    ("the_exit_code_comes_out_and_nothing_is_left", exits),
    ("inside_are_our_addresses_and_outside_is_nothing_of_them", addresses),
    ("a_signal_gets_in_once_and_the_end_comes_in_order", signals),
    ("everything_vanishes_when_the_inside_is_killed", inside_is_killed),
    ("everything_vanishes_when_the_outside_is_killed", outside_is_killed),
];

#[expect(clippy::print_stderr, reason = "tests that are not run have to be told")]
fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let root = Uid::effective().is_root();
    if !root && !arguments.list {
        eprintln!("not run: a private world needs root");
    }
    let trial = |(name, test): (&str, fn())| {
        let run = move || {
            test();
            Ok(())
        };
        Trial::test(name, run).with_ignored_flag(!root)
    };
    libtest_mimic::run(&arguments, TESTS.into_iter().map(trial).collect()).exit_code()
}

/// A program in a world, and what it has printed so far.
struct World {
    child: Child,
    output: BufReader<ChildStdout>,
    said: String,
}

impl World {
    fn start(args: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_ec2-world-test"))
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a program");
        let output = BufReader::new(child.stdout.take().expect("an output"));
        Self { child, output, said: String::new() }
    }

    fn until(&mut self, text: &str) {
        while !self.said.contains(text) {
            let read = self.output.read_line(&mut self.said).expect("a line");
            assert!(read > 0, "ended without {text}: {}", self.said);
        }
    }

    /// The id of the world.
    fn name(&self) -> String {
        let at = self.said.find("world=").expect("a name") + "world=".len();
        self.said[at..].split_whitespace().next().expect("a name").to_owned()
    }

    fn outside(&self) -> Pid {
        Pid::from_raw(self.child.id().try_into().expect("a process id"))
    }

    fn end(mut self) -> (Option<i32>, String) {
        self.output.read_to_string(&mut self.said).expect("the rest");
        (self.child.wait().expect("an end").code(), self.said)
    }
}

fn gone(marker: &str) {
    let status = || processes_with(marker).join(", ");
    let none = || processes_with(marker).is_empty().then_some(());
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(wait_for("its processes are gone", 10, none, status));
}

fn exits() {
    let world = World::start(&["exit", "7"]);
    let (code, said) = world.end();
    assert_eq!(code, Some(7), "{said}");
    assert!(said.contains("left code=7 leftovers=[]"), "{said}");
}

fn addresses() {
    let mut world = World::start(&["hold", "marker-a"]);
    world.until("holding");
    assert!(world.said.contains("10.77.0.1/32") && world.said.contains("169.254.169.254/32"), "{}", world.said);
    let links = Command::new("ip").args(["-brief", "link"]).output().expect("ip");
    assert!(!String::from_utf8_lossy(&links.stdout).contains("dayfly"));
    let mounts = std::fs::read_to_string("/proc/self/mounts").expect("mounts");
    assert!(!mounts.contains("dayfly-world"), "{mounts}");
    kill(world.outside(), Signal::SIGTERM).expect("a signal");
    assert_eq!(world.end().0, Some(5));
}

fn signals() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let mut world = World::start(&["hold", "marker-b"]);
        world.until("holding");
        kill(world.outside(), signal).expect("a signal");
        let (code, said) = world.end();
        assert_eq!(code, Some(5), "{said}");
        assert_eq!(said.matches("got ").count(), 1, "{said}");
        assert!(said.contains(&format!("got {signal}")), "{said}");
        assert!(said.contains("leftovers=[]"), "{said}");
        gone("marker-b");
    }
}

fn inside_is_killed() {
    let mut world = World::start(&["hold", "marker-c"]);
    world.until("holding");
    let place = format!("LAPTOP_WORLD=inside:{}", world.name());
    let inside: Vec<i32> = processes_with(&place)
        .iter()
        .filter(|line| line.contains("ec2-world-test"))
        .filter_map(|line| line.split(' ').next()?.parse().ok())
        .collect();
    assert_eq!(inside.len(), 1, "{inside:?}");
    kill(Pid::from_raw(inside[0]), Signal::SIGKILL).expect("a signal");
    let (code, said) = world.end();
    assert_eq!(code, Some(128 + 9), "{said}");
    assert!(said.contains("leftovers=[]"), "{said}");
    gone("marker-c");
}

fn outside_is_killed() {
    let mut world = World::start(&["hold", "marker-d"]);
    world.until("holding");
    let name = world.name();
    let v1 = std::path::Path::new("/sys/fs/cgroup/systemd/cgroup.procs").exists();
    let group = format!("/sys/fs/cgroup/{}{name}", if v1 { "systemd/" } else { "" });
    std::fs::create_dir(&group).expect("a control group as a machine would have it");
    kill(world.outside(), Signal::SIGKILL).expect("a signal");
    world.end();
    gone("marker-d");
    // The next world, be it another test's, sweeps what this one could not.
    let (code, said) = World::start(&["exit", "0"]).end();
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(groups(&name), [""; 0]);
}
