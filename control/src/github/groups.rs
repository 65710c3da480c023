//! Runner groups by name. GitHub is asked once, and again after a while, by ETag: an unchanged list costs nothing of
//! the limit.

use std::collections::HashMap;

use serde::Deserialize;
use tokio::sync::Mutex;

use crate::{clock::Millis, fleets::Scope};

/// Groups of one page of GitHub's list; 100 is the most it gives.
pub const PAGE: usize = 100;
/// More groups than any organization has; ends a list that would not.
pub const MOST_PAGES: usize = 100;
/// How long a group that was found is not asked for again.
const FRESH: Millis = 10 * 60 * 1000;
/// How long one that was not found isn't: somebody may be creating it.
const MISSING: Millis = 60 * 1000;

/// A runner group.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Group {
    /// GitHub's id of it.
    pub id: u64,
    /// Its name.
    pub name: String,
}

/// One page of the list.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// By which GitHub tells whether it has changed.
    pub etag: Option<String>,
    /// What is on it.
    pub groups: Vec<Group>,
}

/// The groups of one owner.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    /// All pages, in order.
    pub pages: Vec<Page>,
    /// When GitHub was asked last.
    pub checked_at: Option<Millis>,
}

/// The groups of each owner. The lock is held while GitHub is asked, so that others wait for that answer.
pub type Groups = Mutex<HashMap<Scope, Listing>>;

/// No group has that name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no runner group \"{name}\"; there {are}", are = list(.known))]
pub struct NoGroup {
    /// The name.
    pub name: String,
    /// The names that there are.
    pub known: Vec<String>,
}

fn list(known: &[String]) -> String {
    let quoted: Vec<String> = known.iter().map(|name| format!("\"{name}\"")).collect();
    if quoted.is_empty() { "is none at all".to_owned() } else { format!("are {}", quoted.join(", ")) }
}

impl Listing {
    /// What there is at every repository, as of `now`.
    #[must_use]
    pub fn of_repository(now: Millis) -> Self {
        let default = Group { id: 1, name: "Default".to_owned() };
        Self { pages: vec![Page { etag: None, groups: vec![default] }], checked_at: Some(now) }
    }

    /// The id of the group called `name`: as it is written, else in other letters' case.
    #[must_use]
    pub fn id_of(&self, name: &str) -> Option<u64> {
        let exactly = self.groups().find(|group| group.name == name);
        let found = exactly.or_else(|| self.groups().find(|group| group.name.to_lowercase() == name.to_lowercase()));
        found.map(|group| group.id)
    }

    /// Whether what is known of `name` will do, at the time `now`.
    #[must_use]
    pub fn will_do(&self, name: &str, now: Millis) -> bool {
        let fresh = if self.id_of(name).is_some() { FRESH } else { MISSING };
        self.checked_at.is_some_and(|at| now < at.saturating_add(fresh))
    }

    /// The id of the group called `name`, or which others there are.
    pub fn find(&self, name: &str) -> Result<u64, NoGroup> {
        self.id_of(name).ok_or_else(|| NoGroup {
            name: name.to_owned(),
            known: self.groups().map(|group| group.name.clone()).collect(),
        })
    }

    fn groups(&self) -> impl Iterator<Item = &Group> {
        self.pages.iter().flat_map(|page| &page.groups)
    }
}

#[cfg(test)]
mod tests {
    use super::{FRESH, Group, Listing, MISSING, Page};

    fn listing(names: &[(u64, &str)]) -> Listing {
        let groups = names.iter().map(|(id, name)| Group { id: *id, name: (*name).to_owned() }).collect();
        Listing { pages: vec![Page { etag: None, groups }], checked_at: Some(1000) }
    }

    #[test]
    fn a_name_is_meant_as_it_is_written_first() {
        let it = listing(&[(1, "Default"), (2, "gpu"), (3, "GPU")]);
        let found: Vec<_> = ["Default", "default", "GPU", "gpu", "Gpu", "cpu", ""].map(|name| it.id_of(name)).into();
        assert_eq!(found, [Some(1), Some(1), Some(3), Some(2), Some(2), None, None]);
    }

    #[test]
    fn a_missing_group_is_asked_for_sooner() {
        let it = listing(&[(1, "Default")]);
        let until = |name| (it.will_do(name, 999 + FRESH), it.will_do(name, 1000 + FRESH));
        assert_eq!(until("Default"), (true, false));
        assert!(it.will_do("gpu", 999 + MISSING) && !it.will_do("gpu", 1000 + MISSING));
        assert!(!Listing::default().will_do("Default", 0), "nobody has asked yet");
    }

    #[test]
    fn the_error_names_the_group_and_what_there_is() {
        let said = listing(&[(1, "Default"), (2, "gpu")]).find("cpu").unwrap_err().to_string();
        assert_eq!(said, "there is no runner group \"cpu\"; there are \"Default\", \"gpu\"");
        let said = Listing::default().find("cpu").unwrap_err().to_string();
        assert_eq!(said, "there is no runner group \"cpu\"; there is none at all");
    }
}
