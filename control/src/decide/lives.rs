//! What is kept of instances for reports: their types while they live, and what they were once they have ended.

use std::collections::BTreeMap;

use crate::{
    clock::{Millis, seconds},
    ledger::{Life, Runner, Write},
};

/// How long a life is kept: as long as a job that is done.
pub const KEPT_SECONDS: u64 = 7 * 24 * 3600;

/// The same `writes` and `runners` of a launch, with the types of their instances as far as EC2 told them.
#[must_use]
pub fn typed(
    (mut writes, mut runners): (Vec<Write>, Vec<Runner>),
    types: &BTreeMap<String, String>,
) -> (Vec<Write>, Vec<Runner>) {
    let put = writes.iter_mut().filter_map(|it| if let Write::PutRunner(runner) = it { Some(runner) } else { None });
    for runner in put.chain(&mut runners) {
        runner.instance_type = types.get(&runner.instance).cloned().or(runner.instance_type.take());
    }
    (writes, runners)
}

/// The same `writes` of an end, and what is kept of the instance of `runner`: in the one transaction by which it stops
/// being counted, so that it is kept once, however often its end is told.
#[must_use]
pub fn kept(mut writes: Vec<Write>, runner: Option<&Runner>, now: Millis) -> Vec<Write> {
    let ends = writes.iter().any(|write| matches!(write, Write::Free { count: 1.., .. }));
    if let Some(runner) = runner.filter(|_| ends) {
        writes.push(Write::PutLife(Life {
            fleet: runner.fleet.clone(),
            instance: runner.instance.clone(),
            instance_type: runner.instance_type.clone(),
            market: runner.market,
            launched_at: runner.launched_at,
            ended_at: now.max(runner.launched_at),
            stopped_ms: runner.stops.total(now),
            expires: seconds(now) + KEPT_SECONDS,
        }));
    }
    writes
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{kept, typed};
    use crate::{
        decide::{
            events::{self, Terms},
            runners::RunnerState,
        },
        ledger::{
            Life, Runner, Stops, Write,
            tests::{instance, reservation, runner},
        },
    };

    const NOW: u64 = 1_100_000;

    #[test]
    fn a_runner_is_written_down_with_its_instances_type() {
        let terms = Terms { boot_seconds: 300, lease_until: NOW, reusable: false, now: NOW };
        let came = [instance(1), instance(2)];
        let launched = events::resolved(&reservation("linux-x64", "r1", 2), &came, &[], terms);
        let types = BTreeMap::from([(instance(2), "m7i.large".to_owned())]);
        let (writes, runners) = typed(launched, &types);
        let expected = [None, Some("m7i.large".to_owned())];
        assert_eq!(runners.iter().map(|it| it.instance_type.clone()).collect::<Vec<_>>(), expected);
        let put = writes.iter().filter_map(|it| if let Write::PutRunner(it) = it { Some(it) } else { None });
        assert_eq!(put.map(|it| it.instance_type.clone()).collect::<Vec<_>>(), expected, "in the ledger too");
    }

    #[test]
    fn a_life_is_kept_when_its_instance_stops_being_counted_and_never_again() {
        // It was stopped for 30 s, and again since 10 s ago.
        let stops = Stops { at: Some(NOW - 10_000), started_at: None, before: 30_000 };
        let lives = |state| {
            let it =
                Runner { state, version: 1, instance_type: Some("c7i.large".into()), stops, ..runner("linux-x64", 1) };
            let writes = kept(events::given_up(it.clone()), Some(&it), NOW);
            writes.into_iter().filter_map(|it| if let Write::PutLife(it) = it { Some(it) } else { None }).collect()
        };
        let expected = Life {
            fleet: "linux-x64".into(),
            instance: instance(1),
            instance_type: Some("c7i.large".into()),
            market: runner("linux-x64", 1).market,
            launched_at: 1_000_000,
            ended_at: NOW,
            stopped_ms: 40_000,
            expires: NOW / 1000 + super::KEPT_SECONDS,
        };
        for state in RunnerState::ALL {
            let found: Vec<Life> = lives(state);
            let alive = if state.is_alive() { vec![expected.clone()] } else { vec![] };
            assert_eq!(found, alive, "{state:?}");
        }
        assert_eq!(kept(vec![], None, NOW), []);
    }
}
