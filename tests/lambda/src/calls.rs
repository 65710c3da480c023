//! A stand-in for AWS's endpoint that counts one process's calls and strikes at the n-th.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use anyhow::{Context, Result};
use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use tokio::{net::TcpListener, sync::Notify};

use crate::task::Task;

/// Bodies go through memory; the product's are small.
const BODY_LIMIT: usize = 64 * 1024 * 1024;

/// The server. It ends when dropped.
#[derive(Debug)]
pub(crate) struct CountedCalls {
    address: SocketAddr,
    /// Told when the n-th call has been carried out; its answer is then held back.
    pub(crate) struck: Arc<Notify>,
    _server: Task,
}

struct Counter {
    http: reqwest::Client,
    endpoint: String,
    strike_at: u32,
    calls: AtomicU32,
    struck: Arc<Notify>,
}

impl CountedCalls {
    /// Passes calls on to `endpoint`, and strikes at call number `strike_at`.
    pub(crate) async fn serve(endpoint: &str, strike_at: u32) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.context("listening for a function's AWS calls")?;
        let address = listener.local_addr().context("asking for the port")?;
        let struck = Arc::new(Notify::new());
        let counter = Arc::new(Counter {
            http: reqwest::Client::builder().no_proxy().build().context("building the HTTP client")?,
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            strike_at,
            calls: AtomicU32::new(0),
            struck: Arc::clone(&struck),
        });
        let routes = Router::new().fallback(pass).with_state(counter);
        let server = Task::spawn(async move {
            // It only ends with the task.
            let _ = axum::serve(listener, routes).await;
        });
        Ok(Self { address, struck, _server: server })
    }

    /// For `AWS_ENDPOINT_URL`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

async fn pass(State(counter): State<Arc<Counter>>, request: Request) -> Response {
    let answer = counter.forward(request).await;
    if counter.calls.fetch_add(1, Ordering::Relaxed) + 1 == counter.strike_at {
        counter.struck.notify_one();
        // The process is killed while it waits for this.
        std::future::pending::<()>().await;
    }
    answer.unwrap_or_else(|error| (StatusCode::BAD_GATEWAY, format!("{error:#}")).into_response())
}

impl Counter {
    async fn forward(&self, request: Request) -> Result<Response> {
        let (parts, body) = request.into_parts();
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        let body = to_bytes(body, BODY_LIMIT).await.context("reading a call")?;
        let answer = self
            .http
            .request(parts.method, format!("{}{path}", self.endpoint))
            .headers(passed_on(parts.headers))
            .body(body)
            .send()
            .await
            .context("passing a call on")?;
        let mut response = Response::builder().status(answer.status());
        if let Some(headers) = response.headers_mut() {
            *headers = passed_on(answer.headers().clone());
        }
        let body = answer.bytes().await.context("reading an answer")?;
        response.body(Body::from(body)).context("passing an answer back")
    }
}

/// Headers without those that speak of one connection.
fn passed_on(mut headers: HeaderMap) -> HeaderMap {
    for name in [header::HOST, header::CONNECTION, header::TRANSFER_ENCODING, header::CONTENT_LENGTH, header::EXPECT] {
        headers.remove(name);
    }
    headers
}
