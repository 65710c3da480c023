//! Messages that wait to be sent, in order, and which of them go when there are too many.

use std::collections::VecDeque;

use dayfly_contract::Kind;
use serde::{Deserialize, Serialize};

/// The most messages that wait. A reusable runner makes two for each job.
pub(super) const MOST: usize = 64;

/// More than these are not sure to be sent at the end.
const MANY: usize = 8;

/// A message as it is sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Letter {
    pub(super) kind: Kind,
    pub(super) text: String,
}

/// Letters by the number they were given, so that one being sent can be told from one that took its place.
#[derive(Debug, Default)]
pub(super) struct Pending {
    letters: VecDeque<(u64, Letter)>,
    next: u64,
}

impl Pending {
    pub(super) fn of(letters: Vec<Letter>) -> Self {
        let mut pending = Self::default();
        for letter in letters {
            pending.push(letter);
        }
        pending
    }

    /// Adds a letter. A heartbeat takes the place of an earlier one, and so does a final message; nothing comes after
    /// that. Where there are too many, answers the one that had to go: the oldest heartbeat, else the oldest message
    /// that is not final.
    pub(super) fn push(&mut self, letter: Letter) -> Option<Letter> {
        let is_last = letter.kind.is_last();
        if is_last {
            self.letters.retain(|(_, other)| !other.kind.is_last());
        }
        // A runner that has got a job does not want to be deleted any more, and a late word of it could kill the job.
        if letter.kind == Kind::JobStarted {
            self.letters.retain(|(_, other)| other.kind != Kind::Retire);
        }
        if letter.kind == Kind::Heartbeat {
            self.letters.retain(|(_, other)| other.kind != Kind::Heartbeat);
        }
        let end = self.letters.len();
        let place = if is_last { end } else { self.position(Kind::is_last).unwrap_or(end) };
        self.letters.insert(place, (self.next, letter));
        self.next += 1;
        if self.letters.len() <= MOST {
            return None;
        }
        let goes = self.position(|kind| kind == Kind::Heartbeat).or_else(|| self.position(|kind| !kind.is_last()))?;
        self.letters.remove(goes).map(|(_, letter)| letter)
    }

    /// The letter to be sent next, with its number: the oldest. Where many wait at the end there may not be the time for
    /// all: then the final one goes before what it makes old news, and only an interrupted job, which is to run again,
    /// before that.
    pub(super) fn first(&self) -> Option<(u64, String)> {
        let last = self.position(Kind::is_last).filter(|_| self.letters.len() > MANY);
        let next = last.map_or(0, |last| self.position(|kind| kind == Kind::Interrupted).unwrap_or(last));
        self.letters.get(next).map(|(number, letter)| (*number, letter.text.clone()))
    }

    /// Removes a letter that was sent, if it still is there.
    pub(super) fn remove(&mut self, number: u64) {
        self.letters.retain(|(other, _)| *other != number);
    }

    pub(super) fn letters(&self) -> impl ExactSizeIterator<Item = &Letter> {
        self.letters.iter().map(|(_, letter)| letter)
    }

    pub(super) fn len(&self) -> usize {
        self.letters.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.letters.is_empty()
    }

    fn position(&self, is_sought: impl Fn(Kind) -> bool) -> Option<usize> {
        self.letters.iter().position(|(_, letter)| is_sought(letter.kind))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(kind: Kind, text: &str) -> Letter {
        Letter { kind, text: text.to_owned() }
    }

    fn texts(pending: &Pending) -> Vec<&str> {
        pending.letters().map(|letter| letter.text.as_str()).collect()
    }

    #[test]
    fn letters_stay_in_order_and_the_newest_heartbeat_alone_is_kept() {
        let mut pending = Pending::default();
        for (kind, text) in [
            (Kind::Listening, "listening"),
            (Kind::Heartbeat, "one"),
            (Kind::JobStarted, "started"),
            (Kind::Heartbeat, "two"),
        ] {
            assert_eq!(pending.push(letter(kind, text)), None);
        }
        assert_eq!(texts(&pending), ["listening", "started", "two"]);
    }

    #[test]
    fn the_final_message_is_last_and_there_is_one() {
        let mut pending = Pending::default();
        pending.push(letter(Kind::Finished, "finished"));
        pending.push(letter(Kind::Interrupted, "late"));
        pending.push(letter(Kind::Failed, "failed"));
        pending.push(letter(Kind::Heartbeat, "later"));
        assert_eq!(texts(&pending), ["late", "later", "failed"]);
    }

    #[test]
    fn at_the_end_what_matters_is_sent_first() {
        let sent = |mut pending: Pending| {
            let next = std::iter::from_fn(|| {
                let (number, text) = pending.first()?;
                pending.remove(number);
                Some(text)
            });
            next.collect::<Vec<String>>()
        };
        let all = |jobs: usize| {
            let mut pending = Pending::default();
            (0..jobs).for_each(|n| drop(pending.push(letter(Kind::JobCompleted, &n.to_string()))));
            pending.push(letter(Kind::Interrupted, "interrupted"));
            pending
        };
        let with_end = |jobs| {
            let mut pending = all(jobs);
            pending.push(letter(Kind::Finished, "finished"));
            pending
        };
        assert_eq!(sent(with_end(2)), ["0", "1", "interrupted", "finished"], "there is time for a few");
        assert_eq!(sent(all(MANY))[..2], ["0", "1"], "it is not the end");
        let many = sent(with_end(MANY));
        assert_eq!(many[..3], ["interrupted", "finished", "0"]);
        assert_eq!(many.len(), MANY + 2);
    }

    #[test]
    fn the_oldest_go_first_and_the_final_message_never() {
        let mut pending = Pending::default();
        pending.push(letter(Kind::Heartbeat, "alive"));
        for n in 0..MOST - 1 {
            assert_eq!(pending.push(letter(Kind::JobStarted, &n.to_string())), None);
        }
        assert_eq!(pending.push(letter(Kind::JobCompleted, "a")), Some(letter(Kind::Heartbeat, "alive")));
        assert_eq!(pending.push(letter(Kind::Finished, "z")), Some(letter(Kind::JobStarted, "0")));
        assert_eq!(pending.push(letter(Kind::Retire, "b")), Some(letter(Kind::JobStarted, "1")));
        assert_eq!(pending.len(), MOST);
        assert_eq!(texts(&pending)[MOST - 3..], ["a", "b", "z"]);
        // A heartbeat finds no place among what is worth more.
        assert_eq!(pending.push(letter(Kind::Heartbeat, "alive")), Some(letter(Kind::Heartbeat, "alive")));
    }

    #[test]
    fn a_runner_with_a_job_does_not_want_to_be_deleted_any_more() {
        let mut pending = Pending::default();
        for kind in [Kind::Listening, Kind::Retire, Kind::JobStarted] {
            pending.push(letter(kind, "x"));
        }
        let kinds: Vec<Kind> = pending.letters().map(|letter| letter.kind).collect();
        assert_eq!(kinds, [Kind::Listening, Kind::JobStarted]);
    }

    #[test]
    fn one_that_is_gone_meanwhile_is_no_other() {
        let mut pending = Pending::default();
        pending.push(letter(Kind::Heartbeat, "one"));
        let (number, _) = pending.first().unwrap();
        pending.push(letter(Kind::Heartbeat, "two"));
        pending.remove(number);
        assert_eq!(texts(&pending), ["two"]);
        pending.remove(pending.first().unwrap().0);
        assert!(pending.is_empty() && pending.first().is_none());
    }
}
