use std::time::Duration;

use super::{
    AtEc2::{self, Ending, Gone, Running, Stopped, Unasked},
    AtGitHub, DARK, ItsJob, Sighting, Since,
    Verdict::{self, End, Forget, Keep},
    is_dark, is_silent, jobs_of, verdict,
};
use crate::{
    decide::runners::RunnerState::{self, Busy, Launched, Registered},
    ledger::{Reuse, Runner, Stops, tests::runner},
};

const EC2: [AtEc2; 5] = [Running, Stopped, Ending, Gone, Unasked];
const GITHUB: [AtGitHub; 5] =
    [AtGitHub::Online, AtGitHub::Busy, AtGitHub::Offline, AtGitHub::Absent, AtGitHub::Unasked];

fn all() -> impl Iterator<Item = Sighting> {
    let both = || [false, true].into_iter();
    RunnerState::ALL.into_iter().flat_map(move |state| {
        EC2.into_iter().flat_map(move |ec2| {
            GITHUB.into_iter().flat_map(move |github| {
                both().flat_map(move |silent| {
                    both().flat_map(move |unclaimed| {
                        both().flat_map(move |dark| {
                            both().flat_map(move |spared| {
                                [ItsJob::MayRun, ItsJob::Over].into_iter().map(move |job| Sighting {
                                    state,
                                    silent,
                                    spared,
                                    ec2,
                                    github,
                                    unclaimed,
                                    dark,
                                    job,
                                })
                            })
                        })
                    })
                })
            })
        })
    })
}

/// One row of the table: what it is for, and its verdict. An empty list is "any".
struct Row {
    states: &'static [RunnerState],
    silent: Option<bool>,
    spared: Option<bool>,
    ec2: &'static [AtEc2],
    github: &'static [AtGitHub],
    unclaimed: Option<bool>,
    dark: Option<bool>,
    job: Option<ItsJob>,
    verdict: Verdict,
}

const ANY: Row = Row {
    states: &[
        Launched,
        Registered,
        Busy,
        RunnerState::Warming,
        RunnerState::Standby,
        RunnerState::Stopping,
        RunnerState::Stopped,
        RunnerState::Withdrawn,
        RunnerState::Retiring,
    ],
    silent: Some(true),
    spared: None,
    ec2: &EC2,
    github: &GITHUB,
    unclaimed: None,
    dark: None,
    job: None,
    verdict: Keep,
};
const IDLE: &[RunnerState] = &[
    Launched,
    Registered,
    RunnerState::Warming,
    RunnerState::Standby,
    RunnerState::Stopping,
    RunnerState::Stopped,
    RunnerState::Withdrawn,
    RunnerState::Retiring,
];
const SEEN: &[AtGitHub] = &[AtGitHub::Online, AtGitHub::Busy, AtGitHub::Unasked];
const UNSEEN: &[AtGitHub] = &[AtGitHub::Offline, AtGitHub::Absent];

/// The table of the module, row by row.
const TABLE: [Row; 13] = [
    Row { states: &[RunnerState::Spent, RunnerState::Gone], silent: None, ..ANY },
    Row { silent: Some(false), ..ANY },
    Row { ec2: &[Unasked, Ending], ..ANY },
    Row { ec2: &[Gone], verdict: Forget, ..ANY },
    Row { ec2: &[Running, Stopped], github: SEEN, ..ANY },
    Row { ec2: &[Stopped], github: UNSEEN, states: IDLE, verdict: End, ..ANY },
    Row { ec2: &[Running, Stopped], github: UNSEEN, states: &[Busy], job: Some(ItsJob::Over), verdict: End, ..ANY },
    Row { ec2: &[Running, Stopped], github: UNSEEN, states: &[Busy], job: Some(ItsJob::MayRun), ..ANY },
    Row { ec2: &[Running], github: UNSEEN, states: IDLE, spared: Some(true), ..ANY },
    Row {
        ec2: &[Running],
        github: UNSEEN,
        states: IDLE,
        spared: Some(false),
        unclaimed: Some(true),
        dark: None,
        verdict: End,
        ..ANY
    },
    Row {
        ec2: &[Running],
        github: UNSEEN,
        states: IDLE,
        spared: Some(false),
        unclaimed: Some(false),
        dark: Some(true),
        verdict: End,
        ..ANY
    },
    Row {
        ec2: &[Running],
        github: UNSEEN,
        states: IDLE,
        spared: Some(false),
        unclaimed: Some(false),
        dark: Some(false),
        ..ANY
    },
    // Nothing: the table above has every combination.
    Row { states: &[], ..ANY },
];

impl Row {
    fn holds(&self, it: Sighting) -> bool {
        self.states.contains(&it.state)
            && self.silent.is_none_or(|silent| silent == it.silent)
            && self.spared.is_none_or(|spared| spared == it.spared)
            && self.ec2.contains(&it.ec2)
            && self.github.contains(&it.github)
            && self.unclaimed.is_none_or(|unclaimed| unclaimed == it.unclaimed)
            && self.dark.is_none_or(|dark| dark == it.dark)
            && self.job.is_none_or(|job| job == it.job)
    }
}

#[test]
fn every_combination_is_in_one_row_of_the_table_and_judged_by_it() {
    assert_eq!(all().count(), 11 * 5 * 5 * 32);
    for it in all() {
        let rows: Vec<&Row> = TABLE.iter().filter(|row| row.holds(it)).collect();
        assert_eq!(rows.len(), 1, "{it:?} is in one row");
        assert_eq!(verdict(&it), rows[0].verdict, "{it:?}");
    }
}

