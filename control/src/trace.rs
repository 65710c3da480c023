//! The trace of X-Ray that a request belongs to: from the webhook's invocation by the wake-up to scale-up, and from
//! there to the instance and its agent, so that one id finds the log lines of all of them.
//!
//! It is ambient: [`within`] gives a future its trace, [`current`] is the one of the future that is polled. So what
//! only passes it on, such as a queue's port, needs no argument for it.

use std::fmt;

/// The id of a trace, `1-5759e988-bd862e3fe1be46a994272793`: what is the same in all parts of a trace. Good as the
/// value of a tag, which the header as a whole is not.
/// <https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader>
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceId(String);

impl TraceId {
    /// The id in a tracing header (`Root=1-…;Parent=…;Sampled=1`), or the bare id. None where there is none.
    #[must_use]
    pub fn read(header: &str) -> Option<Self> {
        let root = header.split(';').find_map(|part| part.trim().strip_prefix("Root=")).unwrap_or(header);
        let parts: Vec<&str> = root.split('-').collect();
        let hex = |text: &str, digits| text.len() == digits && text.bytes().all(|b| b.is_ascii_hexdigit());
        let good = matches!(parts[..], ["1", time, random] if hex(time, 8) && hex(random, 24));
        good.then(|| Self(root.to_owned()))
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

tokio::task_local! {
    static TRACE: Option<TraceId>;
}

/// `work`, which belongs to `trace`.
pub async fn within<F: Future>(trace: Option<TraceId>, work: F) -> F::Output {
    TRACE.scope(trace, work).await
}

/// The trace that what runs now belongs to.
#[must_use]
pub fn current() -> Option<TraceId> {
    TRACE.try_with(Clone::clone).ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::{TraceId, current, within};
    use crate::simulation::runtime::run;

    const ID: &str = "1-5759e988-bd862e3fe1be46a994272793";

    #[test]
    fn the_id_is_found_in_a_header() {
        let read = |text: &str| TraceId::read(text).map(|id| id.to_string());
        for header in [
            ID.to_owned(),
            format!("Root={ID}"),
            format!("Root={ID};Parent=53995c3f42cd8ad8;Sampled=1"),
            format!("Self=1-00000000-000000000000000000000000;Root={ID};Lineage=a:0"),
        ] {
            assert_eq!(read(&header).as_deref(), Some(ID), "{header}");
        }
        for bad in ["", "Root=", "Root=1-5759e988", "Root=2-5759e988-bd862e3fe1be46a994272793", "1-5759e988-x"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_future_knows_its_own_trace() {
        assert_eq!(current(), None);
        let both = async {
            let inner = within(None, async { current() }).await;
            (inner, current())
        };
        assert_eq!(run(within(TraceId::read(ID), both)), (None, TraceId::read(ID)));
    }
}
