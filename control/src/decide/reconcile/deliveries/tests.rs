use super::{Failed, KEPT, MOST_ATTEMPTS, MOST_REMEMBERED, Memory, OVERLAP, SETTLED, millis};
use crate::simulation::runtime::Random;

const MINUTE: u64 = 60_000;
const NOW: u64 = 1_795_000_000_000;

fn failed(id: u64, guid: &str, at: u64) -> Failed {
    Failed { id, guid: guid.into(), at, event: "workflow_job".into(), status: 500 }
}

/// Reads the list of `all` as GitHub gives it, in pages, no more than `pages`.
fn look(memory: &mut Memory, all: &[Failed], now: u64, size: usize, pages: usize) {
    let mut newest: Vec<Failed> = all.iter().filter(|it| it.at <= now).cloned().collect();
    newest.sort_by_key(|it| std::cmp::Reverse((it.at, it.id)));
    for _ in 0..pages {
        let cursor = memory.next_page(now);
        let from = cursor.map_or(0, |cursor| {
            let id: u64 = cursor.parse().unwrap();
            newest.iter().position(|it| it.id == id).map_or(newest.len(), |at| at + 1)
        });
        let page: Vec<Failed> = newest[from..].iter().take(size).cloned().collect();
        let next = page.last().filter(|_| from + page.len() < newest.len()).map(|it| it.id.to_string());
        if !memory.read(&page, next) {
            return;
        }
    }
}

fn due(memory: &Memory, now: u64) -> Vec<u64> {
    memory.due(now, 99).into_iter().map(|(_, id)| id).collect()
}

#[test]
fn what_failed_is_sent_again_once_the_earliest_first() {
    let mut memory = Memory::default();
    let all = [failed(1, "a", NOW - 9 * MINUTE), failed(3, "c", NOW - MINUTE), failed(2, "b", NOW - 5 * MINUTE)];
    look(&mut memory, &all, NOW, 100, 5);
    assert_eq!(due(&memory, NOW), [1, 2, 3]);
    assert_eq!(memory.due(NOW, 2).len(), 2);
    memory.sent("a", NOW);
    look(&mut memory, &all, NOW + MINUTE, 100, 5);
    assert_eq!(due(&memory, NOW + MINUTE), [2, 3], "its old failure is listed still");
}

#[test]
fn one_that_fails_again_waits_longer_each_time_and_is_given_up_at_last() {
    let mut memory = Memory::default();
    let (mut at, mut id, mut waits) = (NOW, 1, Vec::new());
    look(&mut memory, &[failed(1, "a", at)], at, 100, 5);
    while let Some(next) = memory.waiting["a"].due {
        waits.push((next - at) / MINUTE);
        assert!(due(&memory, next - 1).is_empty() || next == at);
        assert!(waits.len() <= MOST_ATTEMPTS as usize, "for ever");
        memory.sent("a", next);
        (at, id) = (next + 1000, id + 1);
        look(&mut memory, &[failed(id, "a", at)], at, 100, 5);
    }
    assert_eq!(waits, [0, 2, 4, 8, 16, 32, 64, 128, 256, 480, 480, 480]);
    assert_eq!(waits.len(), MOST_ATTEMPTS as usize);
    assert!(due(&memory, at + millis(KEPT)).is_empty());
    assert_eq!((memory.tidy(at + millis(OVERLAP)), memory.waiting.len()), (0, 1), "the list is read again");
    assert_eq!((memory.tidy(at + millis(KEPT)), memory.waiting.len()), (1, 0), "told as lost");
}

#[test]
fn one_that_succeeded_is_forgotten_and_one_past_hope_is_told() {
    let mut memory = Memory::default();
    let all = [failed(1, "a", NOW), failed(2, "b", NOW), failed(3, "c", NOW)];
    look(&mut memory, &all, NOW, 100, 5);
    memory.sent("a", NOW);
    memory.sent("c", NOW + 5 * MINUTE);
    // However late it is: by a list that was read since, and not by the clock.
    let settled = NOW + millis(SETTLED);
    assert_eq!((memory.tidy(settled + 3 * 60 * MINUTE), memory.waiting.len()), (0, 3));
    look(&mut memory, &all, settled - 1, 100, 5);
    assert_eq!((memory.tidy(settled), memory.waiting.len()), (0, 3));
    look(&mut memory, &all, settled, 100, 5);
    assert_eq!((memory.tidy(settled), memory.waiting.len()), (0, 2));
    // Where no list can be read there is nothing to be heard in the end.
    assert_eq!((memory.tidy(NOW + millis(KEPT) + MINUTE), memory.waiting.len()), (1, 0), "b was never sent again");
    memory.forget("never heard of");
}

#[test]
fn one_that_succeeded_is_not_sent_again_though_it_is_listed_for_days() {
    let mut memory = Memory::default();
    // By GitHub's clock, which is nine minutes ahead.
    let all = [failed(1, "a", NOW + 9 * MINUTE)];
    look(&mut memory, &all, NOW + 9 * MINUTE, 100, 5);
    memory.sent("a", NOW);
    for minute in 1..13 * 60 {
        let now = NOW + minute * MINUTE;
        look(&mut memory, &all, now, 100, 5);
        memory.tidy(now);
        assert!(due(&memory, now).is_empty(), "after {minute} minutes");
    }
    assert!(memory.waiting.is_empty());
}

