//! A function that does what its event says: the one that this crate's tests deploy.
//!
//! Blocking and by hand, so that the Runtime API is met by something other than the client that the product uses.

use std::{
    env,
    io::{Read, Write},
    net::TcpStream,
    process,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

fn main() -> Result<()> {
    init()?;
    let mut count = 0_u64;
    let mut ballast = Vec::new();
    loop {
        let event = next()?;
        count += 1;
        let id = event.header("lambda-runtime-aws-request-id").context("no request id")?;
        say(&format!("working on {id}"));
        let body: Value = serde_json::from_slice(&event.body)?;
        match body.get("Records").and_then(Value::as_array) {
            Some(records) => batch(&id, records)?,
            None => single(&id, &body, &event, count, &mut ballast)?,
        }
    }
}

/// The next event. After an answer that was broken off, the other side may need a moment to see that.
fn next() -> Result<Answer> {
    for _ in 0..200 {
        let answer = call("GET", "invocation/next", b"")?;
        if answer.status == 200 {
            return Ok(answer);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    bail!("no next event")
}

/// To stdout and stderr, for the log. Not by `println!`, which the project keeps out of its code.
fn say(text: &str) {
    // A log that is gone is no reason to fail.
    let _ = writeln!(std::io::stdout(), "out: {text}");
    let _ = writeln!(std::io::stderr(), "err: {text}");
}

/// `ECHO_INIT`: `fail`, `exit`, `hang`, or nothing.
fn init() -> Result<()> {
    match env::var("ECHO_INIT").as_deref() {
        Ok("fail") => {
            call("POST", "init/error", br#"{"errorType":"Echo.Init","errorMessage":"as asked"}"#)?;
            process::exit(1);
        }
        Ok("exit") => process::exit(3),
        Ok("hang") => std::thread::sleep(Duration::from_secs(1000)),
        _ => {}
    }
    Ok(())
}

/// A batch of messages: each body's `do` decides.
fn batch(id: &str, records: &[Value]) -> Result<()> {
    let mut failures = Vec::new();
    for record in records {
        let text = record["body"].as_str().unwrap_or_default();
        let command: Value = serde_json::from_str(text).unwrap_or_default();
        say(&format!("message {text}"));
        pause(&command);
        match command["do"].as_str() {
            Some("error") => return fail(id),
            Some("fail") => failures.push(json!({"itemIdentifier": record["messageId"]})),
            Some("fail-unknown") => failures.push(json!({"itemIdentifier": "nobody"})),
            _ => {}
        }
    }
    respond(id, json!({"batchItemFailures": failures}).to_string().as_bytes())
}

fn single(id: &str, event: &Value, request: &Answer, count: u64, ballast: &mut Vec<u8>) -> Result<()> {
    // An HTTP request carries its command in its body.
    let of_body = event.get("body").and_then(Value::as_str).and_then(|body| serde_json::from_str(body).ok());
    let command: Value = of_body.unwrap_or_else(|| event.clone());
    pause(&command);
    let number = |name: &str| command[name].as_u64().unwrap_or_default();
    match command["do"].as_str().unwrap_or_default() {
        "error" => fail(id),
        "exit" => process::exit(i32::try_from(number("code"))?),
        "abort" => process::abort(),
        "exit-after" => {
            respond(id, b"{}")?;
            process::exit(0)
        }
        "answer" => respond(id, command["value"].to_string().as_bytes()),
        "raw" => respond(id, command["text"].as_str().unwrap_or_default().as_bytes()),
        "large" => respond(id, &vec![b' '; usize::try_from(number("bytes"))?]),
        "allocate" => {
            ballast.resize(usize::try_from(number("mib"))? * 1024 * 1024, 1);
            respond(id, json!({"held": ballast.len()}).to_string().as_bytes())
        }
        "child" => {
            let child = process::Command::new("sleep").arg("1000").spawn()?;
            respond(id, json!({"child": child.id()}).to_string().as_bytes())
        }
        "chunked" => chunked(id, true),
        "cut" => chunked(id, false),
        "wrong-id" => {
            let answer = call("POST", "invocation/another/response", b"{}")?;
            respond(id, json!({"status": answer.status}).to_string().as_bytes())
        }
        "next-again" => {
            let answer = call("GET", "invocation/next", b"")?;
            respond(id, json!({"status": answer.status}).to_string().as_bytes())
        }
        "calls" => {
            let endpoint = env::var("AWS_ENDPOINT_URL")?;
            let host = endpoint.strip_prefix("http://").context("endpoint is not http://")?;
            for n in 1..=number("n") {
                http(host, "GET", &format!("/count/{n}"), b"")?;
            }
            respond(id, b"{}")
        }
        _ => {
            let variables: serde_json::Map<String, Value> =
                env::vars().map(|(name, value)| (name, json!(value))).collect();
            let answer = json!({
                "event": event, "pid": process::id(), "count": count, "env": variables,
                "cwd": env::current_dir()?, "deadline": request.header("lambda-runtime-deadline-ms"),
                "arn": request.header("lambda-runtime-invoked-function-arn"),
                "trace": request.header("lambda-runtime-trace-id"),
            });
            respond(id, answer.to_string().as_bytes())
        }
    }
}

/// `ms`: how long to work first.
fn pause(command: &Value) {
    std::thread::sleep(Duration::from_millis(command["ms"].as_u64().unwrap_or_default()));
}

fn respond(id: &str, body: &[u8]) -> Result<()> {
    call("POST", &format!("invocation/{id}/response"), body).map(drop)
}

fn fail(id: &str) -> Result<()> {
    let body = br#"{"errorType":"Echo.Error","errorMessage":"as asked"}"#;
    call("POST", &format!("invocation/{id}/error"), body).map(drop)
}

/// A response in two chunks; `whole` or broken off after the first.
fn chunked(id: &str, whole: bool) -> Result<()> {
    let host = api()?;
    let mut stream = TcpStream::connect(&host)?;
    write!(
        stream,
        "POST /2018-06-01/runtime/invocation/{id}/response HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\
         Connection: close\r\n\r\n6\r\n{{\"a\": \r\n"
    )?;
    if whole {
        write!(stream, "2\r\n1}}\r\n0\r\n\r\n")?;
        Answer::read(stream)?;
    }
    Ok(())
}

fn api() -> Result<String> {
    env::var("AWS_LAMBDA_RUNTIME_API").context("no AWS_LAMBDA_RUNTIME_API")
}

fn call(method: &str, path: &str, body: &[u8]) -> Result<Answer> {
    http(&api()?, method, &format!("/2018-06-01/runtime/{path}"), body)
}

fn http(host: &str, method: &str, path: &str, body: &[u8]) -> Result<Answer> {
    let mut stream = TcpStream::connect(host)?;
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    )?;
    stream.write_all(body)?;
    Answer::read(stream)
}

/// An HTTP answer.
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    /// Reads one that ends with its connection.
    fn read(mut stream: TcpStream) -> Result<Self> {
        let mut all = Vec::new();
        stream.read_to_end(&mut all)?;
        let Some(end) = all.windows(4).position(|window| window == b"\r\n\r\n") else { bail!("no HTTP answer") };
        let head = String::from_utf8_lossy(&all[..end]).into_owned();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).context("no status")?;
        Ok(Self { status, head, body: all[end + 4..].to_vec() })
    }

    fn header(&self, name: &str) -> Option<String> {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        lines.into_iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned())
    }
}
