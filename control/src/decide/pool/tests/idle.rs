//! Pools of runners that listen.

use super::*;

#[test]
fn so_many_idle_runners_listen_beyond_what_jobs_need() {
    let idle = Fleet { ephemeral: false, max: 4, ..with(pool(PoolKind::Idle, 2)) };
    let level = |queued, states: &[RunnerState]| {
        let mut level = view(queued, states);
        for it in &mut level.runners {
            it.reuse = Some(Reuse::default());
        }
        level
    };
    // Jobs, runners -> launched in all; never to stand by.
    for (queued, states, expected) in [
        (0, &[][..], 2),
        (0, &[Registered, Launched], 0),
        (1, &[Registered, Registered], 1),
        (0, &[Busy, Registered], 1),
        (0, &[Busy, Busy, Busy], 1),
        (2, &[Busy, Busy, Busy], 1),
        (0, &[Retiring, Registered], 1),
        (0, &[Registered, Registered, Registered], 0),
    ] {
        let planned = plan(&idle, &level(queued, states), NOW);
        assert_eq!((planned.launched(), told(&planned).2), (expected, 0), "{queued} {states:?}");
    }
}

#[test]
fn idle_runners_that_die_in_silence_are_replaced_once_that_is_known() {
    let fleet = Fleet { ephemeral: false, ..with(pool(PoolKind::Idle, 2)) };
    let mut level = view(0, &[Registered, Launched, Busy]);
    for it in &mut level.runners {
        (it.reuse, it.boot_deadline) = (Some(Reuse::default()), NOW);
    }
    assert_eq!(plan(&fleet, &level, NOW).launched(), 0);
    level.queued = vec![marker("linux-x64", 1)];
    assert_eq!(plan(&fleet, &level, NOW).launched(), 1, "no job relies upon them");
    level.runners[0].scope = Some("orgs/friends".parse().unwrap());
    level.queued.clear();
    assert_eq!(plan(&fleet, &level, NOW).launched(), 1, "it is none of the pool's");
}

#[test]
fn of_idle_runners_those_retire_that_are_too_many() {
    let pool = |size, eviction| Pool { eviction, ..pool(PoolKind::Idle, size) };
    let idle = |size, eviction| Fleet { ephemeral: false, ..with(pool(size, eviction)) };
    let level = |queued, states: &[RunnerState]| {
        let mut level = view(queued, states);
        level.runners.iter_mut().for_each(|it| it.reuse = Some(Reuse::default()));
        level
    };
    let asks = |fleet: &Fleet, level: &View| -> Vec<usize> {
        let may = |(n, it): (usize, &Runner)| may_retire(fleet, level, it, NOW).unwrap().then_some(n);
        level.runners.iter().enumerate().filter_map(may).collect()
    };
    let three = [Registered, Registered, Registered];
    for (size, eviction, queued, states, expected) in [
        (3, Eviction::Oldest, 0, &three[..], &[][..]),
        (1, Eviction::Oldest, 0, &three, &[0, 1]),
        (1, Eviction::Newest, 0, &three, &[1, 2]),
        (0, Eviction::Oldest, 0, &three, &[0, 1, 2]),
        (1, Eviction::Oldest, 1, &three, &[0]), // a job is about to get one
        (1, Eviction::Oldest, 0, &[Retiring, Registered, Busy, Registered], &[1]), // one goes already
        (1, Eviction::Oldest, 0, &[Busy, Registered, Launched], &[]),
    ] {
        assert_eq!(asks(&idle(size, eviction), &level(queued, states)), expected, "{size} {eviction:?} {queued}");
    }
    // What the pool does not count is not kept for it.
    let fleet = idle(1, Eviction::Oldest);
    let own = level(0, &[Registered]);
    for other in [
        Runner { asks: vec!["dayfly-pin=1".into()], ..own.runners[0].clone() },
        Runner { scope: Some("orgs/friends".parse().unwrap()), ..own.runners[0].clone() },
    ] {
        assert_eq!(may_retire(&fleet, &own, &other, NOW), None);
    }
    assert_eq!(may_retire(&pooled(1), &own, &own.runners[0], NOW), None, "it keeps none that listen");
    assert_eq!(retiring(own.runners[0].clone(), NOW).state, Retiring);
}
