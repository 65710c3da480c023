//! `dayfly runners`: the runners of the ledger.

use std::collections::BTreeMap;

use anyhow::Result;
use clap::Args;
use dayfly_contract::names;
use dayfly_control::{
    clock::{Clock, Millis, SystemClock},
    decide::runners::RunnerState,
    fleets::Market,
    ledger::{Meta, Runner},
};
use serde_json::{Value, json};

use crate::{
    drain,
    output::{Cell, Light, List, Show, show, span},
    place::{Place, block},
};

/// Lists the runners, the oldest of each fleet first.
#[derive(Debug, Args)]
pub(crate) struct Runners {
    #[command(flatten)]
    place: Place,
    /// Of this fleet alone.
    #[arg(long)]
    fleet: Option<String>,
    /// In this state alone.
    #[arg(long, value_parser = RunnerState::ALL.map(RunnerState::name))]
    state: Option<String>,
    #[command(flatten)]
    show: Show,
}

pub(crate) fn run(runners: &Runners) -> Result<()> {
    block(async {
        let place = runners.place.connect().await?;
        show(&runners.show, async || {
            let found = place.ledger.runners(runners.fleet.as_deref()).await;
            let mut found = found.map_err(|error| place.explained(error))?;
            found.retain(|it| runners.state.as_ref().is_none_or(|state| state == it.state.name()));
            let fleets = place.metas(runners.fleet.as_deref()).await?;
            Ok(list(&found, &fleets, SystemClock.now()))
        })
        .await
    })
}

fn list(runners: &[Runner], fleets: &BTreeMap<String, Meta>, now: Millis) -> List {
    List {
        headings: vec!["FLEET", "INSTANCE", "TYPE", "STATE", "AGE", "FOR", "LAST"],
        rows: runners.iter().map(|it| row(it, now)).collect(),
        json: runners.iter().map(|it| to_json(it, fleets.get(&it.fleet))).collect(),
        remarks: fleets.iter().filter_map(|(name, meta)| drain::remark(name, meta)).collect(),
    }
}

fn row(it: &Runner, now: Millis) -> Vec<Cell> {
    let light = match it.state {
        RunnerState::Launched | RunnerState::Warming => Light::Waiting,
        RunnerState::Registered | RunnerState::Standby | RunnerState::Stopping | RunnerState::Stopped => Light::Plain,
        RunnerState::Busy => Light::Busy,
        _ => Light::Over,
    };
    let last = it.history.entries().last().map(|entry| format!("{} {}", entry.what, entry.detail));
    vec![
        Cell::plain(&it.fleet),
        Cell::plain(&it.instance),
        Cell::maybe(it.instance_type.as_ref()),
        Cell::lit(it.state.name(), light),
        Cell::plain(&span(it.launched_at, now)),
        Cell::maybe(it.scope.as_ref()),
        Cell::maybe(last),
    ]
}

fn to_json(it: &Runner, fleet: Option<&Meta>) -> Value {
    let history = it.history.entries();
    json!({
        "fleet": it.fleet,
        "instance": it.instance,
        "runner_name": names::runner_name(&it.fleet, &it.instance),
        "runner_id": it.runner_id,
        "state": it.state.name(),
        "scope": it.scope.as_ref().map(ToString::to_string),
        "reservation": it.reservation,
        "market": it.market.map(Market::name),
        "instance_type": it.instance_type,
        "fleet_drained_at": fleet.and_then(|meta| meta.drained_at),
        "asks": it.asks,
        "reusable": it.reuse.is_some(),
        "launched_at": it.launched_at,
        "boot_deadline": it.boot_deadline,
        "trace": it.trace,
        "history": history.iter().map(crate::explain::entry).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeMap;

    use dayfly_control::{
        decide::runners::RunnerState,
        ledger::{Meta, Runner, Stops, history::History},
    };
    use serde_json::Value;

    pub(crate) fn runner(state: RunnerState) -> Runner {
        Runner {
            fleet: "linux-x64".into(),
            instance: "i-00000001".into(),
            state,
            reservation: "r1".into(),
            market: None,
            instance_type: Some("c7i.large".into()),
            asks: vec![],
            scope: None,
            installation: None,
            runner_id: Some(23),
            reuse: None,
            trace: None,
            history: History::default(),
            launched_at: 1_000,
            boot_deadline: 2_000,
            lease_until: 0,
            stops: Stops::default(),
            untouched: false,
            expires: None,
            version: 1,
        }
    }

    #[test]
    fn a_runner_is_shown_with_its_age_and_what_happened_last() {
        let mut it = runner(RunnerState::Busy);
        it.history.add(5_000, "busy", "job 7");
        let drained = BTreeMap::from([("linux-x64".to_owned(), Meta { drained_at: Some(5), ..Meta::default() })]);
        let list = super::list(&[it.clone()], &drained, 31_000);
        let row = format!("{:?}", list.rows[0]);
        assert!(row.contains("\"30s\"") && row.contains("\"busy job 7\"") && row.contains("\"c7i.large\""), "{row}");
        assert_eq!(list.json[0]["history"][0]["detail"], "job 7");
        assert_eq!(list.json[0]["runner_name"], "linux-x64-i-00000001");
        assert_eq!((&list.json[0]["fleet_drained_at"], list.remarks.len()), (&5.into(), 1));
        let well = super::list(&[it], &BTreeMap::new(), 31_000);
        assert_eq!((&well.json[0]["fleet_drained_at"], well.remarks.len()), (&Value::Null, 0));
    }
}
