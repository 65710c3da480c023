//! Two more ports of the world: notes in the ledger, and the user's bus.

use super::world::{Fault, Port};
use crate::{
    bus::{Bus, BusError},
    clock::Clock,
    handlers::webhook,
    ledger::{LedgerError, Notes},
};

impl webhook::Ports for Port {
    type Ledger = Self;
    type GitHub = Self;
    type Wake = Self;
    type Bus = Self;
    type Clock = Self;
}

impl Notes for Port {
    async fn recall(&self, key: &str) -> Result<Option<u64>, LedgerError> {
        let fault = self.0.call("notes.recall").await;
        let found = self.0.notes.borrow().get(key).copied();
        fault.map_or(Ok(found), |_| Err(LedgerError::new("recalling a note", "a fault")))
    }

    async fn remember(&self, key: &str, value: u64, _: u64) -> Result<(), LedgerError> {
        if self.0.call("notes.remember").await.is_some() {
            return Err(LedgerError::new("remembering a note", "a fault"));
        }
        self.0.notes.borrow_mut().insert(key.to_owned(), value);
        Ok(())
    }

    async fn claim(&self, key: &str, now: u64, expires: u64) -> Result<bool, LedgerError> {
        if self.0.call("notes.claim").await.is_some() {
            return Err(LedgerError::new("claiming a note", "a fault"));
        }
        let mut claims = self.0.claims.borrow_mut();
        let free = claims.get(key).is_none_or(|until| *until <= now);
        if free {
            claims.insert(key.to_owned(), expires);
        }
        Ok(free)
    }
}

impl Bus for Port {
    async fn put_all(&self, events: &[(String, String)]) -> Result<usize, BusError> {
        assert!((1..=crate::bus::BATCH).contains(&events.len()), "{} at a time", events.len());
        match self.0.call("bus.put_all").await {
            Some(Fault::Fewer(refused)) => {
                self.0.published.borrow_mut().extend_from_slice(&events[refused..]);
                Ok(refused)
            }
            Some(Fault::GitHubLimited(seconds)) => {
                self.sleep(std::time::Duration::from_secs(seconds)).await;
                Ok(0)
            }
            Some(_) => Err(BusError { detail_type: "batch".into(), source: "a fault".into() }),
            None => {
                self.0.published.borrow_mut().extend_from_slice(events);
                Ok(0)
            }
        }
    }

    async fn put(&self, detail_type: &str, detail: String) -> Result<(), BusError> {
        if self.0.call("bus.put").await.is_some() {
            return Err(BusError { detail_type: detail_type.to_owned(), source: "a fault".into() });
        }
        self.0.published.borrow_mut().push((detail_type.to_owned(), detail));
        Ok(())
    }
}
