//! Kills on request: once, in the middle of an invocation's work.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Mutex,
    time::Duration,
};

use tokio::sync::Notify;

use crate::{lock, runtime_api::RuntimeApi};

/// When the process of an invocation is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// So many milliseconds after it took its event, if it has not answered by then.
    Millis(u64),
    /// When AWS has carried out the process's n-th call (from 1, init included) and before the process learns of that.
    /// The invocation gets a process of its own, whose `AWS_ENDPOINT_URL` counts the calls.
    Calls(u32),
}

/// Kills that are still to come, by function. One that did not come to pass, as the function was quicker or made fewer
/// calls, waits for the next invocation.
#[derive(Debug, Default)]
pub(crate) struct Orders(Mutex<BTreeMap<String, VecDeque<After>>>);

impl Orders {
    /// Adds one.
    pub(crate) fn add(&self, function: &str, after: After) {
        lock(&self.0).entry(function.to_owned()).or_default().push_back(after);
    }

    /// Takes the first for an invocation of `function`.
    pub(crate) fn take(&self, function: &str) -> Option<After> {
        lock(&self.0).get_mut(function)?.pop_front()
    }

    /// Puts one back that did not come to pass.
    pub(crate) fn put_back(&self, function: &str, after: After) {
        lock(&self.0).entry(function.to_owned()).or_default().push_front(after);
    }

    /// How many are still to come for `function`.
    pub(crate) fn pending(&self, function: &str) -> usize {
        lock(&self.0).get(function).map_or(0, VecDeque::len)
    }

    /// Takes back all that are still to come for `function`.
    pub(crate) fn withdraw(&self, function: &str) {
        lock(&self.0).remove(function);
    }
}

/// The kill that one invocation is in for.
#[derive(Debug)]
pub(crate) enum Strike {
    /// By the clock.
    Millis(u64),
    /// When the counter of calls says so.
    Told(std::sync::Arc<Notify>),
}

impl Strike {
    /// Waits for the moment.
    pub(crate) async fn falls(&self, api: &RuntimeApi) {
        match self {
            Self::Millis(millis) => {
                let handed = api.handed().await;
                tokio::time::sleep_until((handed + Duration::from_millis(*millis)).into()).await;
            }
            Self::Told(told) => told.notified().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_wait_in_line_until_they_came_to_pass() {
        let orders = Orders::default();
        orders.add("f", After::Millis(1));
        orders.add("f", After::Calls(2));
        assert_eq!(orders.take("other"), None);
        let first = orders.take("f").unwrap();
        assert_eq!((first, orders.pending("f")), (After::Millis(1), 1));
        orders.put_back("f", first);
        assert_eq!(orders.take("f"), Some(After::Millis(1)));
        assert_eq!(orders.take("f"), Some(After::Calls(2)));
        assert_eq!((orders.take("f"), orders.pending("f")), (None, 0));
        orders.add("f", After::Calls(9));
        orders.add("g", After::Calls(9));
        orders.withdraw("f");
        assert_eq!((orders.take("f"), orders.take("g")), (None, Some(After::Calls(9))));
    }
}
