//! JSON lines on stdout, which Lambda hands to CloudWatch.
//!
//! Other crates are capped at `info` whatever the filter says: the AWS SDK and hyper log whole requests and answers
//! below that, and an answer of SSM is a secret.

use std::io::Write;

use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::{
    EnvFilter,
    filter::{FilterExt, filter_fn},
    fmt,
    layer::{Layer, SubscriberExt},
};

/// Starts logging. `filter` is in `tracing`'s syntax and has been checked by [`is_filter`].
pub fn start(filter: &str) {
    // A second start (tests) keeps the first; there is nothing to do about it.
    let _ = tracing::subscriber::set_global_default(subscriber(filter, std::io::stdout));
}

/// A subscriber that writes JSON lines to `writer`.
pub(crate) fn subscriber<W, M>(filter: &str, writer: M) -> impl Subscriber + Send + Sync
where
    M: Fn() -> W + Send + Sync + 'static,
    W: Write,
{
    // octocrab logs each failed answer as an error of its own; ours are logged once, where they are handled.
    let filter = EnvFilter::new(format!("octocrab=off,lambda_runtime=info,{filter}"));
    // The runtime's span has the request id and the trace of every line, whatever the filter says of others; ours below
    // it have what a part of the invocation is about.
    let layer =
        fmt::layer().json().flatten_event(true).with_current_span(false).with_span_list(true).with_writer(writer);
    tracing_subscriber::registry().with(layer.with_filter(filter.and(filter_fn(capped))))
}

/// Whether a line may be logged at all.
fn capped(metadata: &Metadata<'_>) -> bool {
    metadata.target().starts_with("dayfly") || *metadata.level() <= Level::INFO
}

/// Whether `text` is a log filter.
#[must_use]
pub fn is_filter(text: &str) -> bool {
    !text.is_empty() && EnvFilter::try_new(text).is_ok()
}

#[cfg(test)]
pub(crate) mod tests {
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use serde_json::Value;

    use super::{Write, subscriber};

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    /// The lines that `work` logs with this filter.
    pub(crate) fn logged(filter: &str, work: impl FnOnce()) -> Vec<Value> {
        let sink = Sink::default();
        let writer = sink.clone();
        tracing::subscriber::with_default(subscriber(filter, move || writer.clone()), work);
        let text = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn other_crates_tell_no_details_even_at_trace() {
        let lines = logged("trace", || {
            tracing::trace!(target: "dayfly_control::ledger", "ours");
            tracing::trace!(target: "aws_smithy_runtime", "theirs, with a secret in it");
            tracing::info!(target: "aws_config", "a hint");
            tracing::error!(target: "octocrab", "told again elsewhere");
        });
        let text = format!("{lines:?}");
        assert!(text.contains("ours") && text.contains("a hint"), "{text}");
        assert!(!text.contains("theirs") && !text.contains("told again"), "{text}");
    }

    #[test]
    fn every_line_of_an_invocation_has_its_request_and_trace() {
        for filter in ["info", "dayfly_control=debug", "error"] {
            let lines = logged(filter, || {
                let invoked = tracing::info_span!(target: "lambda_runtime::layers::trace", "Lambda runtime invoke",
                    requestId = "r-1", xrayTraceId = "Root=1-a");
                let _invoked = invoked.enter();
                let _look = tracing::error_span!("look", fleet.name = "linux-x64").entered();
                tracing::error!(job.id = 7, "told");
            });
            assert_eq!(lines.len(), 1, "{filter}");
            let line = &lines[0];
            assert_eq!((&line["message"], &line["job.id"]), (&"told".into(), &7.into()), "{line}");
            assert_eq!(line["spans"][0]["requestId"], "r-1", "{filter}: {line}");
            assert_eq!(line["spans"][0]["xrayTraceId"], "Root=1-a", "{line}");
            assert_eq!(line["spans"][1]["fleet.name"], "linux-x64", "{line}");
        }
    }
}
