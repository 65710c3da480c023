//! The queue that wakes scale-up.

use std::time::Duration;

use super::{Fault, Port, Sent};
use crate::{
    clock::Clock,
    trace,
    wake::{self, Wake, WakeError, WakeUp},
};

impl Wake for Port {
    async fn send(&self, wake_up: &WakeUp, delay: Duration) -> Result<(), WakeError> {
        let failed = || Err(WakeError { doing: "waking".into(), source: "a fault".into() });
        let fault = self.0.call("wake.wake").await;
        if !Fault::is_done(fault.as_ref()) {
            return failed();
        }
        let delay = delay.min(wake::LONGEST_DELAY);
        let visible_at = self.now() + u64::try_from(delay.as_millis()).unwrap();
        let (fleet, attempts) = (wake_up.fleet.clone(), wake_up.attempts);
        self.0.sent.borrow_mut().push(Sent { fleet, trace: trace::current(), attempts, run: wake_up.run, visible_at });
        self.0.answered().await;
        if fault.is_some() { failed() } else { Ok(()) }
    }

    async fn see_again(&self, receipt: &str, delay: Duration) -> Result<(), WakeError> {
        self.0.call("wake.see_again").await;
        self.0.given_back.borrow_mut().push((receipt.to_owned(), delay));
        Ok(())
    }

    async fn put_aside(&self, body: &str, reason: &str) -> Result<bool, WakeError> {
        if self.0.call("wake.put_aside").await.is_some() {
            return Err(WakeError { doing: "putting aside".into(), source: "a fault".into() });
        }
        let Some(aside) = &mut *self.0.aside.borrow_mut() else { return Ok(false) };
        aside.push((body.to_owned(), reason.to_owned()));
        Ok(true)
    }
}
