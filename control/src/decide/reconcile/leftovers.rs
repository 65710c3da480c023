//! Registrations and runners at GitHub that nobody will use any more.

use std::{collections::BTreeSet, time::Duration};

use dayfly_contract::names;

use super::Since;
use crate::clock::Millis;

/// So old a registration must be: its instance may not be in EC2's list yet.
pub const REGISTRATION_GRACE: Duration = Duration::from_mins(15);
/// For so long a runner at GitHub must have been offline, at every look: another deployment may have one of the same
/// name that boots.
pub const RUNNER_GRACE: Duration = Duration::from_hours(1);

/// A registration that waits to be claimed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// The instance it is for.
    pub instance: String,
    /// When it was put.
    pub at: Millis,
}

/// Those of `registrations` whose instance is not among those that live (`alive`), and that are not new.
#[must_use]
pub fn registrations<'a>(
    registrations: &'a [Registration],
    alive: &BTreeSet<String>,
    now: Millis,
) -> Vec<&'a Registration> {
    let old = now.saturating_sub(millis(REGISTRATION_GRACE));
    let is_left =
        |it: &&Registration| names::is_instance_id(&it.instance) && !alive.contains(&it.instance) && it.at <= old;
    registrations.iter().filter(is_left).collect()
}

/// A runner that GitHub lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// GitHub's id of it.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// Whether it is connected.
    pub online: bool,
    /// Whether it has a job.
    pub busy: bool,
}

/// The instance of a runner that may be left behind: one of a fleet of ours, offline, without a job, and whose
/// instance does not live.
#[must_use]
pub fn suspect<'a>(it: &'a Listed, is_fleet: impl Fn(&str) -> bool, alive: &BTreeSet<String>) -> Option<&'a str> {
    let instance = names::instance_of_runner(&it.name)?;
    let fleet = it.name.strip_suffix(instance)?.strip_suffix('-')?;
    (!it.online && !it.busy && is_fleet(fleet) && !alive.contains(instance)).then_some(instance)
}

/// Whether a suspect has been one for long enough.
pub fn is_left(since: &mut Since, name: &str, now: Millis) -> bool {
    since.see(name, now).saturating_add(millis(RUNNER_GRACE)) <= now
}

fn millis(duration: Duration) -> Millis {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{Listed, Registration, Since, is_left, registrations, suspect};
    use crate::ledger::tests::instance;

    #[test]
    fn registrations_of_dead_instances_go_when_they_are_old() {
        let minute = 60_000;
        let it = |instance: &str, at: u64| Registration { instance: instance.into(), at: at * minute };
        let all = [it(&instance(1), 0), it(&instance(2), 0), it(&instance(3), 90), it("x", 0)];
        let alive = BTreeSet::from([instance(2)]);
        let left: Vec<&str> = registrations(&all, &alive, 100 * minute).iter().map(|it| it.instance.as_str()).collect();
        assert_eq!(left, [instance(1)]);
        assert_eq!(registrations(&all, &alive, 105 * minute).len(), 2);
    }

    #[test]
    fn a_runner_is_left_behind_when_nothing_speaks_for_it() {
        let (one, two) = (instance(1), instance(2));
        let it = |name: String, online, busy| Listed { id: 7, name, online, busy };
        let alive = BTreeSet::from([two.clone()]);
        let cases = [
            (it(format!("linux-x64-{one}"), false, false), Some(one.as_str())),
            (it(format!("linux-x64-{one}"), true, false), None),
            (it(format!("linux-x64-{one}"), false, true), None),
            (it(format!("linux-x64-{two}"), false, false), None),
            (it(format!("other-{one}"), false, false), None),
            (it("linux-x64-mine".into(), false, false), None),
            (it(one.clone(), false, false), None),
        ];
        for (listed, expected) in cases {
            assert_eq!(suspect(&listed, |fleet| fleet == "linux-x64", &alive), expected, "{listed:?}");
        }
    }

    #[test]
    fn it_has_an_hour() {
        let mut since = Since::default();
        assert!(!is_left(&mut since, "a", 5) && !is_left(&mut since, "a", 3_600_004));
        assert!(is_left(&mut since, "a", 3_600_005));
    }
}
