use dayfly_contract::{Job as RanJob, Kind, Lifecycle};

use super::{Changes, JobEvent, Terms, counted, ended, job_event, ran_job, registered, resolved, resolved_in_part};
use crate::{
    decide::{jobs::JobState, runners::RunnerState},
    ledger::{
        Failure, Job, Reservation, Runner, Write,
        history::History,
        tests::{instance, job, marker, reservation, runner},
    },
};

const NOW: u64 = 2_000_000;
const TERMS: Terms = Terms { boot_seconds: 300, lease_until: 5, reusable: false, now: NOW };

pub(crate) fn event(state: JobState) -> JobEvent {
    JobEvent {
        state,
        id: 7,
        asks: vec![],
        labels: vec!["self-hosted".into(), "linux".into()],
        repository: "octo-org/octo-repo".into(),
        public_fork: false,
        run_id: 5,
        run_attempt: 1,
        installation: Some(77),
        runner_name: None,
        runner_id: None,
        conclusion: None,
        waited_ms: None,
    }
}

/// Without the histories, which have tests of their own.
fn bare(writes: &[Write]) -> Vec<Write> {
    let bare = |write: &Write| match write.clone() {
        Write::PutJob(job) => Write::PutJob(Job { history: History::default(), ..job }),
        Write::PutRunner(runner) => Write::PutRunner(Runner { history: History::default(), ..runner }),
        write => write,
    };
    writes.iter().map(bare).collect()
}

fn known(state: JobState) -> Job {
    Job { state, version: 3, ..job(7, "linux-x64") }
}

fn take(fleet: &str) -> Write {
    Write::TakeMarker { fleet: fleet.into(), job: 7 }
}

fn busy(runner: Runner) -> Write {
    Write::PutRunner(Runner { state: RunnerState::Busy, ..runner })
}

#[test]
fn a_queued_job_is_marked_and_its_fleet_woken() {
    let Changes { writes, wake } = job_event(&event(JobState::Queued), None, "linux-x64", None, NOW);
    let mut marker = marker("linux-x64", 7);
    (marker.queued_at, marker.expires) = (NOW, 2000 + 24 * 3600);
    let job = Job { queued_at: Some(NOW), expires: 2000 + 7 * 24 * 3600, ..job(7, "linux-x64") };
    assert_eq!(bare(&writes), [Write::PutMarker(marker), Write::PutJob(job)]);
    assert_eq!(wake, ["linux-x64"]);
}

#[test]
fn a_repeated_or_late_queued_only_wakes() {
    let again = job_event(&event(JobState::Queued), Some(known(JobState::Queued)), "x", None, NOW);
    assert_eq!(again, Changes { writes: vec![], wake: vec!["linux-x64".into()] });
    let late = job_event(&event(JobState::Queued), Some(known(JobState::Running)), "x", None, NOW);
    assert_eq!(late, again, "the job may have got another's runner, before whoever marked it had the fleet woken");
}

#[test]
fn a_job_and_its_runner_change_together() {
    let it = runner("linux-x64", 1);
    let changes = job_event(&event(JobState::Running), Some(known(JobState::Queued)), "x", Some(it.clone()), NOW);
    assert_eq!(changes.writes[0], take("linux-x64"));
    assert!(matches!(&changes.writes[1], Write::PutJob(job) if job.state == JobState::Running && job.version == 3));
    assert_eq!(bare(&changes.writes[2..]), [busy(it)]);
    assert!(changes.wake.is_empty(), "demand and supply went together");
}

