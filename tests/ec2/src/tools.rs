//! Runs the tools that the machines are made with, and names those that are missing.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use anyhow::{Context as _, bail};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

/// Tools that machines with systemd need, and the Debian package that brings each.
const NEEDED: [(&str, &str); 10] = [
    ("ip", "iproute2"),
    ("losetup", "mount"),
    ("mksquashfs", "squashfs-tools"),
    ("mmdebstrap", "mmdebstrap"),
    ("mount", "mount"),
    ("nsenter", "util-linux"),
    ("setpriv", "util-linux"),
    ("systemd-nspawn", "systemd-container"),
    ("umount", "mount"),
    ("unshare", "util-linux"),
];

/// The keys Debian signs its archive with; Ubuntu has them in a package of their own.
pub(crate) const DEBIAN_KEYS: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// What machines with systemd need and this computer lacks: tool or file, and the package that brings it.
#[must_use]
pub fn missing() -> Vec<(&'static str, &'static str)> {
    let mut missing: Vec<_> = NEEDED.into_iter().filter(|(tool, _)| find(tool).is_none()).collect();
    if !Path::new(DEBIAN_KEYS).exists() {
        missing.push((DEBIAN_KEYS, "debian-archive-keyring"));
    }
    missing
}

/// Fails with everything that is missing and the command that installs it.
pub fn require() -> anyhow::Result<()> {
    let missing = missing();
    if missing.is_empty() { Ok(()) } else { bail!(complaint(missing)) }
}

fn complaint(missing: Vec<(&str, &str)>) -> String {
    let (tools, mut packages): (Vec<_>, Vec<_>) = missing.into_iter().unzip();
    packages.sort_unstable();
    packages.dedup();
    format!(
        "machines with systemd need {}, not found: apt-get install --no-install-recommends {}",
        tools.join(", "),
        packages.join(" ")
    )
}

/// Where a tool is: in PATH, or in the folders for administrators that a user's PATH often lacks.
pub(crate) fn find(tool: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin", "/usr/bin", "/bin"].map(PathBuf::from))
        .map(|folder| folder.join(tool))
        .find(|file| file.is_file())
}

/// Runs a tool and answers what it printed; an error holds its output.
pub(crate) async fn run<I, S>(tool: &str, args: I) -> anyhow::Result<String>
where
    I: IntoIterator<Item = S>,
    S: AsRef<OsStr>,
{
    let mut command = Command::new(tool);
    command.args(args).stdin(Stdio::null()).kill_on_drop(true);
    let output = command.output().await.with_context(|| format!("starting {tool}"))?;
    checked(&format!("{:?}", command.as_std()), &output)
}

/// Runs a tool that reads `input`.
pub(crate) async fn feed(tool: &str, args: &[&str], input: &str) -> anyhow::Result<String> {
    let mut child = Command::new(tool)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("starting {tool}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes()).await.with_context(|| format!("writing to {tool}"))?;
    }
    let output = child.wait_with_output().await.with_context(|| format!("waiting for {tool}"))?;
    checked(&format!("{tool} {}", args.join(" ")), &output)
}

/// The output of a tool that succeeded.
pub(crate) fn checked(what: &str, output: &Output) -> anyhow::Result<String> {
    let stdout = String::from_utf8_lossy(&output.stdout);
    if output.status.success() {
        return Ok(stdout.into_owned());
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    bail!("{what}: {}: {} {}", output.status, stderr.trim(), stdout.trim());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_with_what_brings_it() {
        let text = complaint(vec![("nsenter", "util-linux"), ("ip", "iproute2"), ("unshare", "util-linux")]);
        assert_eq!(
            text,
            "machines with systemd need nsenter, ip, unshare, not found: \
             apt-get install --no-install-recommends iproute2 util-linux"
        );
        assert!(find("sh").is_some());
        assert!(find("no-such-tool").is_none());
    }

    #[tokio::test]
    async fn an_error_holds_what_the_tool_said() {
        let error = run("sh", ["-c", "echo out; echo err >&2; exit 3"]).await.expect_err("it failed");
        let text = format!("{error:#}");
        assert!(text.contains("exit status: 3") && text.contains("err out"), "{text}");
        assert_eq!(feed("cat", &[], "in").await.expect("it works"), "in");
        assert!(
            format!("{:#}", run("no-such-tool", ["x"]).await.expect_err("none")).starts_with("starting no-such-tool")
        );
    }
}
