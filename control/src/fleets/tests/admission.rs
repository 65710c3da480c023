//! Whose jobs a fleet takes, and where its runners register.

use super::fleet;
use crate::fleets::{Admission, Bar, Fleet, GitHub, Level, Owner, Pattern, RunnerGroup, Scope};

#[test]
fn admission_goes_by_lists_and_by_whose_code_is_run() {
    let open = Admission::default();
    let listed = Admission {
        repositories: vec![Pattern::new("octo-org/*"), Pattern::new("Other/Repo")],
        denied: vec![Pattern::new("*/secret-*")],
        public_forks: true,
    };
    for (admission, repository, public_fork, bar) in [
        (&open, "any/thing", false, None),
        (&open, "any/thing", true, Some(Bar::PublicFork)),
        (&listed, "octo-org/a", false, None),
        (&listed, "Octo-Org/b", true, None),
        (&listed, "octo-organ/a", false, Some(Bar::NotListed)),
        (&listed, "other/repo", false, None),
        (&listed, "other/x", true, Some(Bar::NotListed)),
        (&listed, "octo-org/Secret-plan", false, Some(Bar::Denied)),
    ] {
        assert_eq!(admission.bar(Some(repository), public_fork), bar, "{repository} {public_fork}");
    }
    let denied = Admission { denied: vec![Pattern::new("a/b")], ..open };
    assert_eq!((denied.bar(Some("a/b"), true), denied.bar(Some("a/c"), false)), (Some(Bar::Denied), None));
    assert_eq!(
        (listed.bar(None, true), denied.bar(None, true)),
        (None, Some(Bar::PublicFork)),
        "no repository is told"
    );
}

#[test]
fn runners_reach_the_jobs_of_their_owner_only() {
    let mut fleet = fleet("linux-x64");
    let reaches = |fleet: &Fleet, repository| fleet.out_of_reach(Some(repository), &Owner::default()).is_none();
    assert!(reaches(&fleet, "any/thing"));
    fleet.github.owner = Some("octo-org".into());
    assert!(reaches(&fleet, "Octo-Org/a") && !reaches(&fleet, "octo-organ/a"));
    fleet.github =
        GitHub { level: Level::Repository, owner: Some("octo-org/a".into()), runner_group: RunnerGroup::DEFAULT };
    assert!(reaches(&fleet, "octo-org/a") && !reaches(&fleet, "octo-org/b"));
    fleet.github = GitHub { level: Level::Enterprise, owner: Some("octo".into()), runner_group: RunnerGroup::DEFAULT };
    assert!(reaches(&fleet, "octo-org/a") && reaches(&fleet, "other/repo"));
}

#[test]
fn runners_register_with_the_fleets_owner_or_the_jobs() {
    let mut fleet = fleet("linux-x64");
    assert_eq!(fleet.scope_for("octo-org/a").to_string(), "orgs/octo-org");
    fleet.github.owner = Some("Octo-Org".into());
    assert_eq!(fleet.scope_for("octo-org/a").to_string(), "orgs/Octo-Org");
    fleet.github = GitHub { level: Level::Repository, owner: None, runner_group: RunnerGroup::DEFAULT };
    assert_eq!(fleet.scope_for("octo-org/a").to_string(), "repos/octo-org/a");
    fleet.github = GitHub { level: Level::Enterprise, owner: Some("octo".into()), runner_group: RunnerGroup::DEFAULT };
    let scope = fleet.scope_for("octo-org/a");
    assert_eq!(scope.to_string(), "enterprises/octo");
    assert_eq!(fleet.target(scope.clone(), Some(77)).installation, None, "an organization's is not the enterprise's");
    assert_eq!(scope.to_string().parse(), Ok(scope));
    assert!("teams/x".parse::<Scope>().is_err());
}
