//! What a burst costs, by kind of call.

use super::{
    Deps, Fleet, Marker, Owed, batch, deps_of, fleet, handle, later, marker, pass, run, runners, wake_up, world,
};
use crate::{
    decide::{
        bucket::{Bucket, Limits},
        runners::RunnerState,
    },
    simulation::world::Port,
};

/// AWS's calls, and GitHub's.
const AWS: [&str; 8] = [
    "ledger.view",
    "ledger.queued",
    "ledger.take",
    "ledger.commit",
    "compute.launch",
    "handover.put",
    "ledger.tell",
    "wake.wake",
];
const GITHUB: &str = "github.jit_config";

/// Plays `jobs` at the pace of a small account, by processes that owe what `owed` says; answers the calls of each kind.
fn calls(jobs: u64, owed: Owed) -> (Vec<u64>, u64, u64) {
    let port: Port = world(jobs);
    let of = Fleet { max: 1000, ..fleet("linux-x64") };
    let deps = Deps { limits: Limits::default(), owed, ..deps_of(&port, of) };
    let begin = port.0.now.get();
    for _ in 0..20 {
        run(handle(&deps, &batch(&[wake_up("linux-x64")]), port.0.now.get() + 30_000));
        if runners(&port, RunnerState::Registered) as u64 == jobs {
            break;
        }
        pass(&port, later(&port).into_iter().max().unwrap());
    }
    assert_eq!(runners(&port, RunnerState::Registered) as u64, jobs);
    let known = |it: &&str| AWS.contains(it) || it.starts_with("github.");
    assert!(port.0.calls.borrow().keys().all(known), "{:?}", port.0.calls.borrow());
    (AWS.map(|call| port.0.called(call)).to_vec(), port.0.called(GITHUB), (port.0.now.get() - begin) / 1000)
}

#[test]
fn a_runner_costs_one_call_to_github_and_few_to_aws() {
    // Jobs, and the calls: level, queued, turns, transactions, CreateFleet, PutParameter, told, woken.
    let cases: [(u64, [u64; 8]); 4] = [
        (1, [1, 0, 0, 3, 1, 1, 0, 0]),
        (3, [1, 0, 1, 5, 1, 3, 0, 0]),
        (10, [1, 0, 2, 12, 1, 10, 0, 0]),
        (100, [2, 2, 7, 110, 5, 100, 0, 1]),
    ];
    for (jobs, expected) in cases {
        let (aws, github, seconds) = calls(jobs, Owed::default());
        assert_eq!((aws.as_slice(), github), (expected.as_slice(), jobs), "{jobs} jobs, in {seconds} s");
        let sum: u64 = aws.iter().sum();
        assert!(jobs == 1 || sum <= jobs * 5, "{jobs} jobs: {sum} calls");
        assert!(sum <= 6 * jobs && seconds <= jobs / 3 + 1, "{jobs} jobs: {sum} calls in {seconds} s");
    }
}

#[test]
fn who_owes_pays_with_the_next_turns() {
    let owed = Owed::default();
    let port: Port = world(1);
    let deps = Deps { limits: Limits::default(), owed, ..deps_of(&port, fleet("linux-x64")) };
    run(handle(&deps, &batch(&[wake_up("linux-x64")]), port.0.now.get() + 30_000));
    assert_eq!((port.0.called("ledger.take"), port.0.ledger.borrow().buckets.len()), (0, 0));
    let (aws, ..) = calls(1, deps.owed);
    assert_eq!(aws.iter().sum::<u64>(), 7, "every other single launch asks");
}

#[test]
fn what_is_owed_is_paid_once_and_whole() {
    let port: Port = world(0);
    let limits = Limits { ec2: 20, ssm: 0, github: 170 };
    let deps = Deps { limits, ..deps_of(&port, fleet("linux-x64")) };
    let now = port.0.now.get();
    // Each second look pays for two.
    for (job, calls, paid) in [(1, 0, 0), (2, 1, 2), (3, 1, 2), (4, 2, 4)] {
        let it = Marker { queued_at: now, expires: now / 1000 + 3600, ..marker("linux-x64", job) };
        port.0.ledger.borrow_mut().markers.insert(("linux-x64".into(), job), it);
        run(handle(&deps, &batch(&[wake_up("linux-x64")]), now + 30_000));
        assert_eq!((runners(&port, RunnerState::Registered) as u64, port.0.called("ledger.take")), (job, calls));
        let taken = |bucket, share: u64| {
            let full = port.0.ledger.borrow().buckets.get(&bucket).copied().unwrap_or(now * 1000);
            (full - now * 1000).div_ceil(share)
        };
        assert_eq!((taken(Bucket::Ec2, 50_000), taken(Bucket::GitHub, 352_942)), (paid, paid), "job {job}");
    }
    // And beside the registrations of a burst.
    for job in 5..=15 {
        let it = Marker { queued_at: now, expires: now / 1000 + 3600, ..marker("linux-x64", job) };
        port.0.ledger.borrow_mut().markers.insert(("linux-x64".into(), job), it);
        if matches!(job, 5 | 15) {
            run(handle(&deps, &batch(&[wake_up("linux-x64")]), now + 30_000));
        }
    }
    let full = port.0.ledger.borrow().buckets[&Bucket::GitHub];
    assert_eq!((full - now * 1000).div_ceil(352_942), 15, "one for each runner");
}
