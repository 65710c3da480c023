//! To whom GitHub gives no runners, for now or for good: one owner's refusal is no other's. GitHub limits each
//! installation apart, and whether an App is installed, may register runners and knows the runner group is each owner's
//! own matter.

use std::collections::{BTreeMap, BTreeSet};

use super::breaker::{Breakers, Heard};
use crate::{clock::Millis, fleets::Scope};

/// What GitHub said of runners for one owner's jobs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// The owner.
    pub scope: Scope,
    /// What the jobs ask for beyond their fleet; empty where nobody has told GitHub of it yet.
    pub asks: Vec<String>,
    /// What it said.
    pub what: What,
}

/// What GitHub said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A runner was registered.
    Worked,
    /// No, and why: a person has to change something.
    Refused(String),
    /// Not before then, and what it was asked.
    Limited(Millis, String),
}

/// What the names of an owner's breakers begin with.
const PREFIX: &str = "github/";

/// The name of an owner's breaker; or of that of jobs of an owner with these `asks`, whose labels GitHub refuses.
#[must_use]
pub fn key(scope: &Scope, asks: &[String]) -> String {
    // No path of GitHub's has a question mark.
    if asks.is_empty() { format!("{PREFIX}{scope}") } else { format!("{PREFIX}{scope}?{}", asks.join(",")) }
}

/// Whose jobs the breaker called `key` holds up: an owner's, all or those with these asks; none for another's key.
#[must_use]
pub fn whose(key: &str) -> Option<(Scope, Option<&str>)> {
    let rest = key.strip_prefix(PREFIX)?;
    let (scope, asks) = rest.split_once('?').map_or((rest, None), |(scope, asks)| (scope, Some(asks)));
    Some((scope.parse().ok()?, asks))
}

/// Until when GitHub is not to be asked for such a runner; none where it may be.
#[must_use]
pub fn open(breakers: &Breakers, scope: &Scope, asks: &[String], now: Millis) -> Option<Millis> {
    let owners = breakers.open(&key(scope, &[]), now);
    owners.max(breakers.open(&key(scope, asks), now))
}

/// Whether such a runner was refused before and may be tried again: one is enough to find out.
#[must_use]
pub fn is_due(breakers: &Breakers, scope: &Scope, asks: &[String], now: Millis) -> bool {
    breakers.is_due(&key(scope, &[]), now) || breakers.is_due(&key(scope, asks), now)
}

/// Takes in what GitHub `said` in one look; answers whether that changes anything.
///
/// A refusal may be about the owner, or about the labels of one job. It is taken for the owner's where nothing worked
/// there and jobs without further asks, or of different ones, were refused.
pub fn hear(breakers: &mut Breakers, said: &[Said], now: Millis, chance: u64) -> bool {
    let mut by_scope: BTreeMap<&Scope, Vec<&Said>> = BTreeMap::new();
    for it in said {
        by_scope.entry(&it.scope).or_default().push(it);
    }
    let mut news: Vec<(String, Heard, String)> = Vec::new();
    for (scope, said) in by_scope {
        let worked: BTreeSet<&[String]> =
            said.iter().filter(|it| it.what == What::Worked).map(|it| it.asks.as_slice()).collect();
        for asks in worked.iter().copied().chain((!worked.is_empty()).then_some(&[][..])) {
            news.push((key(scope, asks), Heard::Worked, String::new()));
        }
        let mut refused: BTreeMap<&[String], &str> = BTreeMap::new();
        for it in said {
            match &it.what {
                What::Worked => {}
                What::Limited(until, why) => news.push((key(scope, &[]), Heard::Limited(*until), why.clone())),
                // What worked for another such runner was refused to this one alone.
                What::Refused(_) if worked.contains(it.asks.as_slice()) => {}
                What::Refused(why) => drop(refused.entry(it.asks.as_slice()).or_insert(why)),
            }
        }
        let owners = worked.is_empty() && (refused.len() > 1 || refused.contains_key(&[][..]));
        let whose = refused.into_iter().map(|(asks, why)| (key(scope, if owners { &[] } else { asks }), why));
        news.extend(whose.map(|(key, why)| (key, Heard::Failed, why.to_owned())));
    }
    breakers.take_in(&news, now, chance)
}

