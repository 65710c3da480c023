//! Calls to services of AWS whose whole SDK would be megabytes for a question or two: Lambda, API Gateway, IAM, Service
//! Quotas. They are signed by the SDK's own signer and go by its HTTP client, so that TLS, proxies, credentials and
//! `AWS_ENDPOINT_URL` are as for all others. And calls to anybody, unsigned: how a webhook's address answers, and what time
//! a service has.

use std::{
    convert::Infallible,
    time::{Duration, UNIX_EPOCH},
};

use aws_config::SdkConfig;
use aws_credential_types::provider::ProvideCredentials;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};
use aws_smithy_runtime::client::orchestrator::operation::Operation;
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::{body::SdkBody, timeout::TimeoutConfig};

use crate::{
    clock::{Clock, Millis, SystemClock},
    report::{BoxError, Failure},
};

/// How long a call may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a service answered, whatever that is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// Its time, by the `Date` header.
    pub date: Option<Millis>,
    /// The body.
    pub body: String,
}

impl Answer {
    /// Whether the call was refused for want of a permission.
    #[must_use]
    pub fn is_denied(&self) -> bool {
        // IAM answers 403 too; so does a wrong signature, of which nothing else tells apart.
        matches!(self.status, 401 | 403) || self.body.contains("AccessDenied")
    }

    /// Whether it is a success.
    #[must_use]
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// Nobody answered.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct CallError(#[from] pub Failure);

/// A request.
#[derive(Clone, Debug)]
pub struct Call {
    method: &'static str,
    url: String,
    headers: Vec<(&'static str, String)>,
    body: String,
}

impl Call {
    /// A `GET` of `url`.
    pub fn get(url: impl Into<String>) -> Self {
        Self { method: "GET", url: url.into(), headers: Vec::new(), body: String::new() }
    }

    /// A `POST` of `body` to `url`.
    pub fn post(url: impl Into<String>, body: impl Into<String>) -> Self {
        Self { method: "POST", body: body.into(), ..Self::get(url) }
    }

    /// The same with a header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    fn request(&self) -> Result<http::Request<SdkBody>, http::Error> {
        let mut request = http::Request::builder().method(self.method).uri(&self.url);
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        request.body(SdkBody::from(self.body.as_str()))
    }
}

/// Who calls.
#[derive(Clone, Debug)]
pub struct Caller {
    sdk: SdkConfig,
    region: String,
}

impl Caller {
    /// By what the SDK was set up with.
    #[must_use]
    pub fn new(sdk: &SdkConfig) -> Self {
        let region = sdk.region().map_or_else(|| "us-east-1".to_owned(), ToString::to_string);
        Self { sdk: sdk.clone(), region }
    }

    /// The address of `service`, as its endpoint is called, or of whatever stands in for all of AWS.
    #[must_use]
    pub fn endpoint(&self, service: &str) -> String {
        if let Some(all) = self.sdk.endpoint_url() {
            return all.trim_end_matches('/').to_owned();
        }
        let suffix = if self.region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
        match service {
            // One for all regions of the partition.
            "iam" => format!("https://iam.{suffix}"),
            other => format!("https://{other}.{}.{suffix}", self.region),
        }
    }

    /// The region whose name a call to `service` is signed with.
    fn signing_region(&self, service: &str) -> String {
        match service {
            "iam" if self.region.starts_with("cn-") => "cn-north-1".to_owned(),
            "iam" if self.region.starts_with("us-gov-") => "us-gov-west-1".to_owned(),
            "iam" => "us-east-1".to_owned(),
            _ => self.region.clone(),
        }
    }

    /// What `service` answers to a signed call.
    pub async fn signed(&self, service: &'static str, call: &Call) -> Result<Answer, CallError> {
        let doing = || format!("asking {service}");
        let request = self.sign(service, call).await.map_err(|error| Failure::new(doing(), error))?;
        self.send(request).await.map_err(|error| CallError(Failure::new(doing(), error)))
    }

    /// What anybody answers to a call that is not signed.
    pub async fn plain(&self, call: &Call) -> Result<Answer, CallError> {
        // An address may hold a secret behind its question mark.
        let whom = call.url.split('?').next().unwrap_or_default();
        let doing = || format!("asking {whom}");
        let request = call.request().map_err(|error| Failure::new(doing(), error))?;
        self.send(request).await.map_err(|error| CallError(Failure::new(doing(), error)))
    }

    async fn sign(&self, service: &'static str, call: &Call) -> Result<http::Request<SdkBody>, BoxError> {
        let provider = self.sdk.credentials_provider().ok_or("there are no AWS credentials")?;
        let identity = provider.provide_credentials().await?.into();
        let region = self.signing_region(service);
        let time = UNIX_EPOCH + Duration::from_millis(SystemClock.now());
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&region)
            .name(service)
            .time(time)
            .settings(SigningSettings::default())
            .build()?
            .into();
        let headers = call.headers.iter().map(|(name, value)| (*name, value.as_str()));
        let signable =
            SignableRequest::new(call.method, &call.url, headers, SignableBody::Bytes(call.body.as_bytes()))?;
        let (instructions, _) = sign(signable, &params)?.into_parts();
        let mut request = call.request()?;
        instructions.apply_to_request_http1x(&mut request);
        Ok(request)
    }

