//! What EC2 can be asked for: a market, and in each subnet the instance types that fit. All offers of one market are
//! one request; where it comes to nothing, the next market is asked, if the fleet allows that.

use crate::{
    clock::Millis,
    decide::{
        breaker::Breakers,
        wishes::{self, Wishes},
    },
    fleets::{Fleet, Instances, Market, Range, Requirements},
};

/// A subnet and what is launched in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Subnet.
    pub subnet: String,
    /// Instance type or types.
    pub kind: Kind,
    /// The place of the instance type in its fleet's list: the lower, the rather.
    pub rank: u32,
}

/// What is launched in a subnet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// This instance type.
    Type(String),
    /// Any that fits.
    Fitting(Requirements),
}

/// Where in EC2's answer an error or an instance comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Subnet.
    pub subnet: String,
    /// Instance type, where it is told.
    pub instance_type: Option<String>,
}

impl Offer {
    /// The name of its breaker in `market`.
    #[must_use]
    pub fn key(&self, market: Market) -> String {
        let kind = match &self.kind {
            Kind::Type(name) => name.clone(),
            Kind::Fitting(it) => {
                let types = |sign: &str, types: &[String]| types.iter().map(|it| format!("{sign}{it}")).collect();
                let allowed: Vec<String> = types("+", &it.allowed_types);
                let excluded: Vec<String> = types("-", &it.excluded_types);
                let parts = [vec![span("vcpu", it.vcpus), span("mib", it.memory_mib)], allowed, excluded];
                parts.concat().join(",")
            }
        };
        format!("{}/{}/{kind}", market.name(), self.subnet)
    }

    /// Whether `pool` is of this offer.
    #[must_use]
    pub fn holds(&self, pool: &Pool) -> bool {
        let kind = match (&self.kind, &pool.instance_type) {
            (Kind::Type(name), Some(told)) => name == told,
            (Kind::Fitting(_), _) | (_, None) => true,
        };
        self.subnet == pool.subnet && kind
    }
}

fn span(unit: &str, Range { min, max }: Range) -> String {
    format!("{unit}{min}-{}", max.map(|max| max.to_string()).unwrap_or_default())
}

/// The name of the breaker of jobs whose `asks` steer the launch, where EC2 refuses for good what they ask for. None where
/// they steer nothing, as a pin: EC2 is asked then for what it is asked for any other job of the fleet.
#[must_use]
pub fn asks_key(asks: &[String]) -> Option<String> {
    let steering: Vec<&str> = asks.iter().map(String::as_str).filter(|ask| wishes::steers(ask)).collect();
    (!steering.is_empty()).then(|| format!("asks/{}", steering.join(",")))
}

/// All offers of `fleet` for a job with these `wishes`, in order of its instance types.
#[must_use]
pub fn offers(fleet: &Fleet, wishes: &Wishes) -> Vec<Offer> {
    let kinds = match instances(fleet, wishes) {
        Instances::Types(types) => types.into_iter().map(Kind::Type).collect(),
        Instances::Requirements(requirements) => vec![Kind::Fitting(requirements)],
    };
    let in_subnets = |(rank, kind): (u32, Kind)| {
        let offer = move |subnet: &String| Offer { subnet: subnet.clone(), kind: kind.clone(), rank };
        fleet.launch.subnets.iter().map(offer)
    };
    (0..).zip(kinds).flat_map(in_subnets).collect()
}

/// The instance types: a job's wishes narrow the fleet's down, or take their place within what its policy allows.
fn instances(fleet: &Fleet, wishes: &Wishes) -> Instances {
    let launch = &fleet.launch;
    let sized = wishes.vcpus.is_some() || wishes.memory_gib.is_some();
    let family = match &wishes.instance_type {
        // A type has its size.
        Some(name) if name.contains('.') => return Instances::Types(vec![name.clone()]),
        family => family.as_deref(),
    };
    if family.is_none() && !sized {
        return launch.instances.clone();
    }
    let none = Range { min: 0, max: None };
    let mut wanted = match &launch.instances {
        Instances::Requirements(requirements) => requirements.clone(),
        Instances::Types(types) => {
            let of_family = |it: &&String| family.is_some_and(|family| family_of(it) == family);
            let known: Vec<String> = types.iter().filter(of_family).cloned().collect();
            if !sized && !known.is_empty() {
                return Instances::Types(known);
            }
            // Other sizes of the fleet's own families: its image runs on them.
            let mut families: Vec<String> = types.iter().map(|it| format!("{}.*", family_of(it))).collect();
            families.dedup();
            Requirements { vcpus: none, memory_mib: none, allowed_types: families, excluded_types: Vec::new() }
        }
    };
    if let Some(family) = family {
        (wanted.allowed_types, wanted.excluded_types) = (vec![format!("{family}.*")], Vec::new());
    }
    wanted.vcpus = at_least(wanted.vcpus, wishes.vcpus, fleet.steering.max_vcpus);
    wanted.memory_mib =
        at_least(wanted.memory_mib, wishes.memory_gib.map(|it| it * 1024), fleet.steering.max_memory_gib * 1024);
    Instances::Requirements(wanted)
}