#[test]
fn a_runner_used_up_for_a_job_its_fleet_did_not_count_wakes_its_fleet() {
    let other = runner("big", 1);
    let stolen = job_event(&event(JobState::Running), Some(known(JobState::Queued)), "x", Some(other.clone()), NOW);
    assert!(stolen.writes.contains(&take("linux-x64")) && bare(&stolen.writes).contains(&busy(other)));
    assert_eq!(stolen.wake, ["big"]);
    let early = job_event(&event(JobState::Running), None, "linux-x64", Some(runner("linux-x64", 1)), NOW);
    assert_eq!(early.wake, ["linux-x64"], "`queued` has not come yet");
    let repeated = Runner { state: RunnerState::Busy, ..runner("linux-x64", 1) };
    let repeated = job_event(&event(JobState::Done), Some(known(JobState::Running)), "x", Some(repeated), NOW);
    assert!(repeated.wake.is_empty() && repeated.writes.len() == 1, "{repeated:?}");
}

#[test]
fn a_repeated_event_wakes_the_fleet_again_that_did_not_count_the_job() {
    let busy = |fleet| Some(Runner { state: RunnerState::Busy, ..runner(fleet, 1) });
    for state in [JobState::Running, JobState::Done] {
        let again = job_event(&event(state), Some(known(state)), "x", busy("big"), NOW);
        assert_eq!(again, Changes { writes: vec![], wake: vec!["big".into()] }, "of another fleet");
        let early = Job { queued_at: None, ..known(state) };
        let again = job_event(&event(state), Some(early), "x", busy("linux-x64"), NOW);
        assert_eq!(again, Changes { writes: vec![], wake: vec!["linux-x64".into()] }, "`queued` has not come yet");
        let again = job_event(&event(state), Some(known(state)), "x", busy("linux-x64"), NOW);
        assert_eq!(again, Changes::default(), "of its own");
    }
}

#[test]
fn a_repeated_event_wakes_also_where_the_runner_is_gone_by_now() {
    let name = |fleet: &str| Some(format!("{fleet}-{}", instance(1)));
    for state in [JobState::Running, JobState::Done] {
        let wakes = |runner_name, queued_at| {
            let event = JobEvent { runner_name, ..event(state) };
            job_event(&event, Some(Job { queued_at, ..known(state) }), "x", None, NOW).wake
        };
        assert_eq!(wakes(name("linux-x64"), None), ["linux-x64"], "`queued` has not come: the job was not counted");
        assert_eq!(wakes(name("big"), Some(1)), ["big"], "the job was counted elsewhere");
        assert!(wakes(name("linux-x64"), Some(1)).is_empty(), "its own");
        assert!(wakes(Some("somebody-elses".into()), None).is_empty() && wakes(None, None).is_empty());
    }
}

#[test]
fn a_spent_runner_goes_with_the_webhook_it_stood_in_for() {
    let spent = Runner { state: RunnerState::Spent, expires: Some(9), ..runner("linux-x64", 1) };
    for state in [JobState::Running, JobState::Done] {
        let changes = job_event(&event(state), Some(known(JobState::Queued)), "x", Some(spent.clone()), NOW);
        assert!(changes.writes.contains(&Write::DropRunner(spent.clone())) && changes.wake.is_empty(), "{changes:?}");
    }
}

#[test]
fn a_queued_event_with_a_runners_name_does_not_touch_the_runner() {
    // GitHub's own samples name a runner in `queued`.
    let changes = job_event(&event(JobState::Queued), None, "linux-x64", Some(runner("linux-x64", 1)), NOW);
    assert!(!changes.writes.iter().any(|it| matches!(it, Write::PutRunner(_) | Write::DropRunner(_))));
}

fn message(kind: Kind) -> Lifecycle {
    Lifecycle::new(kind, &instance(1), "linux-x64")
}

fn after_job() -> Lifecycle {
    let job = RanJob { name: "build".into(), ..RanJob::default() };
    Lifecycle { job: Some(job), reservation: Some("r1".into()), ..message(Kind::Finished) }
}

fn free(ran_job: bool) -> Write {
    Write::Free { fleet: "linux-x64".into(), count: 1, ran_job, failure: None }
}

