//! Sockets and HTTP around `answer`.
//!
//! The hop limit is the IP time-to-live of the packets that carry a token, as at EC2: from behind a router, such as a
//! container's bridge, a limit of 1 lets the answer die on its way.

use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::serve::{IncomingStream, Listener};
use jiff::Timestamp;
use tokio::net::{TcpListener, TcpStream};
use tracing::{debug, warn};

use super::answer::{Ask, Reply, answer};
use super::{Imds, Request};

const TOKEN: &str = "x-aws-ec2-metadata-token";
const TOKEN_TTL: &str = "x-aws-ec2-metadata-token-ttl-seconds";
/// The time-to-live of ordinary packets on Linux.
const USUAL_HOPS: u32 = 64;

#[derive(Clone)]
struct Served {
    imds: Imds,
    /// The one instance that this listener serves; else the source address tells.
    only: Option<String>,
}

/// Serves until the task is aborted.
pub(super) async fn serve(imds: Imds, listener: TcpListener, only: Option<String>) {
    let app = Router::new().fallback(handle).with_state(Served { imds, only });
    let service = app.into_make_service_with_connect_info::<Peer>();
    if let Err(error) = axum::serve(HopListener(listener), service).await {
        warn!(%error, "The metadata service ended");
    }
}

async fn handle(
    State(served): State<Served>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let path = uri.path_and_query().map_or_else(|| uri.path().to_owned(), ToString::to_string);
    let ask = Ask {
        method: method.to_string(),
        path,
        token: text(TOKEN),
        ttl: text(TOKEN_TTL),
        forwarded: headers.contains_key("x-forwarded-for"),
    };
    // A further request on this connection proves that an earlier answer with few hops has arrived; until then the limit
    // has to stay, or a retransmission would slip through.
    peer.set_hops(USUAL_HOPS);
    let (reply, delay) = served.answer(&peer, &ask, Timestamp::now());
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    if let Some(hops) = reply.hops {
        peer.set_hops(hops);
    }
    respond(reply)
}

impl Served {
    fn answer(&self, peer: &Peer, ask: &Ask, now: Timestamp) -> (Reply, Duration) {
        let new_token = format!("{}==", hex::encode(rand::random::<[u8; 24]>()));
        let mut shared = self.imds.lock();
        let id = match &self.only {
            Some(id) => id.clone(),
            None => shared.by_address.get(&peer.address.ip()).cloned().unwrap_or_default(),
        };
        let reply = answer(&mut shared, &id, ask, &new_token, now);
        debug!(instance.id = %id, path = %ask.path, status = reply.status, "{} of metadata", ask.method);
        let Some(entry) = shared.instances.get_mut(&id) else { return (reply, Duration::ZERO) };
        let (method, path) = (ask.method.clone(), ask.path.clone());
        entry.log.push(Request { at: now, method, path, status: reply.status });
        (reply, entry.delay)
    }
}

fn respond(reply: Reply) -> Response {
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, reply.body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(reply.content_type));
    headers.insert(header::SERVER, HeaderValue::from_static("EC2ws"));
    if let Some(ttl) = reply.token_ttl {
        headers.insert(TOKEN_TTL, HeaderValue::from(ttl));
    }
    response
}

/// Who is at the other end, and a second handle on the socket to set its time-to-live by.
#[derive(Clone, Debug)]
struct Peer {
    address: SocketAddr,
    socket: Option<Arc<std::net::TcpStream>>,
}

impl Peer {
    fn set_hops(&self, hops: u32) {
        if let Some(socket) = &self.socket
            && let Err(error) = socket.set_ttl(hops)
        {
            warn!(%error, "Cannot limit the hops of a metadata answer");
        }
    }
}

impl Connected<IncomingStream<'_, HopListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, HopListener>) -> Self {
        stream.remote_addr().clone()
    }
}

/// A TCP listener whose connections come with a second handle.
struct HopListener(TcpListener);

impl Listener for HopListener {
    type Io = TcpStream;
    type Addr = Peer;

    async fn accept(&mut self) -> (TcpStream, Peer) {
        let (stream, address) = Listener::accept(&mut self.0).await;
        // The copy shares the socket, hence its options.
        let socket = stream.as_fd().try_clone_to_owned().ok().map(|fd| Arc::new(std::net::TcpStream::from(fd)));
        (stream, Peer { address, socket })
    }

    fn local_addr(&self) -> std::io::Result<Peer> {
        Ok(Peer { address: self.0.local_addr()?, socket: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::tests::facts;

    const ID: &str = "i-0123456789abcdef0";

    #[tokio::test]
    async fn a_port_serves_its_instance_until_that_is_removed() {
        let imds = Imds::new("123456789012");
        assert!(imds.listen_for(ID).await.is_err(), "nobody to listen for yet");
        imds.put(facts(ID), None);
        let url = format!("http://{}/latest", imds.listen_for(ID).await.expect("a port"));
        let http = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).build().expect("a client");
        let token = || http.put(format!("{url}/api/token")).header(TOKEN_TTL, "60");

        let answer = token().send().await.expect("an answer");
        assert_eq!(answer.headers()[TOKEN_TTL], "60");
        let text = answer.text().await.expect("a token");
        let id = http.get(format!("{url}/meta-data/instance-id")).header(TOKEN, &text).send().await.expect("an answer");
        assert_eq!(id.text().await.expect("an id"), ID);
        let refused = token().header("X-Forwarded-For", "10.0.0.1").send().await.expect("an answer");
        assert_eq!(refused.status(), 403);

        let late = Duration::from_millis(150);
        imds.delay(ID, late).expect("a known instance");
        let start = std::time::Instant::now();
        token().send().await.expect("an answer");
        assert!(start.elapsed() >= late);

        let statuses: Vec<u16> = imds.requests(ID).iter().map(|request| request.status).collect();
        assert_eq!(statuses, [200, 200, 403, 200]);
        imds.remove(ID);
        let limit = std::time::Instant::now() + Duration::from_secs(5);
        while token().send().await.is_ok() {
            assert!(std::time::Instant::now() < limit, "the port still answers");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
