//! SIGTERM and SIGINT: somebody asks the agent to stop.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tracing::info;

/// A message for each time the agent is asked to stop.
pub fn stop_requests() -> io::Result<UnboundedReceiver<()>> {
    let (sender, receiver) = unbounded_channel();
    for (kind, name) in [(SignalKind::terminate(), "SIGTERM"), (SignalKind::interrupt(), "SIGINT")] {
        let mut signals = signal(kind)?;
        let sender = sender.clone();
        tokio::spawn(async move {
            while signals.recv().await.is_some() {
                info!(signal = name, "Asked to stop by {name}");
                if sender.send(()).is_err() {
                    return;
                }
            }
        });
    }
    // It would end the agent, and say nothing of the machine.
    let mut hangups = signal(SignalKind::hangup())?;
    tokio::spawn(async move { while hangups.recv().await.is_some() {} });
    Ok(receiver)
}