fn family_of(instance_type: &str) -> &str {
    instance_type.split_once('.').map_or(instance_type, |(family, _)| family)
}

/// `range` from `wish` on: up to its own end, or where that is less, to what a job may ask for at `most`.
fn at_least(range: Range, wish: Option<u64>, most: u64) -> Range {
    let Some(wish) = wish else { return range };
    let min = range.min.max(wish);
    Range { min, max: Some(range.max.filter(|max| *max >= min).unwrap_or(most.max(min))) }
}

/// The market that a fleet's instances are of, where the on-demand base is met.
#[must_use]
pub fn first_market(fleet: &Fleet, wishes: &Wishes) -> Market {
    wishes.market.unwrap_or(fleet.launch.market)
}

/// The market to ask after `market` had nothing.
#[must_use]
pub fn next_market(fleet: &Fleet, wishes: &Wishes, market: Market) -> Option<Market> {
    let may = fleet.launch.on_demand_fallback && wishes.market.is_none();
    (market == Market::Spot && may).then_some(Market::OnDemand)
}

/// What can be asked for now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The offers of this market, `without` those whose breaker is open.
    Ask {
        /// The market.
        market: Market,
        /// Names of open breakers.
        without: Vec<String>,
    },
    /// Nothing until then.
    Wait(Millis),
}

/// What to ask for, from `market` on: the first market that has an offer whose breaker is not open.
#[must_use]
pub fn choose(fleet: &Fleet, wishes: &Wishes, market: Market, breakers: &Breakers, now: Millis) -> Choice {
    let offers = offers(fleet, wishes);
    let mut first_back = Millis::MAX;
    let mut next = Some(market);
    while let Some(market) = next {
        let keys = offers.iter().map(|offer| offer.key(market));
        let open: Vec<(String, Millis)> =
            keys.filter_map(|key| breakers.open(&key, now).map(|until| (key, until))).collect();
        if open.len() < offers.len() {
            return Choice::Ask { market, without: open.into_iter().map(|(key, _)| key).collect() };
        }
        first_back = open.iter().map(|(_, until)| *until).fold(first_back, Millis::min);
        next = next_market(fleet, wishes, market);
    }
    Choice::Wait(first_back)
}

#[cfg(test)]
mod tests {
    use super::{Choice, Instances, Kind, Market, Pool, Range, Requirements, choose, offers};
    use crate::{
        decide::{
            breaker::{Breaker, Breakers},
            wishes::Wishes,
        },
        fleets::{Fleet, Pattern, Steering, tests::fleet},
    };

    fn types(names: &[&str]) -> Instances {
        Instances::Types(names.iter().map(|&name| name.into()).collect())
    }

    fn requirements(
        vcpus: (u64, Option<u64>),
        mib: (u64, Option<u64>),
        allowed: &[&str],
        excluded: &[&str],
    ) -> Instances {
        let range = |(min, max)| Range { min, max };
        let texts = |names: &[&str]| names.iter().map(|&name| name.into()).collect();
        Instances::Requirements(Requirements {
            vcpus: range(vcpus),
            memory_mib: range(mib),
            allowed_types: texts(allowed),
            excluded_types: texts(excluded),
        })
    }

    fn steered(instances: Instances) -> Fleet {
        let mut fleet = fleet("linux-x64");
        fleet.launch.instances = instances;
        fleet.steering = Steering {
            instance_types: vec![Pattern::new("*")],
            max_vcpus: 16,
            max_memory_gib: 64,
            ..Steering::default()
        };
        fleet
    }

