//! What only root can do, done for real: users, cgroups, packet filters. Where this machine can't, a test is not run, and it
//! says so.

#![expect(clippy::unwrap_used, reason = "tests without the usual harness")]
#![expect(unreachable_pub, reason = "modules of a test binary share freely")]

mod cgroup;
mod metadata;
mod namespaces;
mod user;

use std::path::Path;
use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};
use nix::unistd::geteuid;

type Test = (&'static str, &'static str, bool, fn());

#[expect(clippy::print_stderr, reason = "a test that is not run has to be told")]
fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let root = geteuid().is_root();
    let has =
        |program: &str| ["/usr/sbin", "/sbin", "/usr/bin"].iter().any(|dir| Path::new(dir).join(program).exists());
    let network = root && has("nft") && has("ip");
    // Its name, what it needs, whether that is there, and it.
    let tests: [Test; 6] = [
        ("a_missing_user_is_created", "root and useradd", root && has("useradd"), user::a_missing_user_is_created),
        ("a_work_folder_is_given_to_the_runner", "root", root, user::a_work_folder_is_given_to_the_runner),
        ("a_job_can_not_ask_for_metadata", "root, nft and ip", network, metadata::a_job_can_not_ask),
        ("a_container_can_not_ask_for_metadata", "root, nft and ip", network, metadata::a_container_can_not_ask),
        ("a_cgroup_of_version_1", "root and systemd's hierarchy", root && cgroup::has_v1(), cgroup::of_version_1),
        ("a_cgroup_of_version_2", "root and cgroup2", root && cgroup::has_v2(), cgroup::of_version_2),
    ];
    let trials = tests.into_iter().map(|(name, needs, can, test)| {
        if !can && !arguments.list {
            eprintln!("not run: {name} needs {needs}");
        }
        let run = move || {
            test();
            Ok(())
        };
        Trial::test(name, run).with_ignored_flag(!can)
    });
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}