#[test]
fn an_end_settles_the_runner_and_the_count() {
    let it = runner("linux-x64", 1);
    let is_busy = Runner { state: RunnerState::Busy, ..it.clone() };
    assert_eq!(ended(&after_job(), Some(is_busy.clone()), NOW), [Write::DropRunner(is_busy), free(true)]);
    assert_eq!(ended(&message(Kind::Failed), Some(it.clone()), NOW), [Write::DropRunner(it.clone()), free(false)]);
    let spent = Runner { state: RunnerState::Spent, expires: Some(2000 + 600), ..it };
    let writes = ended(&after_job(), Some(runner("linux-x64", 1)), NOW);
    assert_eq!(bare(&writes), [Write::PutRunner(spent.clone()), free(true)]);
    assert_eq!(ended(&after_job(), Some(spent), NOW), [], "the same message again");
    assert_eq!(ended(&after_job(), None, NOW), [], "and again");
}

#[test]
fn an_end_that_overtook_the_ledger_is_remembered_and_left_out() {
    let writes = ended(&message(Kind::Failed), None, NOW);
    let [Write::PutRunner(gone)] = &writes[..] else { panic!("{writes:?}") };
    assert_eq!((gone.state, gone.version, gone.expires), (RunnerState::Gone, 0, Some(2000 + 24 * 3600)));

    let reserved = reservation("linux-x64", "r1", 3);
    let gone = Runner { version: 1, ..gone.clone() };
    let (writes, runners) = resolved(&reserved, &[instance(1), instance(2)], std::slice::from_ref(&gone), TERMS);
    // It boots from its launch, and not from its reservation, which may have waited for its turn.
    let boot_deadline = NOW + 300_000;
    let lives = Runner { lease_until: 5, boot_deadline, ..runner("linux-x64", 2) };
    let expected = [
        Write::DropReservation(reserved),
        Write::PutRunner(lives.clone()),
        Write::DropRunner(gone),
        Write::Free { fleet: "linux-x64".into(), count: 2, ran_job: false, failure: None },
    ];
    assert_eq!(bare(&writes), expected, "one is gone, one never came");
    let history = runners[0].history.clone();
    assert_eq!(runners, [Runner { version: 1, history, ..lives }]);
}

#[test]
fn what_is_asked_for_elsewhere_stays_reserved() {
    let reserved = Reservation { version: 2, ..reservation("linux-x64", "r1", 5) };
    let rest = Reservation { group: 1, count: 2, ..reserved.clone() };
    let gone = Runner { state: RunnerState::Gone, version: 1, ..runner("linux-x64", 1) };
    let came = [instance(1), instance(2), instance(3)];
    let (writes, runners) = resolved_in_part(&reserved, &came, std::slice::from_ref(&gone), TERMS, Some(&rest));
    assert_eq!(writes[0], Write::PutReservation(rest.clone()), "of the version that was read");
    let last = Write::Free { fleet: "linux-x64".into(), count: 1, ran_job: false, failure: None };
    assert_eq!(writes.last(), Some(&last), "the one that is gone, and not the two to come");
    assert_eq!(runners.iter().map(|it| it.reservation.as_str()).collect::<Vec<_>>(), ["r1", "r1"]);
    let (_, later) = resolved(&rest, &[instance(4)], &[], TERMS);
    assert_eq!(later[0].reservation, "r1-2", "the token of its own request");
}

#[test]
fn a_runner_that_carries_more_than_its_job_asked_for_is_missed_by_another() {
    let told = JobEvent { runner_name: Some("r".into()), ..event(JobState::Running) };
    let asking = Runner { asks: vec!["dayfly-pin=a".into()], ..runner("linux-x64", 1) };
    let wakes =
        |event: &JobEvent| job_event(event, Some(known(JobState::Queued)), "linux-x64", Some(asking.clone()), NOW).wake;
    assert_eq!(wakes(&told), ["linux-x64"], "a plain job has it");
    assert!(wakes(&JobEvent { asks: asking.asks.clone(), ..told }).is_empty(), "its own job has it");
}

