//! What fleets launch from: images, launch templates, vCPUs.

use std::collections::BTreeMap;

use dayfly_control::fleets::{Fleet, Instances, Market};

use super::finding::Finding;

/// A launch template's version, or why it is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Template {
    /// It is there.
    There {
        /// Its image, an id or `resolve:ssm:…`.
        image: Option<String>,
        /// Name of its instance profile, or its ARN.
        profile: Option<String>,
    },
    /// EC2 has no such template, or version.
    Absent(String),
    /// It could not be asked.
    Unasked(String),
}

/// An image that a fleet names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Resolved {
    /// It is there, and `available` or in another state.
    There { id: String, state: String },
    /// There is none, for this reason.
    Absent(String),
    /// It could not be asked.
    Unasked(String),
}

/// The template of `fleet`.
pub(crate) fn template(fleet: &Fleet, it: &Template) -> Finding {
    let check = format!("fleet {} template", fleet.name);
    let (id, version) = (&fleet.launch.template_id, &fleet.launch.template_version);
    match it {
        Template::There { profile: None, .. } => Finding::bad(
            &check,
            format!("{id} version {version} names no instance profile: the agent can't take its registration"),
            "name one in it, or deploy again",
        ),
        Template::There { .. } => Finding::ok(&check, format!("{id} version {version} is there")),
        Template::Absent(why) => Finding::bad(
            &check,
            format!("{id} version {version} is not there: {why}"),
            "deploy again, or mend the fleets document",
        ),
        Template::Unasked(why) => Finding::unknown(&check, why.clone(), "ec2:DescribeLaunchTemplateVersions is needed"),
    }
}

/// The image of `fleet`, as it is named: `named`.
pub(crate) fn image(fleet: &Fleet, named: &str, it: &Resolved) -> Finding {
    let check = format!("fleet {} image", fleet.name);
    match it {
        Resolved::There { id, state } if state == "available" => Finding::ok(&check, format!("{named} is {id}")),
        Resolved::There { id, state } => Finding::bad(
            &check,
            format!("{named} is {id}, which is {state}"),
            "wait until it is available, or name another",
        ),
        Resolved::Absent(why) => Finding::bad(
            &check,
            format!("{named} leads to no image: {why}"),
            "build the image or share it with this account, or name another in the fleet's image",
        ),
        Resolved::Unasked(why) => {
            Finding::unknown(&check, why.clone(), "ec2:DescribeImages and ssm:GetParameter are needed")
        }
    }
}

/// The classes of instance types that EC2 counts vCPUs of, with the codes of their quotas for on-demand and spot.
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-on-demand-instances.html#ec2-on-demand-instances-limits>,
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/using-spot-limits.html>
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Class {
    pub(crate) name: &'static str,
    on_demand: &'static str,
    spot: &'static str,
}

const fn class(name: &'static str, on_demand: &'static str, spot: &'static str) -> Class {
    Class { name, on_demand, spot }
}

const STANDARD: Class = class("Standard (A, C, D, H, I, M, R, T, Z)", "L-1216C47A", "L-34B43A08");
const CLASSES: [(&[&str], Class); 6] = [
    (&["dl"], class("DL", "L-6E869C2A", "L-85EED4F7")),
    (&["f"], class("F", "L-74FC7D96", "L-88CF9481")),
    (&["g", "gr", "vt"], class("G and VT", "L-DB2E81BA", "L-3819A6DF")),
    (&["inf"], class("Inf", "L-1945791B", "L-B5D1601B")),
    (&["p"], class("P", "L-417A185B", "L-7212CCBC")),
    (&["x"], class("X", "L-7295265B", "L-E3A00192")),
];

impl Class {
    /// The class of an instance type; none for those whose quotas are not known here.
    fn of(instance_type: &str) -> Option<Self> {
        let family: String = instance_type.chars().take_while(char::is_ascii_lowercase).collect();
        let special = CLASSES.iter().find(|(families, _)| families.contains(&family.as_str()));
        let standard = || {
            let of_standard = ["a", "c", "d", "h", "i", "im", "is", "m", "r", "t", "z"].contains(&family.as_str());
            of_standard.then_some(STANDARD)
        };
        special.map(|(_, class)| *class).or_else(standard)
    }

