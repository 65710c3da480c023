//! `dayfly runners`: the runners of the ledger.

use anyhow::Result;
use clap::Args;
use dayfly_contract::names;
use dayfly_control::{
    clock::{Clock, Millis, SystemClock},
    decide::runners::RunnerState,
    fleets::Market,
    ledger::Runner,
};
use serde_json::{Value, json};

use crate::{
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
            Ok(list(&found, SystemClock.now()))
        })
        .await
    })
}

fn list(runners: &[Runner], now: Millis) -> List {
    List {
        headings: vec!["FLEET", "INSTANCE", "STATE", "AGE", "FOR", "LAST"],
        rows: runners.iter().map(|it| row(it, now)).collect(),
        json: runners.iter().map(to_json).collect(),
    }
}

fn row(it: &Runner, now: Millis) -> Vec<Cell> {
    let light = match it.state {
        RunnerState::Launched | RunnerState::Warming => Light::Waiting,
        RunnerState::Registered | RunnerState::Standby => Light::Plain,
        RunnerState::Busy => Light::Busy,
        _ => Light::Over,
    };
    let last = it.history.entries().last().map(|entry| format!("{} {}", entry.what, entry.detail));
    vec![
        Cell::plain(&it.fleet),
        Cell::plain(&it.instance),
        Cell::lit(it.state.name(), light),
        Cell::plain(&span(it.launched_at, now)),
        Cell::maybe(it.scope.as_ref()),
        Cell::maybe(last),
    ]
}

fn to_json(it: &Runner) -> Value {
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
        "asks": it.asks,
        "reusable": it.reuse.is_some(),
        "launched_at": it.launched_at,
        "boot_deadline": it.boot_deadline,
        "trace": it.trace,
        "history": history.iter().map(crate::explain::entry).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use dayfly_control::{
        decide::runners::RunnerState,
        ledger::{Runner, history::History},
    };

    #[test]
    fn a_runner_is_shown_with_its_age_and_what_happened_last() {
        let mut history = History::default();
        history.add(5_000, "busy", "job 7");
        let it = Runner {
            fleet: "linux-x64".into(),
            instance: "i-00000001".into(),
            state: RunnerState::Busy,
            reservation: "r1".into(),
            market: None,
            asks: vec![],
            scope: None,
            installation: None,
            runner_id: Some(23),
            reuse: None,
            trace: None,
            history,
            launched_at: 1_000,
            boot_deadline: 2_000,
            lease_until: 0,
            untouched: false,
            expires: None,
            version: 1,
        };
        let list = super::list(&[it], 31_000);
        let row = format!("{:?}", list.rows[0]);
        assert!(row.contains("\"30s\"") && row.contains("\"busy job 7\""), "{row}");
        assert_eq!(list.json[0]["history"][0]["detail"], "job 7");
        assert_eq!(list.json[0]["runner_name"], "linux-x64-i-00000001");
    }
}
