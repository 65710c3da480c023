use super::{Delivered, Gap, Memory, Open, Question, Repositories, Scan, find, is_unread};
use crate::github::runs::OpenRun;

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;
const NOW: u64 = 1_795_000_000_000;

fn memory(missed: &[(u64, u64)]) -> Memory {
    Memory { missed: missed.iter().map(|(job, ago)| (*job, NOW - ago)).collect(), ..Memory::default() }
}

#[test]
fn a_gap_is_told_by_its_signs() {
    let at = |ago: u64| Some(NOW - ago);
    let delivered = |any: u64, good: u64| Some(Delivered { any: at(any), good: at(good) });
    let nothing = Some(Delivered::default());
    let (none, one) = (memory(&[]), memory(&[(1, MINUTE)]));
    let three = memory(&[(1, MINUTE), (2, 2 * MINUTE), (3, 59 * MINUTE)]);
    let old = memory(&[(1, MINUTE), (2, 2 * MINUTE), (3, 60 * MINUTE)]);
    let lost = Memory { lost: at(5), ..none.clone() };
    let unread = Memory { unread: at(5), ..none.clone() };
    let mut busy = lost.clone();
    busy.begin(Gap::Lost, vec!["a/b".into()], NOW - HOUR);
    let again = Memory { lost: at(5), ..busy.clone() };
    let soon = Memory { scan: None, scanned_at: NOW - 29 * MINUTE, ..again.clone() };
    let later = Memory { scanned_at: NOW - 30 * MINUTE, ..soon.clone() };
    let seen_to = Memory { scanned_at: NOW - 40 * MINUTE, ..none.clone() };
    let cases = [
        // memory, heard, delivered -> gap
        (&none, None, None, None),
        (&none, at(HOUR), None, None),
        (&none, at(HOUR), delivered(HOUR, HOUR), None),
        (&none, at(HOUR), nothing, None),
        (&lost, None, None, Some(Gap::Lost)),
        (&unread, None, None, Some(Gap::Unread)),
        // It was taken by somebody, and not here.
        (&none, at(60 * MINUTE), delivered(0, 49 * MINUTE), Some(Gap::Unheard)),
        (&none, at(60 * MINUTE), delivered(0, 50 * MINUTE), None),
        (&none, None, delivered(0, 0), None), // nothing was ever noted here
        (&none, at(60 * MINUTE), delivered(0, 70 * MINUTE), None), // those that failed are sent again
        (&seen_to, at(70 * MINUTE), delivered(0, 50 * MINUTE), None),
        (&seen_to, at(70 * MINUTE), delivered(0, 39 * MINUTE), Some(Gap::Unheard)),
        // A job ran, and GitHub has delivered nothing for long.
        (&one, at(HOUR), delivered(32 * MINUTE, HOUR), Some(Gap::Silent)),
        (&one, at(HOUR), delivered(31 * MINUTE, HOUR), None),
        (&one, None, nothing, Some(Gap::Silent)),
        (&one, None, None, None), // its list could not be read
        // Several.
        (&three, at(0), delivered(0, 0), Some(Gap::Missed)),
        (&old, at(0), delivered(0, 0), None),
        (&three, at(0), None, Some(Gap::Missed)),
        // One look at a time, and not too often.
        (&busy, None, None, None),
        (&again, None, None, None),
        (&soon, None, None, None),
        (&later, None, None, Some(Gap::Lost)),
    ];
    for (i, (memory, heard, delivered, expected)) in cases.into_iter().enumerate() {
        assert_eq!(find(memory, heard, delivered, NOW), expected, "case {i}");
    }
}

#[test]
fn a_list_is_unread_when_github_has_forgotten_part_of_it() {
    let three_days = 72 * HOUR;
    let cases = [(0, false), (NOW, false), (NOW - three_days, false), (NOW - three_days - 1, true)];
    for (known_until, expected) in cases {
        assert_eq!(is_unread(known_until, NOW), expected);
    }
}

