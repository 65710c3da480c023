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
fn subscriber<W, M>(filter: &str, writer: M) -> impl Subscriber + Send + Sync
where
    M: Fn() -> W + Send + Sync + 'static,
    W: Write,
{
    // octocrab logs each failed answer as an error of its own; ours are logged once, where they are handled.
    let filter = EnvFilter::new(format!("octocrab=off,{filter}"));
    // The runtime's span has the request id; the list of spans would only repeat it.
    let layer = fmt::layer().json().flatten_event(true).with_span_list(false).with_writer(writer);
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
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use super::{Write, subscriber};

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

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
        let sink = Sink::default();
        let writer = sink.clone();
        tracing::subscriber::with_default(subscriber("trace", move || writer.clone()), || {
            tracing::trace!(target: "dayfly_control::ledger", "ours");
            tracing::trace!(target: "aws_smithy_runtime", "theirs, with a secret in it");
            tracing::info!(target: "aws_config", "a hint");
            tracing::error!(target: "octocrab", "told again elsewhere");
        });
        let text = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
        assert!(text.contains("ours") && text.contains("a hint"), "{text}");
        assert!(!text.contains("theirs") && !text.contains("told again"), "{text}");
    }
}
