//! The server's side of the private protocol, small enough to misbehave on demand.

use std::{
    collections::{BTreeMap, VecDeque},
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex, MutexGuard},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

/// The runner's token: no output, log or environment may show it.
pub(crate) const TOKEN: &str = "runner-token-hush-hush";

/// What the server knows and has seen.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "switches for tests, not a state")]
pub(crate) struct Seen {
    pub(crate) queue: VecDeque<Value>,
    pub(crate) session: Option<u64>,
    pub(crate) sessions_opened: u64,
    /// How long the answer to closing a session takes, at most: until another is opened.
    pub(crate) slow_close: Duration,
    pub(crate) deleted: bool,
    pub(crate) ephemeral: bool,
    /// Every connection is closed without an answer.
    pub(crate) down: bool,
    /// The next so many calls whose path starts so get this status and body.
    pub(crate) faults: Vec<(String, u16, String, u32)>,
    pub(crate) cancelled: bool,
    pub(crate) completed: Vec<(String, String)>,
    pub(crate) log: BTreeMap<String, String>,
    pub(crate) bodies: Vec<(String, Value)>,
}

#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    seen: Arc<(Mutex<Seen>, Condvar)>,
}

impl Server {
    pub(crate) fn start(ephemeral: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let seen = Seen { ephemeral, ..Seen::default() };
        let server =
            Self { address: listener.local_addr().unwrap(), seen: Arc::new((Mutex::new(seen), Condvar::new())) };
        let accepting = server.clone();
        thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let server = accepting.clone();
                thread::spawn(move || server.serve(&socket));
            }
        });
        server
    }

    pub(crate) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.0.lock().unwrap()
    }

    /// Changes something, and wakes up those who wait for a message.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Seen)) {
        change(&mut self.seen());
        self.seen.1.notify_all();
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn serve(&self, socket: &TcpStream) -> Option<()> {
        let mut input = BufReader::new(socket);
        let mut line = String::new();
        input.read_line(&mut line).ok()?;
        let mut words = line.split_whitespace();
        let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
        let (mut length, mut bearer) = (0, String::new());
        loop {
            let mut header = String::new();
            input.read_line(&mut header).ok()?;
            let Some((name, value)) = header.trim_end().split_once(": ") else { break };
            match name.to_lowercase().as_str() {
                "content-length" => length = value.parse().ok()?,
                "authorization" => value.clone_into(&mut bearer),
                _ => {}
            }
        }
        let mut body = vec![0; length];
        input.read_exact(&mut body).ok()?;
        let path = target.strip_prefix("/_runner/")?;
        let (status, answer) = self.answer(&method, path, &bearer, &String::from_utf8(body).ok()?)?;
        let mut socket = socket;
        write!(socket, "HTTP/1.1 {status} x\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{answer}", answer.len())
            .ok()
    }

    fn answer(&self, method: &str, path: &str, bearer: &str, body: &str) -> Option<(u16, String)> {
        let mut seen = self.seen();
        if seen.down {
            return None;
        }
        if let Some(fault) = seen.faults.iter_mut().find(|fault| fault.3 > 0 && path.starts_with(&fault.0)) {
            fault.3 -= 1;
            return Some((fault.1, fault.2.clone()));
        }
        let json: Value = serde_json::from_str(body).unwrap_or_default();
        seen.bodies.push((format!("{method} {path}"), json.clone()));
        if path == "register" || path == "remove" {
            drop(seen);
            return Some(self.registration(path, &json));
        }
        if bearer != format!("Bearer {TOKEN}") {
            return Some((401, String::new()));
        }
        if seen.deleted {
            return Some((404, String::new()));
        }
        let parts: Vec<&str> = path.split(['/', '?']).collect();
        Some(match (method, &parts[..]) {
            ("POST", ["session"]) if seen.session.is_some() => (409, String::new()),
            ("POST", ["session"]) => {
                seen.sessions_opened += 1;
                seen.session = Some(seen.sessions_opened);
                (200, json!({"sessionId": format!("session-{}", seen.sessions_opened)}).to_string())
            }
            ("DELETE", ["session", _]) => {
                seen.session = None;
                let (opened, slow) = (seen.sessions_opened, seen.slow_close);
                self.seen.1.notify_all();
                // The poll has its 409 before this call has its answer.
                drop(self.seen.1.wait_timeout_while(seen, slow, |seen| seen.sessions_opened == opened).unwrap());
                (204, String::new())
            }
            ("GET", ["message", session]) => {
                drop(seen);
                return self.message(session);
            }
            ("POST", ["jobs", id, "completed"]) => {
                let entry = ((*id).to_owned(), json["result"].as_str()?.to_owned());
                seen.completed.push(entry);
                seen.deleted = seen.ephemeral;
                drop(seen);
                self.seen.1.notify_all();
                (200, "{}".to_owned())
            }
            ("POST", ["jobs", id, "log"]) => {
                seen.log.entry((*id).to_owned()).or_default().push_str(body);
                (200, String::new())
            }
            ("GET", ["jobs", _, "state"]) => (200, json!({"cancelled": seen.cancelled}).to_string()),
            _ => (400, String::new()),
        })
    }

    /// Holds the call until there is something to say, for as long as a stop must not take.
    fn message(&self, session: &str) -> Option<(u16, String)> {
        let until = Instant::now() + Duration::from_secs(15);
        let mut seen = self.seen();
        loop {
            if seen.down {
                return None;
            }
            if seen.deleted {
                return Some((404, String::new()));
            }
            // A call of a session that is closed takes no job: nobody would hear of it.
            if seen.session.is_none_or(|open| session != format!("session=session-{open}")) {
                return Some((409, String::new()));
            }
            if let Some(message) = seen.queue.pop_front() {
                return Some((200, message.to_string()));
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Some((202, String::new()));
            }
            seen = self.seen.1.wait_timeout(seen, left).unwrap().0;
        }
    }

    fn registration(&self, path: &str, json: &Value) -> (u16, String) {
        match (path, json["token"].as_str()) {
            ("register", Some("good")) => {
                (200, crate::world::files(&self.url(), &json!({"ephemeral": json["ephemeral"]})))
            }
            ("remove", Some("good")) => (200, "{}".to_owned()),
            _ => (401, String::new()),
        }
    }
}
