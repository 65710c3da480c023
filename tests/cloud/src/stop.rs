//! Ctrl-C and its kin.

use std::future::Future;

use anyhow::{Result, bail};
use tokio::signal::unix::{SignalKind, signal};

/// Waits until somebody asks this program to stop; answers how.
pub(crate) async fn asked() -> &'static str {
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => "Ctrl-C",
        _ = terminate.recv() => "SIGTERM",
    }
}

/// Does `work`, unless somebody asks to stop. What it had started ends with its handles, or with this process.
pub async fn or<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::select! {
        outcome = work => outcome,
        how = asked() => bail!("stopped by {how}"),
    }
}
