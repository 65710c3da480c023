//! What is due at some time.

use std::collections::BTreeMap;

/// Things, each due at a time; of those of one time the first comes first.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    items: BTreeMap<(u64, u64), T>,
    next: u64,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { items: BTreeMap::new(), next: 0 }
    }
}

impl<T> Queue<T> {
    pub(crate) fn push(&mut self, due: u64, it: T) {
        self.next += 1;
        self.items.insert((due, self.next), it);
    }

    /// The next thing, if it is due.
    pub(crate) fn pop(&mut self, now: u64) -> Option<T> {
        let first = self.items.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }

    /// When the next thing is due.
    pub(crate) fn next_due(&self) -> Option<u64> {
        self.items.first_key_value().map(|((due, _), _)| *due)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }
}
