//! A server with a certificate of a CA of one's own, as a GHES has one.

use std::{path::PathBuf, sync::Arc};

use rustls::ServerConfig;
use rustls_pki_types::PrivateKeyDer;
use secrecy::SecretString;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::mpsc,
};
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::{
    clock::SystemClock,
    github::{
        rest::{Ask, Failed, PATIENCE, Rest},
        usage::Whose,
    },
    report::Chain,
};

/// The certificates that the agent is tried with: agent/tests/data/README.md.
fn data(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../agent/tests/data").join(name)
}

pub(in crate::github) fn pem(name: &str) -> String {
    std::fs::read_to_string(data(name)).unwrap()
}

/// A server at `localhost` that answers everything with an empty object; its API's URL, and the heads of what it was
/// asked.
pub(in crate::github) async fn ghes() -> (String, mpsc::UnboundedReceiver<String>) {
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
    let url = format!("https://localhost:{}/api/v3", listener.local_addr().unwrap().port());
    let (asked, heads) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            // A client that does not trust us hangs up here.
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            asked.send(String::from_utf8(head).unwrap().to_lowercase()).unwrap();
            let answer = "HTTP/1.1 200 OK\r\ndate: Tue, 14 Nov 2023 22:13:20 GMT\r\ncontent-length: 2\r\n\
                          connection: close\r\n\r\n{}";
            stream.write_all(answer.as_bytes()).await.unwrap();
            let _gone = stream.shutdown().await;
        }
    });
    (url, heads)
}

async fn ask(url: &str, authorities: &Authorities) -> Result<(), String> {
    let rest = Rest::new(url, authorities, SystemClock).map_err(|error| Chain(&error).to_string())?;
    let answer = rest.send(&SecretString::from("ghs_1"), &Whose::Own, Ask::get("/orgs/octo-org")).await;
    match answer {
        Ok(_) => Ok(()),
        Err(Failed::Unreached(why)) => Err(Chain(&*why).to_string()),
        Err(_) => Err("reached, but not as asked".to_owned()),
    }
}

#[tokio::test]
async fn a_server_is_believed_whose_certificate_is_of_a_ca_that_was_named() {
    let (url, mut heads) = ghes().await;
    let both = format!("{}{}", pem("other-ca.pem"), pem("ca.pem"));
    let flat = pem("ca.pem").replace('\n', "\\n");
    let indented = format!("\n  {}", pem("ca.pem").replace('\n', "\r\n  "));
    for text in [pem("ca.pem"), both, flat, indented] {
        assert_eq!(ask(&url, &text.parse().unwrap()).await, Ok(()), "{text}");
        let head = heads.recv().await.unwrap();
        assert!(head.starts_with("get /api/v3/orgs/octo-org http/1.1\r\n"), "{head}");
        assert!(head.contains("\r\nauthorization: bearer ghs_1\r\n"), "{head}");
        assert!(head.contains("\r\nuser-agent: octocrab\r\n"), "{head}");
    }
}

#[tokio::test]
async fn no_other_server_is_believed_nor_told_anything() {
    let (url, mut heads) = ghes().await;
    for authorities in [pem("other-ca.pem").parse().unwrap(), Authorities::default()] {
        let why = ask(&url, &authorities).await.unwrap_err();
        assert!(why.contains("invalid peer certificate: UnknownIssuer"), "{why}");
    }
    assert!(heads.try_recv().is_err());
}

#[tokio::test]
async fn a_server_that_never_greets_is_given_up() {
    let listener = TcpListener::bind("localhost:0").await.unwrap();
    let url = format!("https://localhost:{}/api/v3", listener.local_addr().unwrap().port());
    let ours: Authorities = pem("ca.pem").parse().unwrap();
    let octocrab = ours.client(&url, Duration::from_millis(50)).unwrap();
    let asked = tokio::time::timeout(PATIENCE, octocrab._get("/")).await.expect("it waits for TLS");
    assert!(asked.is_err());
}

#[test]
fn what_is_no_certificate_is_refused_and_not_told() {
    let begun = pem("ca.pem").replace("-----END CERTIFICATE-----", "");
    let within = pem("ca.pem").replacen("MII", "AAA", 1);
    let with_key = format!("{}{}", pem("ca.pem"), pem("server.key"));
    let other_kind = format!("{}{}", pem("ca.pem"), pem("other-ca.pem").replace("CERTIFICATE", "TRUSTED CERTIFICATE"));
    for text in ["", "hunter2", &begun, &within, &pem("server.key"), &with_key, &other_kind] {
        let error = text.parse::<Authorities>().unwrap_err();
        assert_eq!(error.to_string(), "not certificates, each as PEM", "{text}");
    }
}
