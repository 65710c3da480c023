//! What a document may say but hardly means.

use std::{collections::BTreeSet, fmt};

use super::{Admission, Fleet, Fleets, Level, Matching, Pattern, Steering, Ties};

/// Something that is allowed and probably a mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// The fleet it is about.
    pub fleet: String,
    /// What is odd there.
    pub what: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "fleet {}: {}", self.fleet, self.what)
    }
}

impl Fleets {
    /// All warnings, by fleet. A fleet that no job reaches is told for sure only where one other fleet takes all of its
    /// jobs, or where its owner is kept out; several others may do so together, untold.
    #[must_use]
    pub fn warnings(&self) -> Vec<Warning> {
        let of = |fleet: &Fleet| {
            let shadow = self.fleets.iter().find(|other| other.name != fleet.name && self.takes_all(other, fleet));
            let shadow = shadow.map(|other| format!("no job reaches it: {} takes all that would fit", other.name));
            let kept_out = [("document", &self.admission), ("fleet", &fleet.admission)]
                .into_iter()
                .find(|(_, admission)| keeps_out(admission, fleet))
                .map(|(whose, _)| format!("no job reaches it: the repositories of the {whose} leave out its owner's"));
            let forks = fleet.admission.public_forks.then(|| {
                if !self.admission.public_forks {
                    Some("public_forks does nothing here while the document does not say so too".to_owned())
                } else if !fleet.ephemeral {
                    Some(
                        "public_forks and not ephemeral: what a fork's job leaves behind meets the next job".to_owned(),
                    )
                } else {
                    None
                }
            });
            let found = [shadow, kept_out, forks.flatten()];
            found.into_iter().flatten().map(|what| Warning { fleet: fleet.name.clone(), what }).collect::<Vec<_>>()
        };
        self.fleets.iter().flat_map(of).collect()
    }

    /// Whether `other` fits every job that `fleet` fits, and always goes before it.
    fn takes_all(&self, other: &Fleet, fleet: &Fleet) -> bool {
        let (mine, its) = (labels(fleet), labels(other));
        let equals_go = other.priority > fleet.priority
            || (other.priority == fleet.priority && self.ties == Ties::Name && other.name < fleet.name);
        let by_labels = match (fleet.matching, other.matching) {
            // A job may ask for any part of the labels. With more of them, `other` is the less specific.
            (Matching::All, Matching::All) | (Matching::Exact, Matching::Exact) => mine == its && equals_go,
            // The one label is all that a job can ask for.
            (Matching::All, Matching::Exact) => mine.len() == 1 && mine == its,
            // It has at least as much in common.
            (Matching::Any, Matching::Any) => mine.is_subset(&its) && equals_go,
            _ => false,
        };
        by_labels && admits_all(other, fleet) && grants_all(&other.steering, &fleet.steering)
    }
}

fn labels(fleet: &Fleet) -> BTreeSet<String> {
    fleet.labels.iter().map(|label| label.to_lowercase()).collect()
}

/// Whether `other` surely admits whatever `fleet` does.
fn admits_all(other: &Fleet, fleet: &Fleet) -> bool {
    let (its, mine) = (&other.admission, &fleet.admission);
    let repositories = its.repositories.is_empty() || its.repositories == mine.repositories;
    let denied = its.denied.iter().all(|pattern| mine.denied.contains(pattern));
    let owner = |it: &Fleet| (it.github.level, it.github.owner.clone());
    // An enterprise's owner tells nothing about repositories.
    let owner = other.github.owner.is_none() || other.github.level == Level::Enterprise || owner(other) == owner(fleet);
    repositories && denied && owner && (its.public_forks || !mine.public_forks)
}

/// Whether `its` surely grants whatever `mine` does.
fn grants_all(its: &Steering, mine: &Steering) -> bool {
    *mine == Steering::default() || its == mine
}

/// Whether `admission` surely admits none of the repositories of the fleet's owner.
fn keeps_out(admission: &Admission, fleet: &Fleet) -> bool {
    let Some(owner) = fleet.github.owner.as_deref() else { return false };
    match fleet.github.level {
        Level::Repository => admission.bar(Some(owner), false).is_some(),
        Level::Organization => {
            let of_owner =
                |it: &Pattern| it.as_str().split_once('/').is_some_and(|(it, _)| Pattern::new(it).matches(owner));
            let all = |it: &&Pattern| it.as_str().ends_with("/*");
            let listed = admission.repositories.is_empty() || admission.repositories.iter().any(of_owner);
            !listed || admission.denied.iter().filter(all).any(of_owner)
        }
        Level::Enterprise => false,
    }
}
