//! A stand-in for the agent, for this crate's own tests: reads its metadata, says what it found, and does what its
//! user-data says. Nothing but the standard library, so that it runs on any image.
//!
//! User-data: `wait` until SIGTERM, `off` (power off, or exit as a plain process), `reboot-once` and then `off`, or
//! `exit N`. `probe-agent token` only asks for a token, within a second.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context as _, bail};

const TTL: &str = "X-aws-ec2-metadata-token-ttl-seconds: 60";

fn main() -> anyhow::Result<ExitCode> {
    let endpoint = std::env::var("AWS_EC2_METADATA_SERVICE_ENDPOINT").unwrap_or("http://169.254.169.254".to_owned());
    let token = ask(&endpoint, "PUT", "/latest/api/token", TTL)?;
    if std::env::args().nth(1).as_deref() == Some("token") {
        return Ok(ExitCode::SUCCESS);
    }
    let header = format!("X-aws-ec2-metadata-token: {token}");
    let read = |path: &str| ask(&endpoint, "GET", path, &header);
    say(&format!("instance-id={}", read("/latest/meta-data/instance-id")?))?;
    say(&format!("endpoint={}", std::env::var("AWS_ENDPOINT_URL").unwrap_or_default()))?;
    let user_data = read("/latest/user-data")?;
    say(&format!("user-data={user_data}"))?;
    let mut words = user_data.split_whitespace();
    match words.next() {
        Some("wait") => loop {
            std::thread::sleep(Duration::from_hours(1));
        },
        Some("off") => systemctl("poweroff"),
        Some("reboot-once") if Path::new("/var/lib/probe-rebooted").exists() => systemctl("poweroff"),
        Some("reboot-once") => {
            std::fs::write("/var/lib/probe-rebooted", "")?;
            systemctl("reboot")
        }
        Some("exit") => Ok(ExitCode::from(words.next().context("exit without a number")?.parse::<u8>()?)),
        other => bail!("user-data: found {other:?}, expected wait, off, reboot-once or exit"),
    }
}

/// On a machine with systemd the verb is carried out; a plain process is off when it exits.
fn systemctl(verb: &str) -> anyhow::Result<ExitCode> {
    if Path::new("/run/systemd/system").exists() && std::env::var_os("DAYFLY_ENDING").is_none() {
        let status = Command::new("systemctl").args([verb, "--no-block"]).status().context("running systemctl")?;
        anyhow::ensure!(status.success(), "systemctl {verb}: {status}");
    }
    Ok(ExitCode::SUCCESS)
}

fn say(line: &str) -> anyhow::Result<()> {
    writeln!(std::io::stdout(), "probe {line}").context("writing to the console")
}

/// One HTTP request; the body of a 200.
fn ask(endpoint: &str, method: &str, path: &str, header: &str) -> anyhow::Result<String> {
    let host = endpoint.strip_prefix("http://").context("an endpoint begins with http://")?;
    let address = if host.contains(':') { host.to_owned() } else { format!("{host}:80") };
    let limit = Duration::from_secs(10);
    let mut stream = TcpStream::connect_timeout(&address.parse()?, limit).context("connecting")?;
    stream.set_read_timeout(Some(limit))?;
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\n{header}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    )?;
    let mut text = String::new();
    stream.read_to_string(&mut text).with_context(|| format!("reading the answer to {path}"))?;
    let (head, body) = text.split_once("\r\n\r\n").with_context(|| format!("{path}: no answer"))?;
    if !head.starts_with("HTTP/1.1 200") {
        bail!("{path}: {}", head.lines().next().unwrap_or_default());
    }
    Ok(body.to_owned())
}