#[test]
fn what_was_missed_is_forgotten_after_an_hour() {
    let mut it = memory(&[(1, 59 * MINUTE), (2, 60 * MINUTE)]);
    it.miss(3, NOW);
    it.tidy(NOW);
    assert_eq!(it.missed.keys().copied().collect::<Vec<_>>(), [1, 3]);
    for job in 0..3000 {
        it.miss(job, NOW);
    }
    assert_eq!(it.missed.len(), super::MOST_REMEMBERED);
    assert!(it.is_due(NOW), "it was never looked");
    it.looked_at = NOW;
    assert!(!it.is_due(NOW + 5 * MINUTE - 1) && it.is_due(NOW + 5 * MINUTE));
}

fn run(id: u64) -> OpenRun {
    OpenRun { id, public: true, of_person: false, head_repository: Some("A/b".into()) }
}

#[test]
fn a_scan_goes_through_each_repository_once() {
    let mut memory = Memory::default();
    memory.begin(Gap::Lost, vec!["a/b".into(), "c/d".into()], NOW);
    let mut scan: Scan = serde_json::from_str(&serde_json::to_string(&memory.scan.unwrap()).unwrap()).unwrap();
    let mut asked = Vec::new();
    while let Some(question) = scan.next() {
        match question {
            Question::Runs { repository, status, page } => {
                asked.push(format!("{repository} {status} {page}"));
                let runs = match (repository.as_str(), status, page) {
                    ("a/b", "queued", 1) => vec![run(1), run(2)],
                    ("a/b", "queued", 2) => vec![run(2), run(3)],
                    _ => vec![],
                };
                scan.listed(&runs, repository == "a/b" && status == "queued" && page == 1);
            }
            Question::Jobs { repository, run } => {
                asked.push(format!("{repository} {}", run.id));
                scan.looked(1);
            }
        }
        assert!(asked.len() < 50);
    }
    let expected = [
        "a/b queued 1",
        "a/b 1",
        "a/b 2",
        "a/b queued 2",
        "a/b 2",
        "a/b 3",
        "a/b in_progress 1",
        "c/d queued 1",
        "c/d in_progress 1",
    ];
    assert_eq!(asked, expected);
    assert_eq!((scan.found, scan.todo.len()), (4, 0));
}

#[test]
fn of_a_repository_no_more_is_read_than_some_pages_and_one_that_fails_is_left() {
    let mut memory = Memory::default();
    memory.begin(Gap::Lost, vec!["a/b".into(), "c/d".into()], NOW);
    let mut scan = memory.scan.unwrap();
    for _ in 0..3 {
        scan.listed(&[], true);
    }
    assert_eq!(scan.next(), Some(Question::Runs { repository: "a/b".into(), status: "in_progress", page: 1 }));
    scan.listed(&[run(1)], false);
    scan.skip();
    assert_eq!(scan.next(), Some(Question::Runs { repository: "c/d".into(), status: "queued", page: 1 }));
    scan.skip();
    assert_eq!(scan.next(), None);
}

#[test]
fn a_fork_is_told_by_its_head() {
    let of = |public, head: Option<&str>| {
        let head_repository = head.map(str::to_owned);
        Open::of(&OpenRun { public, head_repository, ..run(1) }, "a/b").public_fork
    };
    assert!(!of(true, Some("A/B")) && of(true, Some("mallory/b")) && of(true, None));
    assert!(!of(false, Some("mallory/b")) && !of(false, None), "nobody forks what he can't see");
}

#[test]
fn repositories_are_known_for_a_month_and_within_bounds() {
    let day = 24 * HOUR;
    let mut known = Repositories::default();
    known.learn("a/b", Some(7), NOW);
    let before = known.clone();
    known.learn("a/b", None, NOW + MINUTE);
    assert_eq!(known, before, "nothing to write");
    known.learn("a/b", None, NOW + 10 * day);
    assert_eq!(known.0["a/b"].installation, Some(7));
    known.tidy(NOW + 40 * day);
    assert_eq!(known.0.len(), 1);
    known.tidy(NOW + 41 * day);
    assert_eq!(known.0.len(), 0);
    for n in 0..1005 {
        known.learn(&format!("a/{n:04}"), None, NOW + if n < 5 { 0 } else { day });
    }
    assert_eq!((known.tidy(NOW + day), known.0.len()), (5, 1000));
    assert!(!known.0.contains_key("a/0004") && known.0.contains_key("a/0005"), "the latest stay");
}
