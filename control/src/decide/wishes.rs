//! What a job's own labels ask of its instance: `dayfly-cpu=8`, `dayfly-type=c7i.4xlarge`. A fleet's
//! [`Steering`] says what may be asked.

use crate::fleets::{Market, Steering};

/// What a steering label begins with.
const PREFIX: &str = "dayfly-";

/// What is asked for; all of it absent for a job that leaves everything to its fleet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// `dayfly-type=`: an instance type, or the beginning of types, such as `c7i`.
    pub instance_type: Option<String>,
    /// `dayfly-cpu=`: at least so many vCPUs.
    pub vcpus: Option<u64>,
    /// `dayfly-memory=`: at least so many GiB.
    pub memory_gib: Option<u64>,
    /// `dayfly-disk=`: a root volume of so many GiB.
    pub disk_gib: Option<u64>,
    /// `dayfly-market=`: how it is bought.
    pub market: Option<Market>,
    /// `dayfly-image=`: an image's id.
    pub image: Option<String>,
    /// `dayfly-pin=`: whatever makes the job's runner its own.
    pub pin: Option<String>,
}

/// Why a label asks for what it can't have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("label {label:?}: {why}")]
pub struct Unwished {
    /// The label.
    pub label: String,
    /// What the fleet allows.
    pub why: String,
}

/// Whether `label` is one that asks for something; such a label is none that a fleet's runners need to carry.
#[must_use]
pub fn is_wish(label: &str) -> bool {
    split(label).is_some()
}

/// Whether `label` asks for something that EC2 is asked for. A pin is none.
#[must_use]
pub fn steers(label: &str) -> bool {
    split(label).is_some_and(|(what, _)| what != "pin")
}

impl Wishes {
    /// What `labels` ask for, where all of it is within `steering`. Labels that ask for nothing are passed over.
    pub fn read<'a>(labels: impl IntoIterator<Item = &'a str>, steering: &Steering) -> Result<Self, Unwished> {
        let mut wishes = Self::default();
        let mut heard: Vec<(String, &str)> = Vec::new();
        for label in labels {
            let Some((what, value)) = split(label) else { continue };
            let refuse = |why: String| Unwished { label: label.to_owned(), why };
            // Which of two is meant must not hang on their order.
            if heard.iter().any(|(other, said)| *other == what && !said.eq_ignore_ascii_case(value)) {
                return Err(refuse(format!("dayfly-{what}= says something else in another label")));
            }
            heard.push((what.clone(), value));
            let number = |most: u64, unit: &str| match value.parse::<u64>() {
                _ if most == 0 => Err(refuse(format!("the fleet lets no job ask for {unit}"))),
                Ok(number) if (1..=most).contains(&number) => Ok(Some(number)),
                _ => Err(refuse(format!("expected a whole number of {unit} from 1 to {most}"))),
            };
            match what.as_str() {
                "cpu" => wishes.vcpus = number(steering.max_vcpus, "vCPUs")?,
                "memory" => wishes.memory_gib = number(steering.max_memory_gib, "GiB of memory")?,
                "disk" => wishes.disk_gib = number(steering.max_disk_gib, "GiB of disk")?,
                "type" if steering.instance_types.iter().any(|it| allows_type(it, value)) => {
                    wishes.instance_type = Some(value.to_lowercase());
                }
                "market" => {
                    let found = steering.markets.iter().find(|it| it.name().eq_ignore_ascii_case(value));
                    let names: Vec<&str> = steering.markets.iter().map(|it| it.name()).collect();
                    wishes.market = Some(*found.ok_or_else(|| refuse(format!("allowed is {}", or_none(&names))))?);
                }
                "image" if steering.images.iter().any(|it| it.matches(value)) => {
                    wishes.image = Some(value.to_lowercase());
                }
                "pin" if steering.pin => wishes.pin = Some(value.to_owned()),
                "type" | "image" => {
                    let patterns = if what == "type" { &steering.instance_types } else { &steering.images };
                    let names: Vec<&str> = patterns.iter().map(crate::fleets::Pattern::as_str).collect();
                    return Err(refuse(format!("allowed is {}", or_none(&names))));
                }
                "pin" => return Err(refuse("the fleet lets no job pin its runner".to_owned())),
                _ => return Err(refuse("nothing of that name can be asked for".to_owned())),
            }
        }
        Ok(wishes)
    }
}

