use super::{
    META, from_doubt, from_job, from_last_error, from_last_plan, from_manual, from_marker, from_offers,
    from_reservation, from_runner, key, to_doubt, to_job, to_manual, to_marker, to_meta, to_offers, to_reservation,
    to_runner,
};
use crate::{
    decide::{
        breaker::{Breaker, Breakers},
        doubt::Why,
    },
    fleets::Market,
    ledger::{
        Doubt, Job, LastError, LastPlan, Manual, Marker, Offers, Reservation, Reuse, Runner,
        history::History,
        tests::{job, marker, reservation, runner},
    },
};

#[test]
fn every_record_comes_back_with_its_next_version() {
    let full = Job { runner_name: Some("r".into()), running_at: Some(3), ..job(7, "linux-x64") };
    assert_eq!(to_job(&from_job(&full)).unwrap(), Job { version: 1, ..full });
    let bare = Job { installation: None, queued_at: None, labels: vec![], ..job(7, "linux-x64") };
    assert_eq!(to_job(&from_job(&bare)).unwrap(), Job { version: 1, ..bare });
    assert_eq!(to_marker(&from_marker(&marker("linux-x64", 7))).unwrap(), marker("linux-x64", 7));
    let asks = vec!["dayfly-cpu=8".into(), "gpu".into()];
    let asking = Marker { asks, on_demand: true, ..marker("linux-x64", 7) };
    assert_eq!(to_marker(&from_marker(&asking)).unwrap(), asking);
    for why in [Why::Held, Why::Fork { otherwise: None }, Why::Fork { otherwise: Some("open".into()) }] {
        let it = Doubt { fleet: "linux-x64".into(), job: 7, why, since: 1, ask_at: 2, expires: 3 };
        assert_eq!(to_doubt(&from_doubt(&it)).unwrap(), it);
    }
    let it = Reservation {
        standby: true,
        group: 1,
        market: Some(Market::Spot),
        without: vec!["spot/subnet-1/c7i.large".into()],
        asks: vec!["gpu".into()],
        version: 4,
        ..reservation("linux-x64", "r1", 3)
    };
    assert_eq!(to_reservation(&from_reservation(&it)).unwrap(), Reservation { version: 5, ..it });
    let it = Runner { market: Some(Market::Spot), asks: vec!["gpu".into()], untouched: true, ..runner("linux-x64", 1) };
    assert_eq!(to_runner(&from_runner(&it)).unwrap(), Runner { version: 1, ..it });
    let it = Runner { scope: None, runner_id: Some(3), expires: Some(9), ..runner("linux-x64", 1) };
    assert_eq!(to_runner(&from_runner(&it)).unwrap(), Runner { version: 1, ..it });
    for reuse in [Reuse::default(), Reuse { running: vec![7, 8], told_at: Some(9) }] {
        let it = Runner { reuse: Some(reuse), ..runner("linux-x64", 1) };
        assert_eq!(to_runner(&from_runner(&it)).unwrap(), Runner { version: 1, ..it });
    }
}

#[test]
fn what_is_heard_of_again_is_not_what_was_forgotten() {
    use crate::decide::runners::RunnerState::{self, Busy, Gone, Launched, Registered, Spent, Standby, Warming};
    let written = |state: RunnerState, version| {
        to_runner(&from_runner(&Runner { state, version, ..runner("linux-x64", 1) })).unwrap().version
    };
    for state in [Launched, Warming] {
        assert_eq!(written(state, 0), 1, "{state:?}: whoever launched it goes on with that");
    }
    for state in [Gone, Busy, Registered, Spent, Standby] {
        assert!(written(state, 0) > 1000, "{state:?}: nobody who saw it launched takes it for that");
        assert_eq!(written(state, 7), 8);
    }
}

#[test]
fn what_an_older_version_wrote_is_read() {
    let mut item = from_reservation(&reservation("linux-x64", "r1", 3));
    item.retain(|name, _| !["group", "market", "without", "asks"].contains(&name.as_str()));
    let read = to_reservation(&item).unwrap();
    assert_eq!(read, Reservation { market: None, version: 1, ..reservation("linux-x64", "r1", 3) });
    let mut item = from_runner(&runner("linux-x64", 1));
    item.retain(|name, _| !["market", "asks"].contains(&name.as_str()));
    assert_eq!(to_runner(&item).unwrap(), Runner { market: None, version: 1, ..runner("linux-x64", 1) });
    assert!(!from_marker(&marker("linux-x64", 7)).contains_key("asks"), "as an older version writes it");
}

#[test]
fn breakers_and_the_last_error_come_back() {
    let breaker = Breaker { failures: 2, until: 7_000, why: "no such App".into() };
    let breakers = Breakers([("spot/subnet-1/c7i.large".to_owned(), breaker)].into());
    let it = Offers { fleet: "linux-x64".into(), breakers, version: 3 };
    assert_eq!(to_offers(&from_offers(&it)).unwrap(), Offers { version: 4, ..it });
    let error = LastError { code: "InvalidAMIID.NotFound".into(), message: "no".into(), at: 5, count: 2 };
    let item = [("last_error".to_owned(), from_last_error(&error))].into();
    assert_eq!(to_meta(&item).last_error, Some(error));
}

#[test]
fn histories_traces_plans_and_what_people_ask_for_come_back() {
    let mut history = History::default();
    history.add(3, "queued", "routed to fleet linux-x64");
    history.add(4, "done", "");
    let it = Job { history: history.clone(), ..job(7, "linux-x64") };
    assert_eq!(to_job(&from_job(&it)).unwrap(), Job { version: 1, ..it });
    let instance_type = Some("c7i.large".to_owned());
    let it = Runner { history, trace: Some("1-x".into()), instance_type, ..runner("linux-x64", 1) };
    assert_eq!(to_runner(&from_runner(&it)).unwrap(), Runner { version: 1, ..it });
    let it = Reservation { trace: Some("1-x".into()), ..reservation("linux-x64", "r1", 3) };
    assert_eq!(to_reservation(&from_reservation(&it)).unwrap(), Reservation { version: 1, ..it });
    let plan = LastPlan { at: 1, demand: 2, supply: 3, launched: 4, held_back: 5, max: 6, paused_until: 7 };
    let mut meta = key("fleet#x".into(), META.into());
    assert_eq!(to_meta(&meta).last_plan, None);
    meta.insert("last_plan".into(), from_last_plan(&plan));
    assert_eq!(to_meta(&meta).last_plan, Some(plan));
    assert_eq!(to_meta(&meta).drained_at, None, "as an older version wrote it");
    meta.insert("drained_at".into(), super::number(8_u64));
    assert_eq!(to_meta(&meta).drained_at, Some(8));
    let it = Manual {
        fleet: "linux-x64".into(),
        id: "m".into(),
        count: 2,
        repository: "octo-org/octo-repo".into(),
        installation: None,
        created_at: 5,
        expires: 6,
    };
    assert_eq!(to_manual(&from_manual(&it)).unwrap(), it);
}

#[test]
fn a_bad_item_names_its_key_and_field() {
    let mut item = from_runner(&runner("linux-x64", 1));
    item.insert("state".into(), super::text("asleep"));
    let error = to_runner(&item).unwrap_err().to_string();
    assert_eq!(error, "item fleet#linux-x64 / runner#i-00000000000000001 has no good \"state\"");
}
