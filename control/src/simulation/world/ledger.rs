//! The ledger: what is asked, and what is written on its conditions.

use super::{Fault, Port, words};
use crate::{
    clock::Millis,
    decide::bucket::{Taken, Takes},
    ledger::{Committed, Job, LastError, LastPlan, Ledger, LedgerError, Marker, Meta, Offers, Runner, View, Write},
};

impl Ledger for Port {
    async fn job(&self, id: u64) -> Result<Option<Job>, LedgerError> {
        ledger_fault(self.0.call("ledger.job").await)?;
        Ok(self.0.ledger.borrow().jobs.get(&id).cloned())
    }

    async fn runner(&self, fleet: &str, instance: &str) -> Result<Option<Runner>, LedgerError> {
        ledger_fault(self.0.call("ledger.runner").await)?;
        Ok(self.0.ledger.borrow().runner(fleet, instance))
    }

    async fn view(&self, fleet: &str) -> Result<View, LedgerError> {
        ledger_fault(self.0.call("ledger.view").await)?;
        // A query is no snapshot: pages may end between any two kinds of items.
        let first = self.0.ledger.borrow().head(fleet);
        self.0.answered().await;
        let reservations = self.0.ledger.borrow().reservations(fleet);
        self.0.answered().await;
        let runners = self.0.ledger.borrow().runners(fleet);
        Ok(View { reservations, runners, ..first })
    }

    async fn queued(&self, fleet: &str, limit: u32) -> Result<Vec<Marker>, LedgerError> {
        ledger_fault(self.0.call("ledger.queued").await)?;
        Ok(self.0.ledger.borrow().queued(fleet).into_iter().take(limit as usize).collect())
    }

    async fn commit(&self, writes: Vec<Write>) -> Result<Committed, LedgerError> {
        let fault = self.0.call("ledger.commit").await;
        if !Fault::is_done(fault.as_ref()) {
            ledger_fault(fault.clone())?;
        }
        assert!((1..=100).contains(&writes.len()), "a transaction of {} writes", writes.len());
        self.0.keep_previous(&writes);
        let committed = self.0.ledger.borrow_mut().commit(&writes);
        if committed == Committed::Yes {
            for write in &writes {
                self.0.note_opened(write);
            }
        }
        if self.0.telling.get() {
            let what = writes.iter().map(words::of).collect::<Vec<_>>().join(", ");
            let refused = if committed == Committed::Conflict { " is refused, since it has changed" } else { "" };
            self.0.note(format_args!("ledger: {what}{refused}"));
        }
        self.0.answered().await;
        ledger_fault(fault)?;
        Ok(committed)
    }

    async fn pause(&self, fleet: &str, until: u64) -> Result<(), LedgerError> {
        ledger_fault(self.0.call("ledger.pause").await)?;
        self.0.ledger.borrow_mut().pause(fleet, until);
        Ok(())
    }

    async fn tell(&self, fleet: &str, plan: LastPlan) -> Result<(), LedgerError> {
        ledger_fault(self.0.call("ledger.tell").await)?;
        self.0.ledger.borrow_mut().tell(fleet, plan);
        Ok(())
    }

    async fn meta(&self, fleet: &str) -> Result<Meta, LedgerError> {
        ledger_fault(self.0.call("ledger.meta").await)?;
        Ok(self.0.ledger.borrow().metas.get(fleet).cloned().unwrap_or_default())
    }

    async fn refuse(&self, fleet: &str, error: &LastError, until: u64) -> Result<(), LedgerError> {
        ledger_fault(self.0.call("ledger.refuse").await)?;
        self.0.ledger.borrow_mut().refuse(fleet, error, until);
        self.0.answered().await;
        Ok(())
    }

    async fn offers(&self, fleet: &str) -> Result<Offers, LedgerError> {
        ledger_fault(self.0.call("ledger.offers").await)?;
        Ok(self.0.ledger.borrow().offers(fleet))
    }

    async fn take(&self, takes: &Takes) -> Result<Taken, LedgerError> {
        let fault = self.0.call("ledger.take").await;
        if !Fault::is_done(fault.as_ref()) {
            ledger_fault(fault.clone())?;
        }
        let came = self.0.ledger.borrow_mut().take(takes);
        self.0.answered().await;
        ledger_fault(fault)?;
        Ok(came)
    }

    async fn is_wanted(&self, fleet: &str, now: Millis) -> Result<bool, LedgerError> {
        ledger_fault(self.0.call("ledger.is_wanted").await)?;
        Ok(self.0.ledger.borrow().is_wanted(fleet, now))
    }
}

pub(super) fn ledger_fault(fault: Option<Fault>) -> Result<(), LedgerError> {
    fault.map_or(Ok(()), |_| Err(LedgerError::new("asking the ledger", "it is not there")))
}
