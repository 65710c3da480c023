//! What must be true of a run.

use super::Model;
use crate::decide::{jobs::JobState, runners::RunnerState};

impl Model {
    /// What is true at every moment.
    pub(super) fn check(&self) -> Result<(), String> {
        let ledger = self.port.0.ledger.borrow();
        if self.checked.replace(ledger.changes) == ledger.changes {
            return Ok(());
        }
        for fleet in &self.setting.fleets.fleets {
            let alive = ledger.view(&fleet.name).meta.alive;
            if alive != ledger.counted(&fleet.name) {
                return Err(self.dump(&format!(
                    "{} counts {alive} and has {}",
                    fleet.name,
                    ledger.counted(&fleet.name)
                )));
            }
            if alive > fleet.max {
                return Err(self.dump(&format!("{} has {alive} of {}", fleet.name, fleet.max)));
            }
        }
        Ok(())
    }

    /// What is true at the end.
    pub(crate) fn check_end(&self) -> Result<(), String> {
        let ledger = self.port.0.ledger.borrow();
        let wrong = |what: &str| Err(self.dump(what));
        if let Some((id, _)) = self.jobs.iter().find(|(_, job)| job.runs != 1) {
            return wrong(&format!("job {id} did not run once"));
        }
        if !self.port.0.asked_open.borrow().is_empty() {
            return wrong("offers were asked for though their breakers were open");
        }
        if ledger.jobs.len() != self.jobs.len() || ledger.jobs.values().any(|job| job.state != JobState::Done) {
            return wrong("the ledger has jobs that are not done");
        }
        if ledger.metas.values().any(|meta| meta.alive != 0) {
            return wrong("something is counted alive");
        }
        // A `gone` item is the echo of a repeated message and expires.
        let left = ledger.runners.values().filter(|it| it.state != RunnerState::Gone).count();
        if !ledger.markers.is_empty() || !ledger.reservations.is_empty() || left > 0 {
            return wrong("markers, reservations or runners are left");
        }
        if !self.port.0.parameters.borrow().is_empty() || !self.port.0.runners.borrow().is_empty() {
            return wrong("registrations are left");
        }
        Ok(())
    }

    pub(crate) fn launches(&self) -> usize {
        self.port.0.launched.borrow().values().map(Vec::len).sum()
    }

    pub(super) fn dump(&self, what: &str) -> String {
        let ledger = self.port.0.ledger.borrow();
        let parameters: Vec<String> = self.port.0.parameters.borrow().keys().cloned().collect();
        let log = self.port.0.log.borrow().join("\n");
        format!("{what}\n{ledger:#?}\n{parameters:?}\n{:?}\n{log}", self.port.0.runners.borrow())
    }
}
