//! Plain processes as somebody else. Only root can give a machine to another user; without root the test is not run, and
//! it says so.
#![expect(clippy::expect_used, reason = "a test without the usual harness")]

mod support;

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};
use support::processes::{process, start_with};
use support::wait_for;

#[expect(clippy::print_stderr, reason = "a test that is not run has to be told")]
fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::from_args();
    let root = nix::unistd::Uid::effective().is_root();
    if !root && !arguments.list {
        eprintln!("not run: another user's machines need root");
    }
    let runtime = tokio::runtime::Runtime::new()?;
    let test = move || {
        runtime.block_on(root_gives_machines_to_another_user());
        Ok(())
    };
    let trial = Trial::test("root_gives_machines_to_another_user", test).with_ignored_flag(!root);
    Ok(libtest_mimic::run(&arguments, vec![trial]).exit_code())
}

/// The agent runs as that user, and its files are theirs.
async fn root_gives_machines_to_another_user() {
    let open = |path: &Path| std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("a mode");
    let setup = start_with("echo user=$(id -un) groups=$(id -G); touch run/mine; exec sleep 1000", |config, dir| {
        open(dir);
        process(config).user = Some("nobody".to_owned());
    })
    .await;
    let id = setup.moto.launch(14, "");
    let console = setup.console(&id, "user=").await;
    assert!(console.contains("user=nobody groups=65534\n"), "{console}");
    wait_for(
        "its own folder is writable",
        5,
        || setup.work.join(&id).join("run/mine").exists().then_some(()),
        || setup.host.machine(&id).expect("a machine").console(),
    )
    .await;
    setup.end().await;
}
