//! The command that boots a machine, and what it says.

use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use tokio::process::Command;

/// Exit code of systemd-nspawn when the machine reboots.
pub(super) const REBOOT: i32 = 133;

/// What a machine is booted with.
pub(super) struct Boot<'a> {
    pub(super) id: &'a str,
    pub(super) hostname: &'a str,
    pub(super) root: &'a Path,
    pub(super) groups: &'a [PathBuf],
    pub(super) notify: &'a Path,
    pub(super) console: std::fs::File,
}

/// The command; it enters the machine's control groups before it becomes systemd-nspawn.
pub(super) fn command(boot: Boot<'_>) -> std::io::Result<Command> {
    // A shell does it as nothing else may run between fork and exec of a process with many threads.
    const ENTER: &str =
        r#"while [ "$1" != -- ]; do echo $$ > "$1/cgroup.procs" || exit 1; shift; done; shift; exec "$@""#;
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", ENTER, "enter-groups"])
        .args(boot.groups)
        .arg("--")
        .args(arguments(boot.id, boot.hostname, boot.root))
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("NOTIFY_SOCKET", boot.notify)
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(boot.console.try_clone()?)
        .stderr(boot.console);
    Ok(command)
}

fn arguments(id: &str, hostname: &str, root: &Path) -> Vec<String> {
    vec![
        "systemd-nspawn".to_owned(),
        "--quiet".to_owned(),
        "--boot".to_owned(),
        // No machined, no logind, no systemd around us.
        "--register=no".to_owned(),
        "--keep-unit".to_owned(),
        // SIGRTMIN+4 makes systemd power off.
        "--kill-signal=SIGRTMIN+4".to_owned(),
        format!("--directory={}", root.display()),
        format!("--machine={id}"),
        format!("--hostname={hostname}"),
        format!("--uuid={}", uuid(id)),
        format!("--network-namespace-path=/run/netns/{id}"),
        // The network is the machine's own, as with --private-network: root in it sets its packet filter.
        "--capability=CAP_NET_ADMIN".to_owned(),
        "--resolv-conf=off".to_owned(),
        "--timezone=off".to_owned(),
        "--link-journal=no".to_owned(),
        // `pipe` loses output.
        "--console=read-only".to_owned(),
        "--notify-ready=yes".to_owned(),
    ]
}

/// EC2's system UUIDs begin with `ec2`.
fn uuid(id: &str) -> String {
    let hex: String = id.chars().filter(char::is_ascii_hexdigit).collect();
    format!("ec2{hex:0<29.29}")
}

/// What systemd-nspawn tells through its notify socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    Leader(i32),
    Ready,
    Stopping,
}

/// Reads a datagram of `sd_notify`.
pub(super) fn said(datagram: &str) -> impl Iterator<Item = Said> {
    datagram.lines().filter_map(|line| match line.split_once('=')? {
        ("X_NSPAWN_LEADER_PID", pid) => pid.parse().ok().map(Said::Leader),
        ("READY", "1") => Some(Said::Ready),
        ("STOPPING", "1") => Some(Said::Stopping),
        _ => None,
    })
}

/// An exit status as a shell tells it.
pub(crate) fn code(status: ExitStatus) -> i32 {
    status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(-1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notifications_are_read_and_others_passed_over() {
        let found: Vec<Said> =
            said("X_NSPAWN_LEADER_PID=42\nSTATUS=Container running.\nREADY=1\nREADY=0\nSTOPPING=1\nnonsense").collect();
        assert_eq!(found, [Said::Leader(42), Said::Ready, Said::Stopping]);
    }

    #[test]
    fn the_uuid_is_made_of_the_id() {
        assert_eq!(uuid("i-0123456789abcdef0"), "ec20123456789abcdef0000000000000");
        assert_eq!(uuid("i-0123456789abcdef0").len(), 32);
    }

    #[test]
    fn exit_codes_are_those_of_a_shell() {
        assert_eq!(code(ExitStatus::from_raw(133 << 8)), REBOOT);
        assert_eq!(code(ExitStatus::from_raw(9)), 137);
    }
}
