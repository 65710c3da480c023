//! The ledger, read alone.

use std::collections::BTreeMap;

use super::{Dry, Kind};
use crate::{
    clock::Millis,
    decide::bucket::{Fulls, Taken, Takes},
    ledger::{
        Census, Committed, Heard, Job, JobPage, LastError, LastPlan, Ledger, LedgerError, Marker, Meta, Offers, Runner,
        View, Write,
    },
};

impl<L: Ledger> Ledger for Dry<L> {
    async fn job(&self, id: u64) -> Result<Option<Job>, LedgerError> {
        self.port.job(id).await
    }

    async fn runner(&self, fleet: &str, instance: &str) -> Result<Option<Runner>, LedgerError> {
        self.port.runner(fleet, instance).await
    }

    async fn view(&self, fleet: &str) -> Result<View, LedgerError> {
        self.port.view(fleet).await
    }

    async fn queued(&self, fleet: &str, limit: u32) -> Result<Vec<Marker>, LedgerError> {
        self.port.queued(fleet, limit).await
    }

    async fn commit(&self, writes: Vec<Write>) -> Result<Committed, LedgerError> {
        let parts: Vec<String> = writes.iter().filter_map(told).collect();
        self.journal.note(Kind::Ledger, parts.join("; "));
        Ok(Committed::Yes)
    }

    async fn pause(&self, fleet: &str, _: u64) -> Result<(), LedgerError> {
        self.journal.note(Kind::Ledger, format!("leave fleet {fleet} alone for a while"));
        Ok(())
    }

    async fn tell(&self, fleet: &str, _: LastPlan) -> Result<(), LedgerError> {
        self.journal.note(Kind::Note, format!("the plan of fleet {fleet}"));
        Ok(())
    }

    async fn meta(&self, fleet: &str) -> Result<Meta, LedgerError> {
        self.port.meta(fleet).await
    }

    async fn is_wanted(&self, fleet: &str, now: Millis) -> Result<bool, LedgerError> {
        self.port.is_wanted(fleet, now).await
    }

    async fn refuse(&self, fleet: &str, error: &LastError, _: u64) -> Result<(), LedgerError> {
        self.journal.note(Kind::Ledger, format!("note that fleet {fleet} is refused: {}", error.code));
        Ok(())
    }

    async fn offers(&self, fleet: &str) -> Result<Offers, LedgerError> {
        self.port.offers(fleet).await
    }

    async fn take(&self, _: &Takes) -> Result<Taken, LedgerError> {
        self.journal.note(Kind::Note, "turns at services");
        Ok(Taken::Yes(Fulls::default()))
    }
}

impl<L: Heard> Heard for Dry<L> {
    async fn hear(&self, _: &str, instance: &str, _: Millis) -> Result<(), LedgerError> {
        self.journal.note(Kind::Note, format!("a word of {instance}"));
        Ok(())
    }

    async fn heard(&self, fleet: &str) -> Result<BTreeMap<String, Millis>, LedgerError> {
        self.port.heard(fleet).await
    }
}

impl<L: Census> Census for Dry<L> {
    async fn text(&self, key: &str) -> Result<Option<String>, LedgerError> {
        self.port.text(key).await
    }

    async fn note_text(&self, key: &str, _: &str, _: u64) -> Result<(), LedgerError> {
        self.journal.note(Kind::Note, key);
        Ok(())
    }

    async fn open_jobs(&self, from: Option<&str>) -> Result<JobPage, LedgerError> {
        self.port.open_jobs(from).await
    }

    async fn mend(&self, fleet: &str, seen: u64, _: u64, alive: u64) -> Result<Committed, LedgerError> {
        self.journal.note(Kind::Ledger, format!("set the count of fleet {fleet} from {seen} to {alive}"));
        Ok(Committed::Yes)
    }
}

/// A change in a person's words; none for what only keeps others right.
fn told(write: &Write) -> Option<String> {
    Some(match write {
        Write::PutJob(it) => format!("job {} is {}", it.id, it.state.name()),
        Write::PutMarker(it) => format!("job {} counts as queued in fleet {}", it.job, it.fleet),
        Write::TakeMarker { fleet, job } => format!("job {job} counts no more in fleet {fleet}"),
        Write::PutDoubt(it) => format!("GitHub is asked again about job {}", it.job),
        Write::DropDoubt { job, .. } => format!("GitHub is not asked again about job {job}"),
        Write::Reserve { fleet, count, .. } => format!("{count} instances of fleet {fleet} are reserved"),
        Write::Free { count: 0, .. } | Write::StillQueued { .. } | Write::Advance { .. } | Write::PutLife(_) => {
            return None;
        }
        Write::Free { fleet, count, .. } => format!("fleet {fleet} counts {count} instances less"),
        Write::Recover { fleet } => format!("the last error of fleet {fleet} is forgotten"),
        Write::PutOffers(it) => format!("the offers of fleet {} change", it.fleet),
        Write::PutReservation(it) => format!("reservation {} changes", it.id),
        Write::DropReservation(it) => format!("reservation {} is dropped", it.id),
        Write::PutRunner(it) => format!("runner {} is {}", it.instance, it.state.name()),
        Write::DropRunner(it) => format!("runner {} is forgotten", it.instance),
    })
}
