//! An EventBridge bus.

use aws_sdk_eventbridge::{Client, types::PutEventsRequestEntry};

use super::{Bus, BusError, SOURCE};
use crate::report::BoxError;

/// A bus of EventBridge.
#[derive(Clone, Debug)]
pub struct EventBridge {
    client: Client,
    bus: String,
}

impl EventBridge {
    /// The bus with the name or ARN `bus`.
    #[must_use]
    pub fn new(client: Client, bus: impl Into<String>) -> Self {
        Self { client, bus: bus.into() }
    }
}

impl Bus for EventBridge {
    async fn put_all(&self, events: &[(String, String)]) -> Result<usize, BusError> {
        let entry = |(kind, detail): &(String, String)| {
            PutEventsRequestEntry::builder()
                .event_bus_name(&self.bus)
                .source(SOURCE)
                .detail_type(kind)
                .detail(detail)
                .build()
        };
        let entries: Vec<PutEventsRequestEntry> = events.iter().map(entry).collect();
        let failed = |source: BoxError| BusError { detail_type: format!("batch of {}", events.len()), source };
        let sent = self.client.put_events().set_entries(Some(entries)).send().await;
        let answer = sent.map_err(|error| failed(error.into()))?;
        Ok(usize::try_from(answer.failed_entry_count()).unwrap_or(0))
    }

    async fn put(&self, detail_type: &str, detail: String) -> Result<(), BusError> {
        let failed = |source: BoxError| BusError { detail_type: detail_type.to_owned(), source };
        let entry = PutEventsRequestEntry::builder()
            .event_bus_name(&self.bus)
            .source(SOURCE)
            .detail_type(detail_type)
            .detail(detail)
            .build();
        let answer = self.client.put_events().entries(entry).send().await.map_err(|error| failed(error.into()))?;
        if answer.failed_entry_count() == 0 {
            return Ok(());
        }
        // An entry that is refused does not fail the call.
        let entry = answer.entries().iter().find(|entry| entry.error_code().is_some());
        let code = entry.and_then(|entry| entry.error_code()).unwrap_or("refused");
        let message = entry.and_then(|entry| entry.error_message()).unwrap_or_default();
        Err(failed(format!("{code}: {message}").into()))
    }
}

#[cfg(test)]
mod tests {
    //! The client against an HTTP server that answers as EventBridge does.

    use std::sync::{Arc, Mutex};

    use aws_sdk_eventbridge::config::{BehaviorVersion, Config, Credentials, Region};
    use serde_json::{Value, json};

    use super::{Bus, Client, EventBridge};
    use crate::report::Chain;

    /// What comes of one event when EventBridge answers so, and what it was sent.
    async fn put(status: u16, answer: Value) -> (Result<(), String>, Value) {
        let seen = Arc::new(Mutex::new(Value::Null));
        let note = Arc::clone(&seen);
        let serve = async move |body: axum::body::Bytes| {
            *note.lock().unwrap() = serde_json::from_slice(&body).unwrap();
            (http::StatusCode::from_u16(status).unwrap(), answer.to_string())
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, axum::Router::new().fallback(serve)).await.unwrap() });
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .endpoint_url(url)
            .region(Region::new("eu-west-1"))
            .credentials_provider(Credentials::new("test", "test", None, None, "test"))
            .build();
        let bus = EventBridge::new(Client::from_conf(config), "own-rules");
        let done = bus.put("workflow_job", r#"{"action":"queued"}"#.to_owned()).await;
        let sent = seen.lock().unwrap().clone();
        (done.map_err(|error| Chain(&error).to_string()), sent)
    }

    #[tokio::test]
    async fn an_event_says_whose_and_what_it_is() {
        let (done, sent) = put(200, json!({"FailedEntryCount": 0, "Entries": [{"EventId": "1"}]})).await;
        assert_eq!(done, Ok(()));
        let expected = json!({"Entries": [{
            "EventBusName": "own-rules", "Source": "dayfly", "DetailType": "workflow_job",
            "Detail": "{\"action\":\"queued\"}",
        }]});
        assert_eq!(sent, expected);
    }

    #[tokio::test]
    async fn an_entry_that_is_refused_is_an_error_though_the_call_is_none() {
        let entry = json!({"ErrorCode": "ThrottlingException", "ErrorMessage": "slower"});
        let (done, _) = put(200, json!({"FailedEntryCount": 1, "Entries": [entry]})).await;
        let expected = "putting a workflow_job event on the bus: ThrottlingException: slower";
        assert_eq!(done, Err(expected.to_owned()));
        let (done, _) = put(400, json!({"__type": "AccessDeniedException", "Message": "no"})).await;
        assert!(done.unwrap_err().contains("AccessDeniedException"));
    }
}
