//! The HTTP API's port: routes a request to its function and answers as API Gateway would.

use std::{
    net::SocketAddr,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use anyhow::{Context, Result};
use axum::{
    Router,
    extract::{ConnectInfo, Request, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use jiff::Timestamp;
use tokio::{net::TcpListener, time::timeout};
use tracing::warn;
use uuid::Uuid;

use crate::{
    answer::Outcome,
    body::{NoBody, whole},
    functions::Functions,
    http_event,
    model::Api,
    routes::{self, Route},
    task::Task,
};

/// API Gateway's own payload limit for HTTP APIs.
const BODY_LIMIT: usize = 10 * 1024 * 1024;

/// The server and what it serves.
#[derive(Debug)]
pub(crate) struct HttpApi {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    _server: Task,
}

#[derive(Debug)]
struct Shared {
    apis: RwLock<Arc<Vec<Api>>>,
    functions: Arc<Functions>,
    region: String,
}

impl HttpApi {
    /// Listens at `bind`, without any routes yet.
    pub(crate) async fn serve(bind: SocketAddr, functions: Arc<Functions>, region: String) -> Result<Self> {
        let listener = TcpListener::bind(bind).await.with_context(|| format!("listening at {bind}"))?;
        let address = listener.local_addr().context("asking for the HTTP API's port")?;
        let shared = Arc::new(Shared { apis: RwLock::default(), functions, region });
        let app = Router::new().fallback(answer).with_state(Arc::clone(&shared));
        let server = Task::spawn(async move {
            // It only ends with the task.
            let _ = axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).await;
        });
        Ok(Self { address, shared, _server: server })
    }

    /// Goes over to these APIs.
    pub(crate) fn set(&self, apis: Vec<Api>) {
        let mut current = self.shared.apis.write().unwrap_or_else(PoisonError::into_inner);
        *current = Arc::new(apis);
    }
}

async fn answer(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    let apis = Arc::clone(&shared.apis.read().unwrap_or_else(PoisonError::into_inner));
    let (parts, body) = request.into_parts();
    let (id, path) = named(&parts.headers, parts.uri.path());
    let Some((api, route, variables)) = find(&apis, id, parts.method.as_str(), path) else {
        return message(StatusCode::NOT_FOUND, "Not Found");
    };
    let body = match whole(body, BODY_LIMIT).await {
        Ok(body) => body,
        Err(NoBody::TooLong) => return message(StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large"),
        // Nobody is there to read this.
        Err(NoBody::Broken(_)) => return message(StatusCode::BAD_REQUEST, "Bad Request"),
    };
    let id = Uuid::new_v4().to_string();
    let event = http_event::event(&http_event::Request {
        api,
        account: &shared.functions.account(&route.function),
        region: &shared.region,
        route_key: &route.key.text,
        path_parameters: variables,
        method: &parts.method,
        path,
        query: parts.uri.query().unwrap_or_default(),
        headers: &parts.headers,
        body: &body,
        source: peer.ip(),
        id: &id,
        now: Timestamp::now(),
    });
    let mut response = invoke(&shared.functions, route, event.to_string().into_bytes()).await;
    if let Ok(id) = id.parse() {
        response.headers_mut().insert("apigw-requestid", id);
    }
    response
}

async fn invoke(functions: &Arc<Functions>, route: &Route, event: Vec<u8>) -> Response {
    let name = &route.function;
    let limit = route.timeout.min(functions.speed.integration_limit).max(Duration::from_millis(1));
    let answer = match timeout(limit, functions.invoke(name, event)).await {
        // The function runs on; only its caller goes away.
        Err(_) => return message(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable"),
        Ok(Err(error)) => {
            warn!(function.name = name, error = format!("{error:#}"), "Could not invoke function {name} for a request");
            return message(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error");
        }
        Ok(Ok(answer)) => answer,
    };
    match answer.outcome {
        Outcome::Success => match http_event::response(&answer.payload) {
            Some(response) => (response.status, response.headers, response.body).into_response(),
            None => message(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error"),
        },
        Outcome::FunctionError => message(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error"),
        Outcome::Throttled => message(StatusCode::TOO_MANY_REQUESTS, "Too Many Requests"),
        // The body was below API Gateway's limit, the event made of it is above Lambda's.
        Outcome::TooLarge => message(StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large"),
    }
}

type Found<'a> = (&'a Api, &'a Route, std::collections::BTreeMap<String, String>);

/// Names the API in the path, `/_api/<id>/…`, for who can't have `<id>.execute-api…` resolve to this host.
const BY_PATH: &str = "/_api/";

/// The API that a request names, by its path ([`BY_PATH`]) or by the host (`<id>.execute-api…`), and the path as that API sees it.
fn named<'a>(headers: &'a HeaderMap, path: &'a str) -> (Option<&'a str>, &'a str) {
    if let Some((id, _)) = path.strip_prefix(BY_PATH).and_then(|rest| rest.split_once('/')) {
        return (Some(id), &path[BY_PATH.len() + id.len()..]);
    }
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    (host.split_once(".execute-api.").map(|(id, _)| id), path)
}

/// All APIs share the port: the one that is named goes first, else the first that has a route. A stage other than `$default`
/// is the path's first segment.
fn find<'a>(apis: &'a [Api], id: Option<&str>, method: &str, path: &str) -> Option<Found<'a>> {
    let named = |api: &&Api| id == Some(&api.id);
    let mut in_order = apis.iter().filter(named).chain(apis.iter().filter(|api| !named(api)));
    in_order.find_map(|api| {
        let path = if api.stage == "$default" {
            path
        } else {
            path.strip_prefix('/')?.strip_prefix(&api.stage).filter(|rest| rest.is_empty() || rest.starts_with('/'))?
        };
        let (route, variables) = routes::find(&api.routes, method, path)?;
        Some((api, route, variables))
    })
}

fn message(status: StatusCode, text: &str) -> Response {
    (status, axum::Json(serde_json::json!({"message": text}))).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routes::RouteKey;

    fn api(id: &str, stage: &str, key: &str) -> Api {
        let route =
            Route { key: RouteKey::parse(key).unwrap(), function: id.to_owned(), timeout: Duration::from_secs(30) };
        Api {
            id: id.to_owned(),
            stage: stage.to_owned(),
            stage_variables: std::collections::BTreeMap::default(),
            routes: vec![route],
        }
    }

    #[test]
    fn hosts_and_stages_choose_the_api() {
        let apis = [api("a", "$default", "POST /x"), api("b", "$default", "POST /x"), api("c", "prod", "ANY /y")];
        let found = |host: &str, path: &str| {
            let headers = HeaderMap::from_iter([(header::HOST, host.parse().unwrap())]);
            let (id, path) = named(&headers, path);
            find(&apis, id, "POST", path).map(|(api, _, _)| api.id.as_str())
        };
        assert_eq!(found("127.0.0.1:80", "/x"), Some("a"));
        assert_eq!(found("b.execute-api.eu-west-1.amazonaws.com", "/x"), Some("b"));
        assert_eq!(found("127.0.0.1:80", "/_api/b/x"), Some("b"));
        assert_eq!(found("127.0.0.1:80", "/_api/c/prod/y"), Some("c"));
        assert_eq!(found("127.0.0.1", "/prod/y"), Some("c"));
        assert_eq!(found("127.0.0.1", "/y"), None);
        assert_eq!(found("127.0.0.1", "/production/y"), None);
    }
}
