//! What EC2's answer to a launch means.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    errors::Class,
    launch::LaunchRequest,
    offers::{Kind, Offer, Pool},
};

/// What came of a launch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Launched {
    /// Ids of the instances.
    pub instances: Vec<String>,
    /// Their types, as far as they were told.
    pub types: BTreeMap<String, String>,
    /// Where they come from; not told for instances that were only looked for.
    pub pools: Vec<Pool>,
    /// Why there are not as many as asked for.
    pub shortfalls: Vec<Shortfall>,
}

/// Why an offer gave no instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shortfall {
    /// What its error means.
    pub class: Class,
    /// EC2's code.
    pub code: String,
    /// EC2's code and message.
    pub reason: String,
    /// Which offer; none where the error is about the request as a whole.
    pub pool: Option<Pool>,
    /// Its availability zone, where EC2 names it.
    pub zone: Option<String>,
}

/// What follows from an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// How many instances did not come.
    pub missing: u32,
    /// Why: the best hope among the reasons. None where nothing is missing, or nobody said why.
    pub class: Option<Class>,
    /// The offers that gave instances, by the names of their breakers.
    pub worked: BTreeSet<String>,
    /// Those that have none, or that EC2 refuses for good while it gives others.
    pub failed: BTreeSet<String>,
}

/// Reads what EC2 answered to `request`.
#[must_use]
pub fn read(request: &LaunchRequest, launched: &Launched) -> Answer {
    let came = u32::try_from(launched.instances.len()).unwrap_or(u32::MAX);
    let missing = request.count.saturating_sub(came);
    let class = launched.shortfalls.iter().map(|it| it.class).min().filter(|_| missing > 0);
    let keys = |pool: Option<&Pool>| -> Vec<(&Offer, String)> {
        let of_pool = request.offers.iter().filter(|offer| pool.is_none_or(|pool| offer.holds(pool)));
        of_pool.map(|offer| (offer, offer.key(request.market))).collect()
    };
    let worked = launched.pools.iter().flat_map(|pool| keys(Some(pool))).map(|(_, key)| key).collect();
    let mut failed = BTreeSet::new();
    for shortfall in &launched.shortfalls {
        let gone = match shortfall.class {
            Class::Transient => false,
            Class::Capacity => true,
            // One offer among others; a request that is wrong as a whole is another matter.
            Class::Permanent => shortfall.pool.is_some() && class != Some(Class::Permanent),
        };
        // One type of many that fit says nothing of the others, as long as they give what is asked for.
        let counts = |kind: &Kind| missing > 0 || matches!(kind, Kind::Type(_));
        if gone {
            failed.extend(
                keys(shortfall.pool.as_ref()).into_iter().filter(|(offer, _)| counts(&offer.kind)).map(|(_, key)| key),
            );
        }
    }
    if class == Some(Class::Capacity) && failed.is_empty() {
        // EC2 names offers that are none of ours. Without this they would be asked for again and again.
        failed.extend(keys(None).into_iter().map(|(_, key)| key));
    }
    Answer { missing, class, worked, failed }
}

/// How long a fleet is left alone, in seconds, after EC2 or GitHub refused for good what it asks, where that has happened
/// `before` times in a row. A person has to change something; until then it is tried ever more seldom, at last every 10
/// minutes.
#[must_use]
pub fn refusal_wait_seconds(before: u64) -> u64 {
    (30_u64 << before.min(8)).min(600)
}

#[cfg(test)]
mod tests {
    use super::{Answer, Class, Launched, Pool, Shortfall, read, refusal_wait_seconds};
    use crate::{
        decide::{launch::request, wishes::Wishes},
        fleets::{Instances, Range, Requirements, tests::fleet},
        ledger::tests::{instance, reservation},
    };

    fn pool(kind: &str) -> Pool {
        Pool { subnet: "subnet-1".into(), instance_type: Some(kind.into()) }
    }

    fn answer(instances: Instances, came: u64, pools: &[&str], shortfalls: &[(Class, Option<&str>)]) -> Answer {
        let mut fleet = fleet("linux-x64");
        fleet.launch.instances = instances;
        let request = request("demo", &fleet, &Wishes::default(), &reservation("linux-x64", "r1", 3));
        let shortfall = |(class, kind): &(Class, Option<&str>)| Shortfall {
            class: *class,
            code: "Code".into(),
            reason: "Code: message".into(),
            pool: kind.map(pool),
            zone: None,
        };
        let launched = Launched {
            instances: (0..came).map(instance).collect(),
            pools: pools.iter().map(|kind| pool(kind)).collect(),
            shortfalls: shortfalls.iter().map(shortfall).collect(),
            ..Launched::default()
        };
        read(&request, &launched)
    }

    // offers, came, from, errors -> missing, class, worked, failed
    type Case<'a> = (
        Instances,
        u64,
        &'a [&'a str],
        &'a [(Class, Option<&'a str>)],
        u32,
        Option<Class>,
        &'a [&'a str],
        &'a [&'a str],
    );

    #[test]
    fn each_answer_is_read() {
        use Class::{Capacity, Permanent, Transient};
        let types = || Instances::Types(vec!["c7i.large".into(), "m7i.large".into()]);
        let range = Range { min: 2, max: None };
        let fitting = || {
            Instances::Requirements(Requirements {
                vcpus: range,
                memory_mib: range,
                allowed_types: vec![],
                excluded_types: vec![],
            })
        };
        let (c, m, any) = ("c7i.large", "m7i.large", "vcpu2-,mib2-");
        let cases: [Case<'_>; 11] = [
            (types(), 3, &[c], &[], 0, None, &[c], &[]),
            (types(), 3, &[m], &[(Capacity, Some(c))], 0, None, &[m], &[c]),
            (types(), 1, &[m], &[(Capacity, Some(c))], 2, Some(Capacity), &[m], &[c]),
            (types(), 0, &[], &[(Capacity, None)], 3, Some(Capacity), &[], &[c, m]),
            (types(), 0, &[], &[(Capacity, Some(c)), (Transient, Some(m))], 3, Some(Transient), &[], &[c]),
            (types(), 0, &[], &[(Capacity, Some(c)), (Permanent, Some(m))], 3, Some(Capacity), &[], &[c, m]),
            (types(), 0, &[], &[(Permanent, Some(m))], 3, Some(Permanent), &[], &[]),
            (types(), 3, &[c], &[(Permanent, Some(m))], 0, None, &[c], &[m]),
            (types(), 1, &[], &[], 2, None, &[], &[]),
            (fitting(), 3, &[c], &[(Capacity, Some(m))], 0, None, &[any], &[]),
            (fitting(), 0, &[], &[(Capacity, Some(m))], 3, Some(Capacity), &[], &[any]),
        ];
        for (i, (instances, came, pools, shortfalls, missing, class, worked, failed)) in cases.into_iter().enumerate() {
            let keys = |kinds: &[&str]| kinds.iter().map(|kind| format!("on-demand/subnet-1/{kind}")).collect();
            let expected = Answer { missing, class, worked: keys(worked), failed: keys(failed) };
            assert_eq!(answer(instances, came, pools, shortfalls), expected, "case {i}");
        }
    }

    #[test]
    fn refusals_are_repeated_ever_more_seldom() {
        let waits: Vec<u64> = (0..7).map(refusal_wait_seconds).collect();
        assert_eq!(waits, [30, 60, 120, 240, 480, 600, 600]);
        assert_eq!(refusal_wait_seconds(u64::MAX), 600);
    }
}