    /// The code of its quota.
    pub(crate) const fn quota(self, market: Market) -> &'static str {
        match market {
            Market::OnDemand => self.on_demand,
            Market::Spot => self.spot,
        }
    }
}

/// The most vCPUs that all fleets together may have at a time, by market and class; and what could not be counted. `vcpus`
/// are those of the types that the fleets list.
pub(crate) fn demand(
    fleets: &[Fleet],
    vcpus: &BTreeMap<String, u64>,
) -> (BTreeMap<(&'static str, Class), u64>, Vec<String>) {
    let mut demand = BTreeMap::new();
    let mut uncounted = Vec::new();
    for fleet in fleets {
        let launch = &fleet.launch;
        let mut largest: BTreeMap<Class, u64> = BTreeMap::new();
        match &launch.instances {
            Instances::Types(types) => {
                for kind in types {
                    match (Class::of(kind), vcpus.get(kind)) {
                        (Some(class), Some(vcpus)) => {
                            let known = largest.entry(class).or_default();
                            *known = (*known).max(*vcpus);
                        }
                        _ => uncounted.push(format!("{kind} of fleet {}", fleet.name)),
                    }
                }
            }
            // Nearly all that fits is of the standard class.
            Instances::Requirements(it) => match it.vcpus.max {
                Some(max) => drop(largest.insert(STANDARD, max)),
                None => uncounted.push(format!("fleet {}, which has no limit of vCPUs", fleet.name)),
            },
        }
        let both = launch.market == Market::Spot && (launch.on_demand_fallback || launch.on_demand_base > 0);
        let markets = if both { vec![Market::Spot, Market::OnDemand] } else { vec![launch.market] };
        for (class, vcpus) in largest {
            for market in &markets {
                // Of a fallback all may be, of a base alone its own number.
                let count = match market {
                    Market::OnDemand if both && !launch.on_demand_fallback => fleet.max.min(launch.on_demand_base),
                    _ => fleet.max,
                };
                *demand.entry((market.name(), class)).or_default() += count * vcpus;
            }
        }
    }
    (demand, uncounted)
}

/// A quota of vCPUs against what the fleets may have.
pub(crate) fn quota(market: &str, class: Class, demand: u64, quota: Result<f64, String>) -> Finding {
    let check = format!("quota {market}");
    let name = class.name;
    match quota {
        Err(why) => Finding::unknown(
            &check,
            format!("{name}: the fleets may need {demand} vCPUs; {why}"),
            "servicequotas:GetServiceQuota is needed",
        ),
        #[expect(clippy::cast_precision_loss, reason = "vCPUs of an account are far below 2^52")]
        Ok(quota) if quota < demand as f64 => {
            let what = format!("{name}: {quota:.0} vCPUs, and the fleets may need {demand} with all at their max");
            let todo = "ask for more in Service Quotas (EC2), or lower max";
            if quota < 1.0 { Finding::bad(&check, what, todo) } else { Finding::warn(&check, what, todo) }
        }
        Ok(quota) => Finding::ok(&check, format!("{name}: {quota:.0} vCPUs, of which the fleets may need {demand}")),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use dayfly_control::fleets::{Fleet, Fleets};
    use serde_json::{Value, json};

    use super::{Class, Market, Resolved, STANDARD, Template, demand, image, quota, template};
    use crate::doctor::finding::Level;

    fn fleet(max: u64, launch: &Value) -> Fleet {
        let mut all = json!({"template_id": "lt-1", "template_version": "1", "subnets": ["subnet-1"]});
        for (name, value) in launch.as_object().unwrap() {
            all[name] = value.clone();
        }
        let text = json!({"version": 1, "fleets": [{
            "name": "linux-x64", "labels": ["self-hosted"], "max": max, "github": {"level": "organization"}, "launch": all,
        }]});
        Fleets::read(&text.to_string()).unwrap().fleets.remove(0)
    }

    #[test]
    fn types_count_against_their_class() {
        for (kind, code) in [
            ("c7i.large", Some("L-1216C47A")),
            ("t3.micro", Some("L-1216C47A")),
            ("im4gn.large", Some("L-1216C47A")),
            ("trn1.2xlarge", None),
            ("inf2.xlarge", Some("L-1945791B")),
            ("g5.xlarge", Some("L-DB2E81BA")),
            ("vt1.3xlarge", Some("L-DB2E81BA")),
            ("p5.48xlarge", Some("L-417A185B")),
            ("x2idn.16xlarge", Some("L-7295265B")),
            ("dl1.24xlarge", Some("L-6E869C2A")),
            ("f1.2xlarge", Some("L-74FC7D96")),
            ("u-6tb1.metal", None),
            ("hpc7g.4xlarge", None),
        ] {
            assert_eq!(Class::of(kind).map(|it| it.quota(Market::OnDemand)), code, "{kind}");
        }
        assert_eq!(STANDARD.quota(Market::Spot), "L-34B43A08");
    }

    #[test]
    fn fleets_may_need_their_max_of_their_largest_type() {
        let vcpus: BTreeMap<String, u64> =
            [("c7i.large", 2), ("c7i.xlarge", 4), ("g5.xlarge", 4)].map(|(kind, n)| (kind.to_owned(), n)).into();
        let types = json!({"instance_types": ["c7i.large", "c7i.xlarge"]});
        let spot = |more: &Value| {
            let mut it = json!({"instance_types": ["c7i.large"], "market": "spot"});
            for (name, value) in more.as_object().unwrap() {
                it[name] = value.clone();
            }
            it
        };
        let count = |fleets: &[Fleet]| {
            let (demand, uncounted) = demand(fleets, &vcpus);
            let demand: Vec<(&str, u64)> = demand.iter().map(|((market, _), n)| (*market, *n)).collect();
            (demand, uncounted.len())
        };
        assert_eq!(count(&[fleet(10, &types)]), (vec![("on-demand", 40)], 0));
        assert_eq!(count(&[fleet(10, &types), fleet(5, &types)]), (vec![("on-demand", 60)], 0));
        assert_eq!(count(&[fleet(10, &spot(&json!({"on_demand_fallback": false})))]), (vec![("spot", 20)], 0));
        let fallback = spot(&json!({"on_demand_fallback": true}));
        assert_eq!(count(&[fleet(10, &fallback)]), (vec![("on-demand", 20), ("spot", 20)], 0));
        let base = spot(&json!({"on_demand_fallback": false, "on_demand_base": 3}));
        assert_eq!(count(&[fleet(10, &base)]), (vec![("on-demand", 6), ("spot", 20)], 0));
        let unknown = json!({"instance_types": ["trn1.2xlarge", "c9x.huge"]});
        assert_eq!(count(&[fleet(10, &unknown)]), (vec![], 2));
    }

    #[test]
    fn a_quota_is_enough_or_not() {
        for (has, expected) in [
            (Ok(40.0), Level::Ok),
            (Ok(39.0), Level::Warn),
            (Ok(0.0), Level::Bad),
            (Err("denied".to_owned()), Level::Unknown),
        ] {
            let found = quota("spot", STANDARD, 40, has.clone());
            assert!(found.level == expected && found.what.contains("40"), "{has:?}: {found}");
        }
    }

    #[test]
    fn templates_and_images_are_there() {
        let it = fleet(1, &json!({"instance_types": ["c7i.large"]}));
        let there = |profile: Option<&str>| Template::There { image: None, profile: profile.map(str::to_owned) };
        for (told, expected) in [
            (there(Some("dayfly-main-runner")), Level::Ok),
            (there(None), Level::Bad),
            (Template::Absent("InvalidLaunchTemplateId.NotFound".into()), Level::Bad),
            (Template::Unasked("denied".into()), Level::Unknown),
        ] {
            assert_eq!(template(&it, &told).level, expected, "{told:?}");
        }
        let state = |state: &str| Resolved::There { id: "ami-1".into(), state: state.into() };
        for (told, expected) in [
            (state("available"), Level::Ok),
            (state("pending"), Level::Bad),
            (Resolved::Absent("none is called x".into()), Level::Bad),
            (Resolved::Unasked("denied".into()), Level::Unknown),
        ] {
            assert_eq!(image(&it, "the parameter /images/ci", &told).level, expected, "{told:?}");
        }
    }
}