/// A family (`c7i`) is allowed where all of its types are.
fn allows_type(pattern: &crate::fleets::Pattern, value: &str) -> bool {
    let types = if value.contains('.') { value.to_owned() } else { format!("{value}.*") };
    pattern.matches(&types)
}

fn or_none(names: &[&str]) -> String {
    if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
}

/// What is asked for, in lower case, and the value.
fn split(label: &str) -> Option<(String, &str)> {
    let head = label.get(..PREFIX.len())?;
    let (what, value) = label.get(PREFIX.len()..)?.split_once('=')?;
    (head.eq_ignore_ascii_case(PREFIX) && !value.is_empty()).then(|| (what.to_ascii_lowercase(), value))
}

#[cfg(test)]
mod tests {
    use super::{Unwished, Wishes, is_wish};
    use crate::fleets::{Market, Pattern, Steering};

    fn steering() -> Steering {
        Steering {
            instance_types: vec![Pattern::new("c7i.*"), Pattern::new("m7i.large")],
            max_vcpus: 16,
            max_memory_gib: 64,
            max_disk_gib: 0,
            markets: vec![Market::Spot],
            images: vec![Pattern::new("ami-0a*")],
            pin: true,
        }
    }

    #[test]
    fn what_is_allowed_is_granted() {
        let labels = [
            "linux",
            "dayfly-cpu=8",
            "DAYFLY-Memory=32",
            "dayfly-type=c7i",
            "dayfly-market=Spot",
            "dayfly-image=ami-0a12",
            "dayfly-pin=run-7",
        ];
        let expected = Wishes {
            instance_type: Some("c7i".into()),
            vcpus: Some(8),
            memory_gib: Some(32),
            disk_gib: None,
            market: Some(Market::Spot),
            image: Some("ami-0a12".into()),
            pin: Some("run-7".into()),
        };
        assert_eq!(Wishes::read(labels, &steering()).unwrap(), expected);
        assert_eq!(Wishes::read(["linux", "dayfly-x", "dayfly-x="], &steering()).unwrap(), Wishes::default());
    }

    #[test]
    fn what_is_not_allowed_is_named() {
        let cases = [
            ("dayfly-cpu=17", "expected a whole number of vCPUs from 1 to 16"),
            ("dayfly-cpu=many", "expected a whole number of vCPUs from 1 to 16"),
            ("dayfly-cpu=0", "expected a whole number of vCPUs from 1 to 16"),
            ("dayfly-disk=10", "the fleet lets no job ask for GiB of disk"),
            ("dayfly-type=m7i", "allowed is c7i.*, m7i.large"),
            ("dayfly-market=on-demand", "allowed is spot"),
            ("dayfly-image=ami-0b", "allowed is ami-0a*"),
            ("dayfly-gpu=1", "nothing of that name can be asked for"),
        ];
        for (label, why) in cases {
            let refused = Unwished { label: label.into(), why: why.into() };
            assert_eq!(Wishes::read([label], &steering()), Err(refused));
        }
        for twice in [["dayfly-cpu=8", "dayfly-cpu=4"], ["dayfly-cpu=4", "Dayfly-CPU=8"]] {
            let why = "dayfly-cpu= says something else in another label".into();
            assert_eq!(Wishes::read(twice, &steering()), Err(Unwished { label: twice[1].into(), why }));
        }
        assert!(Wishes::read(["dayfly-type=c7i", "dayfly-type=C7I"], &steering()).is_ok(), "said twice");
        assert!(Wishes::read(["dayfly-pin=x"], &Steering::default()).is_err());
        assert!(Wishes::read(["dayfly-market=spot"], &Steering::default()).unwrap_err().why.ends_with("nothing"));
    }

    #[test]
    fn a_wish_is_a_name_and_a_value() {
        for (label, expected) in [("dayfly-cpu=8", true), ("Dayfly-x=y", true), ("dayfly-cpu", false), ("cpu=8", false)]
        {
            assert_eq!(is_wish(label), expected, "{label}");
        }
    }
}
