//! JSON lines on standard output, which systemd hands to the journal, and in a file where one is named ([`LogFile`]).
//!
//! Other crates are capped at `info` whatever the filter says: the AWS SDK and hyper log whole requests and answers
//! below that, and an answer of SSM is a secret.

mod file;
mod traced;

use std::path::Path;
use std::sync::{Arc, OnceLock};

use tracing::{Level, Metadata, Subscriber, warn};
use tracing_subscriber::filter::{EnvFilter, FilterExt, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::writer::MakeWriterExt;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Registry, fmt, reload};

use traced::Traced;

pub use file::LogFile;

/// What a log filter may be, for error messages.
pub const FILTER: &str = "a log filter such as \"info\" or \"dayfly_agent=debug\"";

const DEFAULT: &str = "info";

/// Changes the lines once more is known.
#[derive(Clone, Debug)]
pub struct LogHandle {
    filter: reload::Handle<EnvFilter, Registry>,
    trace: Arc<OnceLock<String>>,
}

impl LogHandle {
    /// From here on each line names `trace` as its `trace.id`. The first trace stays.
    pub fn belongs_to(&self, trace: &str) {
        self.trace.get_or_init(|| trace.to_owned());
    }

    /// Sets the filter to `text`, which [`is_filter`] has accepted; else nothing changes.
    pub fn set(&self, text: &str) {
        if let Ok(filter) = EnvFilter::try_new(text) {
            // Fails only when the subscriber is gone, and then nobody logs.
            let _gone = self.filter.reload(filter);
        }
    }
}

/// Whether `text` is a log filter.
#[must_use]
pub fn is_filter(text: &str) -> bool {
    !text.trim().is_empty() && EnvFilter::try_new(text).is_ok()
}

/// Starts logging to standard output, by `filter` or else at `info`.
pub fn start(filter: Option<&str>) -> LogHandle {
    let (subscriber, handle) = subscriber(filter, std::io::stdout);
    install(subscriber);
    handle
}

/// Like [`start`], and to the file `path` too. One that can't be opened is told once and gone without: its place is
/// taken by none. The file is to be dropped last of all.
pub fn start_with_file(filter: Option<&str>, path: &Path) -> (LogHandle, Option<LogFile>) {
    match LogFile::open(path) {
        Ok((lines, file)) => {
            let (subscriber, handle) = subscriber(filter, std::io::stdout.and(lines));
            install(subscriber);
            (handle, Some(file))
        }
        Err(error) => {
            let handle = start(filter);
            warn!(%error, path = %path.display(), "The log file can't be opened; the journal has it all");
            (handle, None)
        }
    }
}

fn install(subscriber: impl Subscriber + Send + Sync) {
    if tracing::subscriber::set_global_default(subscriber).is_err() {
        tracing::debug!("Logging had been started before");
    }
}

/// A subscriber that writes JSON lines to `writer`.
pub fn subscriber<M>(filter: Option<&str>, writer: M) -> (impl Subscriber + Send + Sync, LogHandle)
where
    M: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let filter = filter.and_then(|text| EnvFilter::try_new(text).ok()).unwrap_or_else(|| EnvFilter::new(DEFAULT));
    let (filter, handle) = reload::Layer::new(filter);
    let trace = Arc::new(OnceLock::new());
    let layer = json(writer, Arc::clone(&trace)).with_filter(filter.and(filter_fn(capped)));
    (tracing_subscriber::registry().with(layer), LogHandle { filter: handle, trace })
}

fn json<S, M>(writer: M, trace: Arc<OnceLock<String>>) -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    M: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        // It would be told on standard error, which is gone when the journal is, and panic.
        .log_internal_errors(false)
        .with_writer(writer)
        .map_event_format(|lines| Traced::new(lines, trace))
}

fn capped(metadata: &Metadata<'_>) -> bool {
    metadata.target().starts_with("dayfly") || *metadata.level() <= Level::INFO
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl Lines {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    fn log(filter: Option<&str>, write: impl FnOnce(&LogHandle)) -> String {
        let lines = Lines::default();
        let (subscriber, handle) = subscriber(filter, {
            let lines = lines.clone();
            move || lines.clone()
        });
        tracing::subscriber::with_default(subscriber, || write(&handle));
        lines.text()
    }

    #[test]
    fn other_crates_never_log_below_info() {
        let text = log(Some("trace"), |_| {
            tracing::trace!(target: "dayfly_agent::x", "ours");
            tracing::trace!(target: "aws_smithy_runtime::client", "theirs, with a body");
            tracing::debug!(target: "hyper_util", "theirs too");
            tracing::info!(target: "aws_config", "a hint");
        });
        assert!(text.contains("ours") && text.contains("a hint"), "{text}");
        assert!(!text.contains("theirs"), "{text}");
    }

    #[test]
    fn lines_name_their_trace_once_it_is_known() {
        let text = log(None, |logs| {
            tracing::info!("before");
            logs.belongs_to("1-\"a");
            logs.belongs_to("another");
            tracing::info!(job.name = "x", "after");
        });
        let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!((&lines[0]["message"], lines[0].get("trace.id")), (&"before".into(), None));
        let after = (&lines[1]["message"], &lines[1]["job.name"], &lines[1]["trace.id"]);
        assert_eq!(after, (&"after".into(), &"x".into(), &"1-\"a".into()));
    }

    #[test]
    fn naming_another_crate_does_not_lift_its_cap() {
        let text = log(Some("aws_smithy_runtime::client=trace"), |_| {
            tracing::trace!(target: "aws_smithy_runtime::client", "theirs, with a body");
        });
        assert_eq!(text, "");
    }

    #[test]
    fn the_filter_can_be_changed_and_starts_at_info() {
        let text = log(None, |handle| {
            tracing::debug!(target: "dayfly_agent", "before");
            handle.set("debug");
            tracing::debug!(target: "dayfly_agent", { job.name = "x" }, "after");
        });
        assert!(!text.contains("before"), "{text}");
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(line["message"], "after");
        assert_eq!(line["job.name"], "x");
        assert_eq!(line["level"], "DEBUG");
    }

    #[test]
    fn both_places_get_the_same_lines_and_the_same_cap() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent.log");
        let (lines, file) = LogFile::open(&path).unwrap();
        let stdout = Lines::default();
        let other = stdout.clone();
        let (subscriber, handle) = subscriber(None, (move || other.clone()).and(lines));
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(target: "dayfly_agent", "first");
            handle.set("trace");
            tracing::trace!(target: "dayfly_agent", "second");
            tracing::trace!(target: "aws_smithy_runtime::client", "theirs, with a body");
        });
        assert!(file.settle(Duration::from_secs(10)));
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains("first") && text.contains("second") && !text.contains("theirs"), "{text}");
        assert_eq!(text, stdout.text());
    }

    #[test]
    fn filters_are_checked() {
        assert!(is_filter("info") && is_filter("dayfly_agent=debug,info"));
        assert!(!is_filter("") && !is_filter("dayfly_agent=loud") && !is_filter("a=b=c"));
    }
}
