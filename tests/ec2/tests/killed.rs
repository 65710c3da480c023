//! A world that is killed in the middle of everything: machines up, one frozen, one booting. It needs root; without it
//! the test is not run, and it says so.
#![expect(clippy::expect_used, reason = "a test without the usual harness")]

mod support;

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use laptop_ec2::Phase;
use laptop_ec2::image::ensure_rootfs;
use laptop_ec2::world::{self, Place};
use libtest_mimic::{Arguments, Failed, Trial};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::machines::{LIMIT, start};
use support::{cache, groups, processes_with};

/// Set in the program that is to be killed.
const VICTIM: &str = "LAPTOP_TEST_VICTIM";

#[expect(clippy::print_stderr, reason = "a test that is not run has to be told")]
fn main() -> anyhow::Result<ExitCode> {
    if std::env::var_os(VICTIM).is_some() {
        return match world::enter(&[])? {
            Place::Left(left) => {
                writeln!(std::io::stdout(), "leftovers={:?}", left.leftovers)?;
                Ok(ExitCode::SUCCESS)
            }
            Place::Inside => {
                tokio::runtime::Runtime::new()?.block_on(victim());
                Ok(ExitCode::SUCCESS)
            }
        };
    }
    let arguments = Arguments::from_args();
    let root = nix::unistd::Uid::effective().is_root();
    if !root && !arguments.list {
        eprintln!("not run: machines with systemd need root");
    }
    let trials = [
        ("inside", "a_world_whose_inside_is_killed_leaves_nothing"),
        ("outside", "a_world_whose_outside_is_killed_leaves_nothing"),
    ]
    .into_iter()
    .map(|(whom, name)| Trial::test(name, move || killed(whom)).with_ignored_flag(!root))
    .collect();
    Ok(libtest_mimic::run(&arguments, trials).exit_code())
}

/// Stays until it is killed.
async fn victim() {
    let setup = start().await;
    let machine = setup.ready(1, "wait").await;
    setup.ready(2, "wait").await;
    machine.freeze().await.expect("frozen");
    let id = setup.moto.launch(3, "wait");
    let third = setup.host.wait_for_machine(&id, LIMIT).await.expect("a machine");
    third.wait_for(Phase::Leader, LIMIT).await.expect("a leader");
    writeln!(std::io::stdout(), "up {} {} {}", world::id(), setup.work.display(), std::process::id()).expect("a line");
    std::future::pending::<()>().await;
}

fn killed(whom: &str) -> Result<(), Failed> {
    laptop_ec2::require_tools()?;
    ensure_rootfs(&cache(), &mut |_| {})?;
    let program = std::env::current_exe()?;
    let mut child = Command::new(program).env(VICTIM, "1").stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let mut lines = BufReader::new(child.stdout.take().ok_or("no output")?).lines();
    let up = lines.next().ok_or("the victim ended early")??;
    let (world, work) = match up.split(' ').collect::<Vec<_>>().as_slice() {
        ["up", world, work, _] => ((*world).to_owned(), (*work).to_owned()),
        _ => return Err(format!("the victim said {up}").into()),
    };
    let inside: Vec<i32> = processes_with(&format!("LAPTOP_WORLD=inside:{world}"))
        .iter()
        .filter(|line| line.contains("killed"))
        .filter_map(|line| line.split(' ').next()?.parse().ok())
        .collect();
    if inside.len() != 1 {
        return Err(format!("inside are {inside:?}").into());
    }
    if whom == "inside" {
        kill(Pid::from_raw(inside[0]), Signal::SIGKILL)?;
        let said = lines.next().ok_or("no leftovers told")??;
        child.wait()?;
        if said != "leftovers=[]" {
            return Err(said.into());
        }
    } else {
        child.kill()?;
        child.wait()?;
    }
    let until = Instant::now() + Duration::from_secs(15);
    let mut left = left_of(&world, whom == "inside");
    while !left.is_empty() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(50));
        left = left_of(&world, whom == "inside");
    }
    // The folder on the disk is the next host's to sweep; here nobody comes after.
    std::fs::remove_dir_all(std::path::Path::new(&work).parent().ok_or("a work folder has a parent")?)?;
    if !left.is_empty() {
        return Err(left.join(", ").into());
    }
    // The next world sweeps away the control groups of one whose outside was killed.
    let swept =
        Command::new(env!("CARGO_BIN_EXE_ec2-world-test")).args(["exit", "0"]).stdout(Stdio::null()).status()?;
    let groups = groups(&world);
    if swept.success() && groups.is_empty() { Ok(()) } else { Err(groups.join(", ").into()) }
}

/// What is still there of a world. Empty control groups stay when nobody is left to remove them.
fn left_of(world: &str, swept: bool) -> Vec<String> {
    let mut left = processes_with(world);
    let all = groups(world);
    for group in &all {
        let find = Command::new("find").args([group, "-name", "cgroup.procs"]).output().expect("find");
        for file in String::from_utf8_lossy(&find.stdout).lines() {
            let processes = std::fs::read_to_string(file).unwrap_or_default();
            left.extend(processes.lines().map(|pid| format!("process {pid} in {file}")));
        }
    }
    if swept {
        left.extend(all);
    }
    let mounts = std::fs::read_to_string("/proc/self/mounts").expect("mounts");
    left.extend(mounts.lines().filter(|line| line.contains("dayfly-root") || line.contains(world)).map(str::to_owned));
    for entry in std::fs::read_dir("/sys/block").expect("block devices").flatten() {
        let file = std::fs::read_to_string(entry.path().join("loop/backing_file")).unwrap_or_default();
        left.extend(file.contains(world).then_some(file));
    }
    left
}
