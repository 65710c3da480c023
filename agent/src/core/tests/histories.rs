//! Histories that nobody thought of: random events at random times.

use proptest::prelude::*;
use proptest::sample::select;

use super::*;

/// A history: after so many milliseconds, the event.
fn history() -> impl Strategy<Value = Vec<(u64, Event)>> {
    let pause = prop_oneof![0_u64..50, 50_u64..20_000, 20_000_u64..10_000_000];
    prop::collection::vec((pause, select(events())), 1..120)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever happens whenever: each single step keeps the rules of [`Life::take`], and the life then ends.
    #[test]
    fn rules_hold_and_every_life_ends(history in history()) {
        let mut life = Life::new(limits());
        for (pause, event) in history {
            life.now = life.now + Duration::from_millis(pause);
            life = life.take(&event);
        }
        ends(life.clone(), true, true);
        ends(life, true, false);
    }

    /// With its job in it, an instance ends only by the runner's exit, or when time is over.
    #[test]
    fn a_job_is_left_alone(history in history()) {
        let limits = Limits { lifetime: None, ..limits() };
        let mut life = Life::new(limits);
        let road = [
            Event::Began,
            claimed(true),
            Event::Prepared,
            Event::Installed,
            Event::Started(RunnerId { pid: 7, start_ticks: 9 }),
            Event::Said { number: 1, saying: Saying::Listening },
            Event::Said { number: 2, saying: Saying::JobStarted { name: "build".to_owned() } },
        ];
        for event in &road {
            life = life.take(event);
        }
        for (pause, event) in history {
            // Hooks and the Worker may say what they like: the runner's word is that a job runs.
            if matches!(event, Event::Exited(_) | Event::StopAsked | Event::Notice(_) | Event::Said { .. }) {
                continue;
            }
            life.now = life.now + Duration::from_millis(pause);
            life = life.take(&event);
            prop_assert_eq!(life.state.name(), "Running");
        }
    }

    /// What a restarted agent reads again changes nothing.
    #[test]
    fn old_lines_are_heard_once(history in history(), again in select(events())) {
        let mut life = Life::new(limits());
        for (pause, event) in history {
            life.now = life.now + Duration::from_millis(pause);
            life = life.take(&event);
        }
        if let Event::Said { saying, .. } = again {
            let old = Event::Said { number: life.state.facts.heard, saying };
            prop_assert_eq!(step(life.state.clone(), old, life.now), (life.state, vec![]));
        }
    }
}