/// Each condition that is for safety, as the sighting in which it alone is not met.
fn unsafe_twins(it: Sighting) -> Vec<(&'static str, Sighting)> {
    let mut twins = vec![("the agent is heard", Sighting { silent: false, ..it })];
    if verdict(&it) == Forget {
        // Gone from EC2 is all there is, so the twin is an instance that is there, with a runner at work.
        twins.push(("EC2 has it", Sighting { ec2: Running, github: AtGitHub::Online, ..it }));
        twins.push(("EC2 is not asked", Sighting { ec2: Unasked, ..it }));
        return twins;
    }
    twins.push(("EC2 is not asked", Sighting { ec2: Unasked, ..it }));
    twins.push(("GitHub is not asked", Sighting { github: AtGitHub::Unasked, ..it }));
    twins.push(("it is online", Sighting { github: AtGitHub::Online, ..it }));
    twins.push(("GitHub takes it for busy", Sighting { github: AtGitHub::Busy, ..it }));
    twins.push(("its job may run", Sighting { state: Busy, job: ItsJob::MayRun, ..it }));
    if it.state != Busy {
        let claimed = Sighting { ec2: Running, unclaimed: false, dark: false, ..it };
        twins.push(("it may have claimed and been seen just now", claimed));
        twins.push(("nobody is heard", Sighting { ec2: Running, spared: true, ..it }));
    }
    twins
}

#[test]
fn without_any_one_of_the_safety_rules_it_is_kept() {
    let mut judged = 0;
    for it in all().filter(|it| verdict(it) != Keep) {
        for (rule, twin) in unsafe_twins(it) {
            assert_eq!(verdict(&twin), Keep, "{rule}: {twin:?}");
            judged += 1;
        }
    }
    assert!(judged > 500, "{judged}");
}

#[test]
fn a_live_busy_instance_is_never_ended() {
    for it in all().filter(|it| verdict(it) == End) {
        assert!(it.silent && it.state.is_alive(), "{it:?}");
        assert!(UNSEEN.contains(&it.github), "{it:?}");
        assert!(it.state != Busy || it.job == ItsJob::Over, "{it:?}");
    }
}

#[test]
fn an_agent_has_until_its_deadline() {
    let silence = Duration::from_mins(10);
    let it = |state| Runner { state, launched_at: 1_000_000, boot_deadline: 1_300_000, ..runner("linux-x64", 1) };
    // heard last, now -> silent
    let cases = [
        (None, 1_300_000, false),
        (None, 1_599_999, false),
        (None, 1_600_000, true),
        (Some(1_100_000), 1_699_999, false),
        (Some(1_100_000), 1_700_000, true),
        // An instance of an earlier life, or a clock that was wrong.
        (Some(5), 1_599_999, false),
        (Some(9_000_000), 1_700_000, false),
    ];
    for (heard, now, silent) in cases {
        for state in [Launched, Registered, Busy] {
            assert_eq!(is_silent(&it(state), heard, silence, now), silent, "{state:?} {heard:?} {now}");
        }
        assert!(!is_silent(&it(RunnerState::Spent), heard, silence, u64::MAX), "its instance is known to be gone");
    }
    for state in [RunnerState::Stopping, RunnerState::Stopped] {
        assert!(!is_silent(&it(state), Some(5), silence, u64::MAX), "it has nothing to say");
    }
    // It was heard of, stopped, and is started for a job.
    let stops = Stops { at: Some(1_200_000), started_at: Some(9_000_000), before: 0 };
    let started = Runner { stops, boot_deadline: 9_300_000, ..it(Launched) };
    assert!(!is_silent(&started, Some(1_100_000), silence, 9_599_999), "it boots again");
    assert!(is_silent(&started, Some(1_100_000), silence, 9_600_000));
    assert!(!is_silent(&started, Some(9_100_000), silence, 9_699_999));
    let claimed = Runner { stops: Stops { started_at: None, ..stops }, ..started.clone() };
    assert!(!is_silent(&claimed, Some(1_100_000), silence, 9_299_999), "it is not even started");
    assert!(is_silent(&claimed, Some(1_100_000), silence, 9_300_000));
    let slow = Runner { boot_deadline: 9_900_000, ..started };
    assert!(!is_silent(&slow, Some(1_100_000), silence, 9_899_999), "it was heard of in another boot");
    let slow = Runner { boot_deadline: 3_000_000, ..it(Launched) };
    assert!(!is_silent(&slow, None, silence, 2_999_999) && is_silent(&slow, None, silence, 3_000_000));
}

#[test]
fn dark_is_what_stays_unseen() {
    let dark = u64::try_from(DARK.as_millis()).unwrap();
    let mut unseen = Since::default();
    assert!(!is_dark(&mut unseen, "a", 1) && !is_dark(&mut unseen, "a", dark));
    assert!(is_dark(&mut unseen, "a", dark + 1));
    unseen.retain(|_| false);
    assert!(!is_dark(&mut unseen, "a", 2 * dark), "it was seen in between");
}

#[test]
fn a_runners_jobs_are_told_by_what_it_went_through() {
    let mut it = runner("linux-x64", 1);
    assert!(jobs_of(&it).is_empty());
    it.history.add(1, "registered", "as runner 7");
    it.history.add(2, "busy", "job 41");
    assert_eq!(jobs_of(&it), [41]);
    it.reuse = Some(Reuse { running: vec![42, 43], told_at: None });
    assert_eq!(jobs_of(&it), [42, 43]);
}