    #[test]
    fn wishes_narrow_down_or_take_the_place_of_what_the_fleet_has() {
        let listed = || types(&["c7i.large", "c7i.xlarge", "m7i.large"]);
        let fitting = || requirements((2, Some(4)), (0, None), &[], &["t*"]);
        let cases: [(Instances, &str, Instances); 10] = [
            (listed(), "linux", listed()),
            (listed(), "dayfly-type=r7i.large dayfly-cpu=2", types(&["r7i.large"])),
            (listed(), "dayfly-type=c7i", types(&["c7i.large", "c7i.xlarge"])),
            (listed(), "dayfly-type=r7i", requirements((0, None), (0, None), &["r7i.*"], &[])),
            (listed(), "dayfly-cpu=8", requirements((8, Some(16)), (0, None), &["c7i.*", "m7i.*"], &[])),
            (
                listed(),
                "dayfly-type=c7i dayfly-memory=8",
                requirements((0, None), (8192, Some(65536)), &["c7i.*"], &[]),
            ),
            (fitting(), "dayfly-pin=7", fitting()),
            (fitting(), "dayfly-cpu=3", requirements((3, Some(4)), (0, None), &[], &["t*"])),
            (fitting(), "dayfly-cpu=1", requirements((2, Some(4)), (0, None), &[], &["t*"])),
            (fitting(), "dayfly-cpu=8 dayfly-type=c7i", requirements((8, Some(16)), (0, None), &["c7i.*"], &[])),
        ];
        for (instances, labels, expected) in cases {
            let mut fleet = steered(instances);
            fleet.steering.pin = true;
            let wishes = Wishes::read(labels.split(' '), &fleet.steering).unwrap();
            assert_eq!(super::instances(&fleet, &wishes), expected, "{labels}");
        }
    }

    #[test]
    fn every_offer_has_a_breaker_of_its_own_name() {
        let mut fleet = steered(types(&["c7i.large", "m7i.large"]));
        fleet.launch.subnets = vec!["subnet-a".into(), "subnet-b".into()];
        let all = offers(&fleet, &Wishes::default());
        let keys: Vec<String> = all.iter().map(|it| it.key(Market::Spot)).collect();
        let expected =
            ["a/c7i.large", "b/c7i.large", "a/m7i.large", "b/m7i.large"].map(|it| format!("spot/subnet-{it}"));
        assert_eq!(keys, expected);
        assert_eq!(all.iter().map(|it| it.rank).collect::<Vec<_>>(), [0, 0, 1, 1]);
        let pool =
            |subnet: &str, kind: Option<&str>| Pool { subnet: subnet.into(), instance_type: kind.map(Into::into) };
        let held = |pool: &Pool| all.iter().filter(|it| it.holds(pool)).count();
        let pools = [pool("subnet-b", Some("c7i.large")), pool("subnet-b", None), pool("subnet-c", None)];
        assert_eq!(pools.each_ref().map(held), [1, 2, 0]);

        fleet.launch.instances = requirements((2, Some(4)), (1024, None), &["c7*"], &[]);
        let fitting = offers(&fleet, &Wishes::default());
        assert_eq!(fitting[1].key(Market::OnDemand), "on-demand/subnet-b/vcpu2-4,mib1024-,+c7*");
        assert!(matches!(fitting[1].kind, Kind::Fitting(_)) && fitting[1].holds(&pool("subnet-b", Some("c7i.large"))));
    }

    #[test]
    fn the_first_market_with_something_to_ask_for_is_asked() {
        let open = |keys: &[(&str, u64)]| {
            let breaker = |until| Breaker { failures: 1, until, ..Breaker::default() };
            Breakers(keys.iter().map(|(key, until)| ((*key).into(), breaker(*until))).collect())
        };
        let (spot, other, list) =
            ("spot/subnet-1/c7i.large", "spot/subnet-1/m7i.large", "on-demand/subnet-1/c7i.large");
        let (list_too, now) = ("on-demand/subnet-1/m7i.large", 100);
        let ask =
            |market, without: &[&str]| Choice::Ask { market, without: without.iter().map(|&it| it.into()).collect() };
        let cases = [
            (true, open(&[]), ask(Market::Spot, &[])),
            (true, open(&[(spot, 101)]), ask(Market::Spot, &[spot])),
            (true, open(&[(spot, 101), (other, 100)]), ask(Market::Spot, &[spot])), // due
            (true, open(&[(spot, 101), (other, 102), (list, 103)]), ask(Market::OnDemand, &[list])),
            (true, open(&[(spot, 105), (other, 102), (list, 103), (list_too, 104)]), Choice::Wait(102)),
            (false, open(&[(spot, 105), (other, 104)]), Choice::Wait(104)),
        ];
        for (fallback, breakers, expected) in cases {
            let mut fleet = steered(types(&["c7i.large", "m7i.large"]));
            (fleet.launch.market, fleet.launch.on_demand_fallback) = (Market::Spot, fallback);
            assert_eq!(choose(&fleet, &Wishes::default(), Market::Spot, &breakers, now), expected, "{breakers:?}");
            let spot_only = Wishes { market: Some(Market::Spot), ..Wishes::default() };
            let chosen = choose(&fleet, &spot_only, Market::Spot, &breakers, now);
            assert!(!matches!(chosen, Choice::Ask { market: Market::OnDemand, .. }), "asked for spot");
        }
    }
}
