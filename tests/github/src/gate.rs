//! What every request passes before its handler: it is counted, may meet a fault, shows who it is, and pays.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use crate::answer::Failure;
use crate::auth::Refused;
use crate::credentials::Grant;
use crate::faults::Fault;
use crate::limits::{Payer, Standing};
use crate::shared::Shared;

/// Who makes a request.
#[derive(Clone, Debug)]
pub(crate) enum Caller {
    /// Nobody in particular.
    Anonymous,
    /// The App, by a JWT.
    App,
    /// The App's installation, by a token.
    Installation(Grant),
}

impl Caller {
    fn payer(&self) -> Payer {
        match self {
            Self::Anonymous => Payer::Anonymous,
            Self::App => Payer::App,
            Self::Installation(grant) => Payer::Installation(grant.installation),
        }
    }
}

/// The gate of the REST API.
pub(crate) async fn api(State(shared): State<Arc<Shared>>, mut request: Request, next: Next) -> Response {
    let caller = identify(&shared, &request);
    let payer = caller.as_ref().map_or(Payer::Anonymous, Caller::payer);
    // Asking for the rate limit is free.
    let free = request.uri().path().ends_with("/rate_limit");
    let standing =
        shared.look(|world, now| if free { world.limits.look(&payer, now) } else { world.limits.take(&payer, now) });
    let response = if standing.exceeded {
        shared.look(|world, _| world.calls.note(request.method().as_str(), &route_of(&request)));
        exceeded(&payer)
    } else {
        match caller {
            Err(refusal) => {
                shared.look(|world, _| world.calls.note(request.method().as_str(), &route_of(&request)));
                refusal.into_response()
            }
            Ok(caller) => {
                request.extensions_mut().insert(caller);
                plain(State(shared.clone()), request, next).await
            }
        }
    };
    with_standing(dated(&shared, response), standing)
}

/// An answer tells the time by GitHub's clock, whatever that is set to.
fn dated(shared: &Shared, mut response: Response) -> Response {
    let now = shared.look(|_, now| now).strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    if let Ok(now) = HeaderValue::from_str(&now) {
        response.headers_mut().insert(header::DATE, now);
    }
    response
}

/// The gate of all else: counts and faults only.
pub(crate) async fn plain(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let (method, route) = (request.method().to_string(), route_of(&request));
    let fault = shared.look(|world, _| {
        world.calls.note(&method, &route);
        let roll = world.dice();
        world.faults.meet(&method, &route, || roll)
    });
    let Some(fault) = fault else { return next.run(request).await };
    if fault.after {
        let answer = next.run(request).await;
        return suffer(&fault).await.unwrap_or(answer);
    }
    match suffer(&fault).await {
        Some(answer) => answer,
        None => next.run(request).await,
    }
}

/// The route's pattern, the same with and without `/api/v3` before it.
fn route_of(request: &Request) -> String {
    let matched = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    matched.map_or("(unknown)", |path| path.strip_prefix("/api/v3").unwrap_or(path)).to_owned()
}

/// Waits as the fault says; the answer it gives, if any.
async fn suffer(fault: &Fault) -> Option<Response> {
    if fault.hang {
        std::future::pending::<()>().await;
    }
    tokio::time::sleep(Duration::from_millis(fault.delay_ms)).await;
    let status = StatusCode::from_u16(fault.status?).ok()?;
    let (body, kind) = match &fault.body {
        Value::Null => (String::new(), "text/plain"),
        Value::String(text) => (text.clone(), "text/plain"),
        json => (json.to_string(), "application/json; charset=utf-8"),
    };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    for (name, value) in &fault.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name.as_str()), HeaderValue::try_from(value.as_str())) {
            response.headers_mut().insert(name, value);
        }
    }
    Some(response)
}

fn identify(shared: &Shared, request: &Request) -> Result<Caller, Failure> {
    let Some(shown) = request.headers().get(header::AUTHORIZATION) else { return Ok(Caller::Anonymous) };
    let shown = shown.to_str().map_err(|_| Failure::bad_credentials())?;
    let (scheme, token) = shown.split_once(' ').ok_or_else(Failure::bad_credentials)?;
    if !(scheme.eq_ignore_ascii_case("bearer") || scheme.eq_ignore_ascii_case("token")) {
        return Err(Failure::bad_credentials());
    }
    let token = token.trim();
    if token.contains('.') {
        return jwt(shared, token).map(|()| Caller::App).map_err(|refused| {
            let status = if refused == Refused::Issuer { StatusCode::NOT_FOUND } else { StatusCode::UNAUTHORIZED };
            Failure::new(status, refused.to_string())
        });
    }
    let grant = shared.look(|world, now| world.credentials.grant(token, now));
    grant.map(Caller::Installation).ok_or_else(Failure::bad_credentials)
}

fn jwt(shared: &Shared, token: &str) -> Result<(), Refused> {
    shared.app.verify(token, shared.clock.now())?;
    let fresh = shared.look(|world, _| world.credentials.first_seen(token) || !world.quirks.refuse_repeated_jwt);
    if fresh { Ok(()) } else { Err(Refused::Repeated) }
}

fn exceeded(payer: &Payer) -> Response {
    let whose = match payer {
        Payer::Installation(id) => format!("installation ID {id}"),
        Payer::App => "the App".to_owned(),
        Payer::Anonymous => "your address".to_owned(),
    };
    Failure::new(StatusCode::FORBIDDEN, format!("API rate limit exceeded for {whose}.")).into_response()
}

/// Adds the rate-limit headers, unless a fault has set its own.
fn with_standing(mut response: Response, standing: Standing) -> Response {
    let fields = [
        ("x-ratelimit-limit", standing.limit.to_string()),
        ("x-ratelimit-remaining", standing.remaining().to_string()),
        ("x-ratelimit-used", standing.used.to_string()),
        ("x-ratelimit-reset", standing.reset.to_string()),
        ("x-ratelimit-resource", "core".to_owned()),
    ];
    let headers = response.headers_mut();
    for (name, value) in fields {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.entry(HeaderName::from_static(name)).or_insert(value);
        }
    }
    headers.entry(HeaderName::from_static("x-github-media-type")).or_insert(HeaderValue::from_static("github.v3"));
    response
}
