//! A gate that can be closed: nobody goes in any more, and whoever closes it knows that nobody is inside.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::time::sleep;

/// The gate. It is open until somebody closes it.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    closed: AtomicUsize,
    inside: AtomicUsize,
}

/// Keeps schedules from running until it is dropped.
#[derive(Debug)]
#[must_use = "schedules run again when it is dropped"]
pub struct Hold(Arc<Gate>);

/// Somebody is inside for as long as this is kept.
#[derive(Debug)]
pub(crate) struct Inside<'a>(&'a Gate);

impl Gate {
    /// Goes in, unless it is closed.
    pub(crate) fn enter(&self) -> Option<Inside<'_>> {
        // First: whoever closes it at this moment waits for us, or we see it closed.
        self.inside.fetch_add(1, Ordering::SeqCst);
        let inside = Inside(self);
        (self.closed.load(Ordering::SeqCst) == 0).then_some(inside)
    }

    /// Closes it, and waits until nobody is inside. It may be closed by several; each has to let go of it.
    pub(crate) async fn close(self: Arc<Self>) -> Hold {
        self.closed.fetch_add(1, Ordering::SeqCst);
        let hold = Hold(Arc::clone(&self));
        while self.inside.load(Ordering::SeqCst) > 0 {
            sleep(Duration::from_millis(5)).await;
        }
        hold
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.closed.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.inside.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    const SHORTLY: Duration = Duration::from_millis(50);

    #[tokio::test]
    async fn it_is_closed_once_nobody_is_inside() {
        let gate = Arc::new(Gate::default());
        let inside = gate.enter().unwrap();
        let closing = Arc::clone(&gate).close();
        tokio::pin!(closing);
        assert!(timeout(SHORTLY, &mut closing).await.is_err(), "somebody is inside");
        assert!(gate.enter().is_none(), "it is closed to others while that is waited for");
        drop(inside);
        let hold = closing.await;
        assert!(gate.enter().is_none());
        drop(hold);
        assert!(gate.enter().is_some());
    }

    #[tokio::test]
    async fn each_who_closed_it_has_to_let_go() {
        let gate = Arc::new(Gate::default());
        let first = Arc::clone(&gate).close().await;
        let second = Arc::clone(&gate).close().await;
        drop(first);
        assert!(gate.enter().is_none());
        drop(second);
        assert!(gate.enter().is_some());
    }

    #[tokio::test]
    async fn who_gives_up_closing_it_leaves_it_open() {
        let gate = Arc::new(Gate::default());
        let inside = gate.enter().unwrap();
        assert!(timeout(SHORTLY, Arc::clone(&gate).close()).await.is_err());
        drop(inside);
        assert!(gate.enter().is_some());
    }
}
