//! How often each route was called.

use std::collections::BTreeMap;

/// Counts by `METHOD /route/{pattern}`; what matches no route is counted as `METHOD (unknown)`.
#[derive(Debug, Default)]
pub(crate) struct Calls(BTreeMap<String, u64>);

impl Calls {
    pub(crate) fn note(&mut self, method: &str, route: &str) {
        *self.0.entry(format!("{method} {route}")).or_default() += 1;
    }

    pub(crate) fn all(&self) -> BTreeMap<String, u64> {
        self.0.clone()
    }

    pub(crate) fn reset(&mut self) {
        self.0.clear();
    }
}