#[cfg(test)]
mod tests {
    use super::{Breakers, Said, Scope, What, hear, is_due, key, open, whose};

    const NOW: u64 = 1_000_000_000;

    fn scope(text: &str) -> Scope {
        text.parse().unwrap()
    }

    fn said(of: &str, asks: &[&str], what: What) -> Said {
        Said { scope: scope(of), asks: asks.iter().map(|&ask| ask.into()).collect(), what }
    }

    fn no(of: &str, asks: &[&str]) -> Said {
        said(of, asks, What::Refused("no".into()))
    }

    fn yes(of: &str, asks: &[&str]) -> Said {
        said(of, asks, What::Worked)
    }

    #[test]
    fn a_refusal_is_the_owners_or_that_of_some_labels() {
        let (a, b) = ("orgs/a", "repos/b/c");
        let cases: [(Vec<Said>, &[&str]); 8] = [
            (vec![no(a, &[])], &["github/orgs/a"]),
            (vec![no(a, &[]), yes(b, &[])], &["github/orgs/a"]),
            (vec![no(a, &["x"])], &["github/orgs/a?x"]),
            (vec![no(a, &["x"]), no(a, &["y"])], &["github/orgs/a"]),
            (vec![no(a, &["x"]), no(a, &["y"]), yes(a, &[])], &["github/orgs/a?x", "github/orgs/a?y"]),
            (vec![no(a, &["x"]), no(b, &["y"])], &["github/orgs/a?x", "github/repos/b/c?y"]),
            (vec![no(a, &[]), yes(a, &[])], &[]),
            (vec![said(a, &["x"], What::Limited(NOW + 9, "limit".into())), yes(b, &[])], &["github/orgs/a"]),
        ];
        for (said, expected) in cases {
            let mut breakers = Breakers::default();
            assert_eq!(hear(&mut breakers, &said, NOW, 0), !expected.is_empty());
            assert_eq!(breakers.0.keys().collect::<Vec<_>>(), expected, "{said:?}");
        }
    }

    #[test]
    fn what_is_refused_is_asked_for_by_nobody_and_tried_again_later() {
        let mut breakers = Breakers::default();
        hear(&mut breakers, &[no("orgs/a", &[]), no("orgs/b", &["x"])], NOW, 0);
        let asks = |it: &str| vec![it.to_owned()];
        let until = |of: &str, it: &[String]| open(&breakers, &scope(of), it, NOW);
        let back = Some(NOW + 15_000);
        assert_eq!([until("orgs/a", &[]), until("orgs/a", &asks("y"))], [back, back]);
        assert_eq!([until("orgs/b", &[]), until("orgs/b", &asks("x")), until("orgs/c", &[])], [None, back, None]);
        let due = |of: &str, it: &[String], now| is_due(&breakers, &scope(of), it, now);
        assert!(!due("orgs/a", &[], NOW) && due("orgs/a", &asks("y"), NOW + 15_000));
        assert!(!due("orgs/b", &[], NOW + 15_000) && due("orgs/b", &asks("x"), NOW + 15_000));
        assert!(hear(&mut breakers, &[yes("orgs/a", &["y"]), yes("orgs/b", &["x"])], NOW + 15_000, 0));
        assert!(breakers.0.is_empty());
    }

    #[test]
    fn a_name_tells_whose_it_is() {
        for (of, asks) in [("orgs/a", vec![]), ("repos/b/c", vec!["x".to_owned(), "y".to_owned()])] {
            let key = key(&scope(of), &asks);
            let joined = (!asks.is_empty()).then(|| asks.join(","));
            assert_eq!(whose(&key), Some((scope(of), joined.as_deref())), "{key}");
        }
        assert_eq!(whose("spot/subnet-1/c7i.large"), None);
    }
}
