//! What systemd is told: that the agent lives, what it is about, that it is about to end.
//!
//! A socket of our own rather than libsystemd's way: systemd that does not read its messages must not hold up the loop
//! that it watches, so what does not fit is dropped. Without systemd everything here does nothing.

use std::ffi::OsString;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// systemd, as it watches this process.
#[derive(Debug)]
pub struct Watchdog {
    service_manager: Option<(UnixDatagram, SocketAddr)>,
    limit: Option<Duration>,
}

impl Watchdog {
    /// Reads `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID` with `var`. The last names the process that is
    /// watched, which may be another one than `pid`: a parent that has left its environment behind.
    #[must_use]
    pub fn new(var: impl Fn(&str) -> Option<OsString>, pid: u32) -> Self {
        let service_manager = var("NOTIFY_SOCKET").and_then(|name| {
            // Connected to nobody: systemd may make its socket anew.
            let socket = UnixDatagram::unbound().ok()?;
            socket.set_nonblocking(true).ok()?;
            Some((socket, address(&name)?))
        });
        let number = |name| var(name)?.to_str()?.parse::<u64>().ok();
        let is_ours = var("WATCHDOG_PID").is_none() || number("WATCHDOG_PID") == Some(pid.into());
        let limit = number("WATCHDOG_USEC").filter(|micros| is_ours && *micros > 0).map(Duration::from_micros);
        Self { limit: limit.filter(|_| service_manager.is_some()), service_manager }
    }

    /// How often to call [`Watchdog::fed`]: a third of the unit's `WatchdogSec`, so that one late turn of the loop is no
    /// death. None where the unit has none.
    #[must_use]
    pub fn every(&self) -> Option<Duration> {
        self.limit.map(|limit| limit / 3)
    }

    /// Says that the agent lives.
    pub fn fed(&self) {
        self.tell("WATCHDOG=1");
    }

    /// Says in one line what the agent is about; `systemctl status` shows it.
    pub fn status(&self, text: &str) {
        // A line's end would begin another message.
        let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        self.tell(&format!("STATUS={line}"));
    }

    /// Says that the agent is about to end.
    pub fn stopping(&self) {
        self.tell("STOPPING=1");
    }

    fn tell(&self, message: &str) {
        if let Some((socket, address)) = &self.service_manager {
            // Told again soon, or not important.
            let _unheard = socket.send_to_addr(message.as_bytes(), address);
        }
    }
}

/// The socket's address: a path, or with `@` in front a name without a file.
fn address(name: &OsString) -> Option<SocketAddr> {
    match name.as_bytes() {
        [b'@', abstract_name @ ..] => SocketAddr::from_abstract_name(abstract_name).ok(),
        [b'/', ..] => SocketAddr::from_pathname(name).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watchdog(vars: &[(&str, &str)]) -> Watchdog {
        let var = |name: &str| vars.iter().find(|(n, _)| *n == name).map(|(_, value)| OsString::from(value));
        Watchdog::new(var, 77)
    }

    fn heard(socket: &UnixDatagram) -> String {
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut buffer = [0; 200];
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }

    #[test]
    fn messages_arrive_as_systemd_expects_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let systemd = UnixDatagram::bind(&path).unwrap();
        let watchdog = watchdog(&[("NOTIFY_SOCKET", path.to_str().unwrap())]);
        watchdog.fed();
        watchdog.status("running a job\nMAINPID=1");
        watchdog.stopping();
        assert_eq!(heard(&systemd), "WATCHDOG=1");
        assert_eq!(heard(&systemd), "STATUS=running a job MAINPID=1");
        assert_eq!(heard(&systemd), "STOPPING=1");
    }

    #[test]
    fn a_socket_without_a_file_will_do_and_may_be_made_anew() {
        let name = format!("dayfly-watchdog-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let watchdog = watchdog(&[("NOTIFY_SOCKET", &format!("@{name}"))]);
        watchdog.fed();
        for _ in 0..2 {
            let systemd = UnixDatagram::bind_addr(&address).unwrap();
            watchdog.fed();
            assert_eq!(heard(&systemd), "WATCHDOG=1");
        }
    }

    #[test]
    fn a_service_manager_that_does_not_read_holds_nobody_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let systemd = UnixDatagram::bind(&path).unwrap();
        let watchdog = watchdog(&[("NOTIFY_SOCKET", path.to_str().unwrap())]);
        // Many more than any kernel keeps for a socket; a blocking one would never come back.
        for _ in 0..100_000 {
            watchdog.fed();
        }
        assert_eq!(heard(&systemd), "WATCHDOG=1");
    }

    #[test]
    fn it_is_fed_three_times_within_the_limit() {
        let every = |vars: &[(&str, &str)]| {
            let vars: Vec<_> = vars.iter().copied().chain([("NOTIFY_SOCKET", "/run/systemd/notify")]).collect();
            watchdog(&vars).every()
        };
        assert_eq!(every(&[("WATCHDOG_USEC", "30000000")]), Some(Duration::from_secs(10)));
        assert_eq!(every(&[("WATCHDOG_USEC", "30000000"), ("WATCHDOG_PID", "77")]), Some(Duration::from_secs(10)));
        assert_eq!(every(&[("WATCHDOG_USEC", "30000000"), ("WATCHDOG_PID", "78")]), None);
        assert_eq!(every(&[("WATCHDOG_USEC", "30000000"), ("WATCHDOG_PID", "x")]), None);
        assert_eq!(every(&[("WATCHDOG_USEC", "0")]), None);
        assert_eq!(every(&[("WATCHDOG_USEC", "soon")]), None);
        assert_eq!(every(&[]), None);
    }

    #[test]
    fn without_systemd_nothing_happens() {
        for vars in [&[][..], &[("NOTIFY_SOCKET", "relative")], &[("NOTIFY_SOCKET", "/nonexistent/notify")]] {
            let watchdog = watchdog(vars);
            watchdog.fed();
            watchdog.stopping();
            assert_eq!(watchdog.every(), None);
        }
        assert_eq!(watchdog(&[("WATCHDOG_USEC", "30000000")]).every(), None);
    }
}