    async fn send(&self, request: http::Request<SdkBody>) -> Result<Answer, BoxError> {
        let http = self.sdk.http_client().ok_or("there is no HTTP client")?;
        let uri = request.uri().clone();
        let base = format!("{}://{}", uri.scheme_str().unwrap_or("https"), uri.authority().ok_or("no host is named")?);
        let request = HttpRequest::try_from(request)?;
        let operation = Operation::builder()
            .service_name("doctor")
            .operation_name("call")
            .http_client(http)
            .endpoint_url(&base)
            .no_auth()
            .no_retry()
            .timeout_config(TimeoutConfig::disabled())
            .serializer(move |(): ()| request.try_clone().ok_or_else(|| "a body that is there twice".into()))
            .deserializer::<Answer, Infallible>(|response| Ok(read(response)))
            .build();
        let late = |_| format!("no whole answer within {} s", PATIENCE.as_secs());
        tokio::time::timeout(PATIENCE, operation.invoke(())).await.map_err(late)?.map_err(Into::into)
    }
}

fn read(response: &HttpResponse) -> Answer {
    let date = response.headers().get("date").and_then(http_date);
    let body = response.body().bytes().map(|bytes| String::from_utf8_lossy(bytes).into_owned()).unwrap_or_default();
    Answer { status: response.status().as_u16(), date, body }
}

/// A time such as `Sun, 06 Nov 1994 08:49:37 GMT`. <https://datatracker.ietf.org/doc/html/rfc9110#section-5.6.7>
fn http_date(text: &str) -> Option<Millis> {
    let at = jiff::fmt::rfc2822::parse(text).ok()?;
    u64::try_from(at.timestamp().as_millisecond()).ok()
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use aws_config::{BehaviorVersion, Region, SdkConfig};
    use aws_sdk_ssm::config::{Credentials, SharedCredentialsProvider};
    use axum::{
        extract::{Request, State},
        http::StatusCode,
    };

    use super::{Answer, Call, Caller, http_date};

    #[test]
    fn a_date_of_http_is_read() {
        assert_eq!(http_date("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777_000));
        assert_eq!(http_date("yesterday"), None);
    }

    #[test]
    fn each_service_has_its_address() {
        let in_region = |region: &'static str| {
            Caller::new(
                &SdkConfig::builder().behavior_version(BehaviorVersion::latest()).region(Region::new(region)).build(),
            )
        };
        let here = in_region("eu-west-1");
        assert_eq!(here.endpoint("lambda"), "https://lambda.eu-west-1.amazonaws.com");
        assert_eq!(
            (here.endpoint("iam").as_str(), here.signing_region("iam").as_str()),
            ("https://iam.amazonaws.com", "us-east-1")
        );
        let china = in_region("cn-north-1");
        assert_eq!(china.endpoint("lambda"), "https://lambda.cn-north-1.amazonaws.com.cn");
    }

    type Seen = Arc<Mutex<Vec<(String, Option<String>)>>>;

    async fn answer(State(seen): State<Seen>, request: Request) -> (StatusCode, &'static str) {
        let signature = request.headers().get("authorization").and_then(|it| it.to_str().ok()).map(str::to_owned);
        seen.lock().unwrap().push((format!("{} {}", request.method(), request.uri()), signature));
        (StatusCode::FORBIDDEN, "not you")
    }

    #[tokio::test]
    async fn a_call_is_signed_for_its_service_and_any_answer_is_one() {
        let seen = Seen::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let app = axum::Router::new().fallback(answer).with_state(Arc::clone(&seen));
        tokio::spawn(async move { axum::serve(listener, app).await });
        let sdk = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-west-1"))
            .endpoint_url(&url)
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .credentials_provider(SharedCredentialsProvider::new(Credentials::new(
                "AKID", "secret", None, None, "test",
            )))
            .build();
        let caller = Caller::new(&sdk);
        let call = Call::get(format!("{}/2015-03-31/functions/f/configuration", caller.endpoint("lambda")));
        let answered = caller.signed("lambda", &call).await.unwrap();
        assert_eq!((answered.status, answered.body.as_str(), answered.is_denied()), (403, "not you", true));
        assert!(answered.date.is_some());
        caller.plain(&Call::post(format!("{url}/webhook"), "{}").header("x-a", "b")).await.unwrap();
        let seen = seen.lock().unwrap().clone();
        assert_eq!(seen[0].0, "GET /2015-03-31/functions/f/configuration");
        let signature = seen[0].1.as_deref().unwrap();
        assert!(signature.contains("AKID/") && signature.contains("/eu-west-1/lambda/aws4_request"), "{signature}");
        assert_eq!(seen[1], ("POST /webhook".to_owned(), None));
        let nobody = caller.plain(&Call::get("http://127.0.0.1:9/x?secret=y")).await.unwrap_err();
        assert_eq!(nobody.to_string(), "asking http://127.0.0.1:9/x");
        assert!(!Answer::default().is_success());
    }
}