#[test]
fn a_registration_is_noted_unless_the_runner_is_further() {
    let written = registered(runner("linux-x64", 1), Some(23), NOW);
    assert!(
        matches!(&written, Some(Write::PutRunner(it)) if it.state == RunnerState::Registered && it.runner_id == Some(23)),
        "{written:?}"
    );
    let is_busy = Runner { state: RunnerState::Busy, ..runner("linux-x64", 1) };
    assert_eq!(registered(is_busy, Some(23), NOW), None);
}

#[test]
fn a_jobs_history_tells_how_it_got_its_runner() {
    let mut ledger: Option<Job> = None;
    let mut told = |state, runner: Option<Runner>, at| {
        let named = runner.as_ref().map(|it| format!("linux-x64-{}", it.instance));
        let event = JobEvent { runner_name: named, ..event(state) };
        for write in job_event(&event, ledger.clone(), "linux-x64", runner, at).writes {
            if let Write::PutJob(job) = write {
                ledger = Some(job);
            }
        }
        ledger.clone().unwrap()
    };
    told(JobState::Queued, None, 900_000);
    told(JobState::Queued, None, 900_001);
    let reserved = Reservation { trace: Some("1-x".into()), ..reservation("linux-x64", "r1", 1) };
    let (_, runners) = resolved(&reserved, &[instance(1)], &[], Terms { now: 1_002_000, ..TERMS });
    assert_eq!(runners[0].trace.as_deref(), Some("1-x"));
    let Some(Write::PutRunner(registered)) = registered(runners[0].clone(), Some(23), 1_003_000) else { panic!() };
    told(JobState::Running, Some(registered.clone()), 1_020_000);
    let busy = Runner { state: RunnerState::Busy, ..registered };
    let job = told(JobState::Done, Some(busy), 1_090_000);
    let lines: Vec<String> = job
        .history
        .entries()
        .iter()
        .map(|it| format!("{} {} {}", it.at, it.what, it.detail).trim().to_owned())
        .collect();
    let i = instance(1);
    let expected = [
        "900000 queued routed to fleet linux-x64".to_owned(),
        format!("1000000 reserved {i} for orgs/octo-org"),
        format!("1002000 launched {i} under reservation r1"),
        format!("1003000 registered {i} as runner 23"),
        format!("1020000 running on linux-x64-{i}"),
        "1090000 done".to_owned(),
    ];
    assert_eq!(lines, expected);
}

#[test]
fn a_runners_history_names_its_job() {
    let changes = job_event(&event(JobState::Running), None, "x", Some(runner("linux-x64", 1)), NOW);
    let busy = changes.writes.iter().find_map(|it| if let Write::PutRunner(it) = it { Some(it) } else { None });
    let entries = busy.unwrap().history.entries();
    assert_eq!((entries[0].what.as_str(), entries[0].detail.as_str(), entries[0].at), ("busy", "job 7", NOW));
}

#[test]
fn a_failure_is_counted_by_the_write_that_settles_its_instance() {
    let failure = Some(Failure { seen: 1, count: 2, at: NOW, until: NOW + 5 });
    let end = |runner| ended(&message(Kind::Failed), runner, NOW);
    let writes = counted(end(Some(runner("linux-x64", 1))), "linux-x64", failure);
    let free = |count| Write::Free { fleet: "linux-x64".into(), count, ran_job: false, failure };
    assert_eq!(writes.last(), Some(&free(1)));
    assert_eq!(writes.len(), 2, "one write of the meta item");
    let never_counted = counted(end(None), "linux-x64", failure);
    assert_eq!(never_counted.last(), Some(&free(0)));
    let writes = end(Some(runner("linux-x64", 1)));
    assert_eq!(counted(writes.clone(), "linux-x64", None), writes);
    let after_job = Lifecycle { kind: Kind::Failed, ..after_job() };
    let busy = Runner { state: RunnerState::Busy, ..runner("linux-x64", 1) };
    assert!(ran_job(&ended(&after_job, Some(busy), NOW)) && !ran_job(&writes));
}
