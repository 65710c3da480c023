//! Records to test with.

use super::{Job, Marker, Reservation, Runner, Stops, history::History};
use crate::{
    decide::{jobs::JobState, runners::RunnerState},
    fleets::Market,
};

pub(crate) fn job(id: u64, fleet: &str) -> Job {
    Job {
        id,
        state: JobState::Queued,
        fleet: fleet.into(),
        labels: vec!["self-hosted".into(), "linux".into()],
        repository: "octo-org/octo-repo".into(),
        run_id: 5,
        run_attempt: 1,
        installation: Some(77),
        runner_name: None,
        queued_at: Some(1_000_000),
        running_at: None,
        done_at: None,
        history: History::default(),
        expires: 5000,
        version: 0,
    }
}

pub(crate) fn marker(fleet: &str, job: u64) -> Marker {
    Marker {
        fleet: fleet.into(),
        job,
        queued_at: 1_000_000,
        installation: Some(77),
        repository: "octo-org/octo-repo".into(),
        asks: vec![],
        on_demand: false,
        expires: 90_000,
    }
}

pub(crate) fn reservation(fleet: &str, id: &str, count: u32) -> Reservation {
    Reservation {
        fleet: fleet.into(),
        id: id.into(),
        group: 0,
        count,
        market: Some(Market::OnDemand),
        without: vec![],
        asks: vec![],
        standby: false,
        scope: "orgs/octo-org".parse().unwrap(),
        installation: Some(77),
        trace: None,
        created_at: 1_000_000,
        lease_until: 1_030_000,
        version: 0,
    }
}

pub(crate) fn instance(n: u64) -> String {
    format!("i-{n:017x}")
}

pub(crate) fn runner(fleet: &str, n: u64) -> Runner {
    Runner {
        fleet: fleet.into(),
        instance: instance(n),
        state: RunnerState::Launched,
        reservation: "r1".into(),
        market: Some(Market::OnDemand),
        instance_type: None,
        asks: vec![],
        scope: Some("orgs/octo-org".parse().unwrap()),
        installation: Some(77),
        runner_id: None,
        reuse: None,
        trace: None,
        history: History::default(),
        launched_at: 1_000_000,
        boot_deadline: 1_300_000,
        lease_until: 1_030_000,
        stops: Stops::default(),
        untouched: false,
        expires: None,
        version: 0,
    }
}
