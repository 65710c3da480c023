//! `MonitorSocketAddress` in `.runner`: somebody on this machine wants to be told when jobs start and end.

use std::{io::Write, net::TcpStream, thread, time::Duration};

use secrecy::{ExposeSecret, SecretString};

/// The open connection, or none.
#[derive(Debug, Default)]
pub struct Monitor(Option<TcpStream>);

impl Monitor {
    /// Connects to `127.0.0.1:PORT`. A monitor that can't be reached does not stop a runner.
    #[must_use]
    pub fn connect(address: Option<&str>) -> Self {
        Self(address.filter(|address| !address.is_empty()).and_then(|address| TcpStream::connect(address).ok()))
    }

    /// `Start <job> <access token> <url> <pid>`. Yes, it carries a token: the real one's does.
    pub fn start(&mut self, job: &str, token: &SecretString, url: &str, pid: u32) {
        self.send(&format!("Start {job} {} {url} {pid}\n", token.expose_secret()));
    }

    /// `End <pid>`, and 2 s for the monitor to act, as the real one waits.
    pub fn end(&mut self, pid: u32) {
        if self.send(&format!("End {pid}\n")) {
            thread::sleep(Duration::from_secs(2));
        }
    }

    fn send(&mut self, line: &str) -> bool {
        self.0.as_mut().is_some_and(|socket| socket.write_all(line.as_bytes()).is_ok())
    }
}
