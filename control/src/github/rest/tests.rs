//! How long GitHub is waited for. Time that passes is what is tested, so these tests let it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use secrecy::SecretString;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};

use super::{Ask, Authorities, Failed, Rest, Whose};
use crate::clock::SystemClock;

/// A server that does this with each connection, and how many connections there were.
async fn server<F: Future<Output = ()> + Send + 'static>(
    serve: impl Fn(TcpStream) -> F + Send + 'static,
) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let connections = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&connections);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            counter.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(serve(stream));
        }
    });
    (url, connections)
}

/// Reads a request without a body.
async fn request(stream: &mut TcpStream) -> Option<()> {
    let mut read = Vec::new();
    while !read.ends_with(b"\r\n\r\n") {
        read.push(stream.read_u8().await.ok()?);
    }
    Some(())
}

fn rest(url: &str, patience: Duration) -> Rest<SystemClock> {
    Rest { patience, ..Rest::new(url, &Authorities::default(), SystemClock).unwrap() }
}

async fn ask(rest: &Rest<SystemClock>) -> Result<(), Failed> {
    rest.send(&SecretString::from("a-token"), &Whose::Own, Ask::get("/repos/o/r")).await.map(drop)
}

#[tokio::test]
async fn an_answer_that_drips_is_given_up() {
    let (url, _) = server(async |mut stream| {
        if request(&mut stream).await.is_some() {
            let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
            let mut sent = stream.write_all(head.as_bytes()).await;
            // Never silent for long, and never done.
            while sent.is_ok() {
                sleep(Duration::from_millis(10)).await;
                sent = stream.write_all(b"1\r\n \r\n").await;
            }
        }
    })
    .await;
    let rest = rest(&url, Duration::from_millis(200));
    let answer = timeout(Duration::from_secs(20), ask(&rest)).await.expect("it is given up");
    let Err(Failed::Unreached(error)) = answer else { panic!("no whole answer is none") };
    assert_eq!(error.to_string(), "no whole answer within 200 ms");
}

#[tokio::test]
async fn a_connection_that_was_idle_is_as_good_as_new() {
    // Idle and answer together are longer than the patience, each is shorter; and one idle time alone is longer.
    let (patience, idle, thinking) = (Duration::from_secs(7), [5500, 8000], Duration::from_millis(1900));
    let (url, connections) = server(move |mut stream| async move {
        let mut first = true;
        while request(&mut stream).await.is_some() {
            if !first {
                sleep(thinking).await;
            }
            first = false;
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await.unwrap();
        }
    })
    .await;
    let rest = rest(&url, patience);
    assert!(ask(&rest).await.is_ok());
    for idle in idle {
        sleep(Duration::from_millis(idle)).await;
        assert!(ask(&rest).await.is_ok(), "after {idle} ms");
    }
    assert_eq!(connections.load(Ordering::Relaxed), 1, "it was used again");
}
