//! What happened to a job or a runner, in a few words, on its own item: written by the transactions that are made
//! anyway, so that it costs no call.

use crate::clock::Millis;

/// The most that is kept of one item.
pub const MOST_ENTRIES: usize = 20;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When.
    pub at: Millis,
    /// What, in a word or two: `queued`, `launched`.
    pub what: String,
    /// Why or by whom; empty where there is nothing to add.
    pub detail: String,
}

/// What happened, the oldest first. Of many things, the first is kept and the latest: how it began is not known
/// otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History(Vec<Entry>);

impl History {
    /// Adds what happened at `at`.
    pub fn add(&mut self, at: Millis, what: &str, detail: impl Into<String>) {
        self.merge([Entry { at, what: what.to_owned(), detail: detail.into() }]);
    }

    /// Adds entries of another history, each once and where its time puts it.
    pub fn merge(&mut self, entries: impl IntoIterator<Item = Entry>) {
        for entry in entries {
            if !self.0.contains(&entry) {
                self.0.push(entry);
            }
        }
        // Stable: what happened in one moment stays in the order in which it was told.
        self.0.sort_by_key(|entry| entry.at);
        while self.0.len() > MOST_ENTRIES {
            self.0.remove(1);
        }
    }

    /// The entries, the oldest first.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.0
    }

    /// Whether something of the name `what` happened.
    #[must_use]
    pub fn has(&self, what: &str) -> bool {
        self.0.iter().any(|entry| entry.what == what)
    }
}

impl FromIterator<Entry> for History {
    fn from_iter<I: IntoIterator<Item = Entry>>(entries: I) -> Self {
        Self(entries.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::{Entry, History, MOST_ENTRIES};

    #[test]
    fn the_first_and_the_latest_are_kept() {
        let mut history = History::default();
        for at in 0..50 {
            history.add(at, "queued", "");
        }
        let times: Vec<u64> = history.entries().iter().map(|entry| entry.at).collect();
        let latest: Vec<u64> = (31..50).collect();
        assert_eq!((times.len(), times[0], &times[1..]), (MOST_ENTRIES, 0, &latest[..]));
    }

    #[test]
    fn another_history_is_put_in_by_time_and_once() {
        let mut history = History::default();
        history.add(1, "queued", "");
        history.add(9, "running", "");
        let launched = Entry { at: 5, what: "launched".into(), detail: "i-1".into() };
        history.merge([launched.clone(), launched]);
        let what: Vec<&str> = history.entries().iter().map(|entry| entry.what.as_str()).collect();
        assert_eq!(what, ["queued", "launched", "running"]);
        assert!(history.has("launched") && !history.has("done"));
    }
}
