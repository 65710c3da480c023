//! Lines with the trace that they belong to, so that a job can be followed from its webhook to its instance.

use std::fmt;
use std::sync::{Arc, OnceLock};

use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::registry::LookupSpan;

/// Adds `trace.id` to lines of JSON, once it is known.
#[derive(Debug)]
pub(super) struct Traced<F> {
    lines: F,
    trace: Arc<OnceLock<String>>,
}

impl<F> Traced<F> {
    pub(super) fn new(lines: F, trace: Arc<OnceLock<String>>) -> Self {
        Self { lines, trace }
    }
}

impl<S, N, F> FormatEvent<S, N> for Traced<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let Some(trace) = self.trace.get() else { return self.lines.format_event(context, writer, event) };
        let mut line = String::new();
        self.lines.format_event(context, Writer::new(&mut line), event)?;
        match line.strip_prefix('{') {
            // A text as JSON: it can't be written only where memory is short.
            Some(rest) => write!(writer, "{{\"trace.id\":{},{rest}", serde_json::Value::from(trace.as_str())),
            None => writer.write_str(&line),
        }
    }
}