#[test]
fn what_would_be_refused_again_or_is_none_of_ours_is_left() {
    let mut memory = Memory::default();
    let it = |status, event: &str| Failed { status, event: event.into(), ..failed(1, "a", NOW) };
    for (failed, worth_it) in [
        (it(500, "workflow_job"), true),
        (it(0, "workflow_job"), true),
        (it(504, "check_run"), true),
        // The secret may be put right.
        (it(401, "workflow_job"), true),
        (it(400, "workflow_job"), false),
        (it(413, "workflow_job"), false),
        (it(500, "push"), false),
    ] {
        assert_eq!(failed.is_worth_it(), worth_it, "{failed:?}");
    }
    look(&mut memory, &[it(400, "workflow_job")], NOW, 100, 5);
    assert!(memory.waiting.is_empty());
}

#[test]
fn a_long_list_is_read_in_several_looks_and_all_of_it() {
    for seed in 0..200 {
        let mut random = Random::new(seed);
        let mut memory = Memory { known_until: NOW - millis(OVERLAP), ..Memory::default() };
        let mut all: Vec<Failed> = Vec::new();
        let (size, pages) = (1 + random.pick(7), 1 + random.pick(3));
        let (mut now, mut id) = (NOW, 0);
        for _ in 0..30 {
            for _ in 0..random.below(6) {
                id += 1;
                // It is listed later than it was made.
                all.push(failed(id, &format!("g{id}"), now - random.below(millis(OVERLAP) / 2)));
            }
            look(&mut memory, &all, now, size, pages);
            now += MINUTE;
        }
        for _ in 0..200 {
            look(&mut memory, &all, now, size, pages);
            now += MINUTE / 60;
        }
        assert_eq!(memory.waiting.len(), all.len(), "seed {seed}");
    }
}

/// Thousands of webhooks a day fail, and each is sent again within a minute: at no time is there no room for the next.
#[test]
fn what_is_sent_again_takes_room_for_minutes_alone() {
    let (mut memory, mut all, mut id) = (Memory::default(), Vec::new(), 0);
    for minute in 0..24 * 60 {
        let now = NOW + minute * MINUTE;
        for _ in 0..10 {
            id += 1;
            all.push(failed(id, &format!("g{id}"), now));
        }
        look(&mut memory, &all, now, 100, 5);
        memory.tidy(now);
        let due = memory.due(now, 20);
        assert_eq!(due.len(), 10, "after {minute} minutes");
        for (guid, _) in &due {
            memory.sent(guid, now);
        }
        assert!(memory.waiting.len() <= 210, "{} after {minute} minutes", memory.waiting.len());
    }
}

#[test]
fn what_there_is_no_room_for_is_counted_and_no_item_grows_too_large() {
    let mut memory = Memory::default();
    // An outage of hours: each minute others fail, and few are sent again.
    let (mut all, mut left_out) = (Vec::new(), 0);
    for minute in 0..300 {
        let now = NOW + minute * MINUTE;
        if minute < 120 {
            let ids = (1..=50).map(|n| minute * 50 + n);
            all.extend(ids.map(|id| failed(u64::MAX - 100_000 + id, &format!("{id:036}"), now)));
        }
        look(&mut memory, &all, now, 100, 5);
        left_out += std::mem::take(&mut memory.left_out);
        memory.tidy(now);
        for (guid, _) in memory.due(now, 20) {
            memory.sent(&guid, now);
        }
        let text = serde_json::to_string(&memory).unwrap();
        assert!(memory.waiting.len() <= MOST_REMEMBERED && text.len() < 380_000, "{} after {minute}", text.len());
        assert_eq!(serde_json::from_str::<Memory>(&text).unwrap(), memory);
    }
    assert!(left_out > 0 && memory.waiting.is_empty(), "{left_out}, {}", memory.waiting.len());
    all.push(failed(1, "a", NOW + 300 * MINUTE));
    look(&mut memory, &all, NOW + 300 * MINUTE, 100, 5);
    assert_eq!(due(&memory, NOW + 300 * MINUTE), [1]);
}

#[test]
fn what_was_noted_without_its_time_has_succeeded_as_soon() {
    let text = format!(
        r#"{{"known_until":{NOW},"walk":null,"waiting":{{"a":{{"id":1,"at":{NOW},"attempts":1,"due":null}}}}}}"#
    );
    let mut memory: Memory = serde_json::from_str(&text).unwrap();
    for (minutes, left) in [(21, 1), (23, 0)] {
        look(&mut memory, &[], NOW + minutes * MINUTE, 100, 5);
        assert_eq!((memory.tidy(NOW + minutes * MINUTE), memory.waiting.len()), (0, left), "{minutes}");
    }
}
