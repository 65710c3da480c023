//! The way to AWS: proxies and trusted certificates. A TLS server on this machine is the AWS that is asked.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test's helpers fail the test")]

use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_credential_types::Credentials;
use dayfly_agent::aws::imds::Imds;
use dayfly_agent::aws::{Network, connect_through};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

fn data(name: &str) -> String {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name).display().to_string()
}

/// A queue by HTTPS on `localhost`. Answers its port.
async fn queue() -> u16 {
    let certificate = CertificateDer::from_pem_file(data("server.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(data("server.key")).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    // By name, as the certificate has it, which may be either address.
    let listener = TcpListener::bind("localhost:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                // A client that does not trust us hangs up here.
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let head = head(&mut stream).await;
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
                let mut body = vec![0; length.parse().unwrap()];
                stream.read_exact(&mut body).await.unwrap();
                let answer = r#"{"MessageId": "1", "MD5OfMessageBody": "00"}"#;
                let answer = format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: application/x-amz-json-1.0\r\ncontent-length: {}\r\n\
                     connection: close\r\n\r\n{answer}",
                    answer.len()
                );
                stream.write_all(answer.as_bytes()).await.unwrap();
                let _gone = stream.shutdown().await;
            });
        }
    });
    port
}

/// A request's head, in small letters.
async fn head(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut text = Vec::new();
    while !text.ends_with(b"\r\n\r\n") {
        text.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(text).unwrap().to_lowercase()
}

/// A proxy that knows CONNECT and no more.
struct Proxy {
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let proxy = Self { port, asked: Arc::clone(&asked) };
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let asked = Arc::clone(&asked);
                tokio::spawn(async move {
                    let head = head(&mut stream).await;
                    let target = head.split_whitespace().nth(1).unwrap().to_owned();
                    asked.lock().unwrap().push(head);
                    let mut other = TcpStream::connect(target).await.unwrap();
                    stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.unwrap();
                    let _ended = copy_bidirectional(&mut stream, &mut other).await;
                });
            }
        });
        proxy
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

/// Sends a message to the queue at `port`, as the agent does in an environment of `vars`.
async fn send(port: u16, vars: &[(&str, &str)]) -> Result<(), String> {
    let (network, problems) = Network::read(vars.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    assert!(problems.0.is_empty(), "{problems}");
    let credentials = Credentials::new("key", "secret", None, None, "test");
    let sdk = connect_through(&network, "eu-west-1".to_owned(), Imds::new().credentials(), Some(credentials)).await;
    let url = format!("https://localhost:{port}");
    let config = aws_sdk_sqs::config::Builder::from(&sdk).endpoint_url(&url).build();
    let call = aws_sdk_sqs::Client::from_conf(config).send_message().queue_url(&url).message_body("hello").send();
    match tokio::time::timeout(Duration::from_secs(30), call).await.expect("an end in time") {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("{error:?}")),
    }
}

#[tokio::test]
async fn a_bundle_makes_its_servers_trusted_and_no_others() {
    let port = queue().await;
    for name in ["AWS_CA_BUNDLE", "SSL_CERT_FILE"] {
        assert_eq!(send(port, &[(name, &data("ca.pem"))]).await, Ok(()), "{name}");
        let error = send(port, &[(name, &data("other-ca.pem"))]).await.unwrap_err();
        assert!(error.contains("UnknownIssuer"), "{error}");
    }
    let both = [("AWS_CA_BUNDLE", &*data("ca.pem")), ("SSL_CERT_FILE", &*data("other-ca.pem"))];
    assert_eq!(send(port, &both).await, Ok(()));
}

#[tokio::test]
async fn a_proxy_is_asked_where_one_is_named() {
    let (port, proxy) = (queue().await, Proxy::start().await);
    let url = format!("http://me:p%40ss@127.0.0.1:{}", proxy.port);
    assert_eq!(send(port, &[("HTTPS_PROXY", &url), ("AWS_CA_BUNDLE", &data("ca.pem"))]).await, Ok(()));
    let asked = proxy.asked();
    assert!(asked[0].starts_with(&format!("connect localhost:{port} http/1.1\r\n")), "{asked:?}");
    // `me:p@ss`
    assert!(asked[0].contains(&"proxy-authorization: Basic bWU6cEBzcw==".to_lowercase()), "{asked:?}");
}

#[tokio::test]
async fn hosts_that_need_no_proxy_are_asked_straight() {
    let (port, proxy) = (queue().await, Proxy::start().await);
    let url = format!("127.0.0.1:{}", proxy.port);
    let ca = data("ca.pem");
    let send =
        async |no_proxy| send(port, &[("https_proxy", &*url), ("NO_PROXY", no_proxy), ("AWS_CA_BUNDLE", &*ca)]).await;
    assert_eq!(send(".amazonaws.com,localhost").await, Ok(()));
    assert_eq!(proxy.asked().len(), 0);
    assert_eq!(send(".amazonaws.com").await, Ok(()));
    assert_eq!(proxy.asked().len(), 1);
}

#[tokio::test]
async fn a_proxy_that_is_not_there_is_no_way() {
    let port = queue().await;
    let vars = [("HTTPS_PROXY", "http://127.0.0.1:9"), ("AWS_CA_BUNDLE", &*data("ca.pem"))];
    assert!(send(port, &vars).await.is_err());
}

/// The agent itself, as the environment is the whole process's.
#[tokio::test]
async fn the_metadata_service_is_asked_without_a_proxy() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let mut agent = Command::new(env!("CARGO_BIN_EXE_dayfly-agent"));
    agent.env_clear().env("AWS_EC2_METADATA_SERVICE_ENDPOINT", url).env("DAYFLY_STATE_DIR", folder.path());
    agent.env("DAYFLY_METADATA_SECONDS", "20").env("DAYFLY_ENDING", "terminate").stdout(std::process::Stdio::null());
    for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        agent.env(name, "http://127.0.0.1:9");
    }
    let mut agent = agent.spawn().unwrap();
    let asked = tokio::time::timeout(Duration::from_secs(20), async {
        let (mut stream, _) = listener.accept().await.unwrap();
        head(&mut stream).await
    });
    let asked = asked.await;
    agent.kill().unwrap();
    agent.wait().unwrap();
    assert!(asked.expect("asked in time").starts_with("put /latest/api/token http/1.1\r\n"));
}
