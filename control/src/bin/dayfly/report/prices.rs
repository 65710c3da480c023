//! What instances cost an hour, as a person says. Nothing here is made up: what has no price is counted in minutes.

use std::collections::BTreeMap;

use dayfly_contract::{Problem, Problems};
use dayfly_control::fleets::Market;
use serde_json::{Map, Value};

/// The most that an hour may cost, in US dollars: more is a slip of the decimal point.
const MOST: f64 = 1000.0;

/// Prices in US dollars an hour.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Prices {
    on_demand: BTreeMap<String, f64>,
    spot: BTreeMap<String, f64>,
    spot_factor: Option<f64>,
}

impl Prices {
    /// Reads `{"on_demand": {"c7i.large": 0.1018}, "spot": {"c7i.large": 0.04}, "spot_factor": 0.4}`, of which all may be
    /// left out. Every mistake is told.
    pub(crate) fn read(text: &str) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let value: Value = serde_json::from_str(text)
            .map_err(|error| Problems(vec![Problem::new("the whole", error.to_string(), "JSON")]))?;
        let Value::Object(fields) = &value else {
            return Err(Problems(vec![Problem::new("the whole", value.to_string(), "an object")]));
        };
        for name in fields.keys().filter(|name| !["on_demand", "spot", "spot_factor"].contains(&name.as_str())) {
            problems.0.push(Problem::new(name, "a field of this name", "on_demand, spot or spot_factor"));
        }
        let prices = Self {
            on_demand: table(fields, "on_demand", &mut problems),
            spot: table(fields, "spot", &mut problems),
            spot_factor: fields
                .get("spot_factor")
                .and_then(|value| number(value, 1.0, "spot_factor", "a number over 0, up to 1", &mut problems)),
        };
        problems.or(prices)
    }

    /// What an hour of such an instance costs, where that is known.
    pub(crate) fn hour(&self, instance_type: &str, market: Market) -> Option<f64> {
        let list = self.on_demand.get(instance_type).copied();
        match market {
            Market::OnDemand => list,
            Market::Spot => self.spot.get(instance_type).copied().or_else(|| Some(list? * self.spot_factor?)),
        }
    }
}

fn table(fields: &Map<String, Value>, name: &str, problems: &mut Problems) -> BTreeMap<String, f64> {
    let Some(value) = fields.get(name) else { return BTreeMap::new() };
    let Value::Object(prices) = value else {
        problems.0.push(Problem::new(name, value.to_string(), "an object of instance types and US dollars an hour"));
        return BTreeMap::new();
    };
    let price = |(kind, value): (&String, &Value)| {
        let allowed = "US dollars an hour, a number over 0, up to 1000";
        Some((kind.clone(), number(value, MOST, &format!("{name}.{kind}"), allowed, problems)?))
    };
    prices.iter().filter_map(price).collect()
}

fn number(value: &Value, most: f64, name: &str, allowed: &str, problems: &mut Problems) -> Option<f64> {
    let found = value.as_f64().filter(|it| *it > 0.0 && *it <= most);
    if found.is_none() {
        problems.0.push(Problem::new(name, value.to_string(), allowed));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::{Market, Prices};

    #[test]
    fn a_price_is_the_market_s_own_or_the_list_s_with_a_factor_or_none() {
        let text =
            r#"{"on_demand": {"c7i.large": 0.1, "m7i.large": 0.2}, "spot": {"c7i.large": 0.03}, "spot_factor": 0.5}"#;
        let prices = Prices::read(text).unwrap();
        assert_eq!(prices.hour("c7i.large", Market::OnDemand), Some(0.1));
        assert_eq!(prices.hour("c7i.large", Market::Spot), Some(0.03));
        assert_eq!(prices.hour("m7i.large", Market::Spot), Some(0.1));
        assert_eq!(prices.hour("r7i.large", Market::OnDemand), None);
        let no_factor = Prices::read(r#"{"on_demand": {"c7i.large": 0.1}}"#).unwrap();
        assert_eq!(no_factor.hour("c7i.large", Market::Spot), None, "no factor is made up");
        assert_eq!(Prices::read("{}").unwrap(), Prices::default());
    }

    #[test]
    fn every_mistake_names_its_field_what_was_found_and_what_is_allowed() {
        let text = r#"{"on_demand": {"c7i.large": "0.1", "a": -1, "b": 5000}, "spot": [], "spot_factor": 1.5, "ondemand": {}}"#;
        let problems = Prices::read(text).unwrap_err();
        let told: Vec<String> = problems.0.iter().map(ToString::to_string).collect();
        assert_eq!(told.len(), 6, "{told:?}");
        for expected in [
            "on_demand.c7i.large: found \"0.1\", expected US dollars an hour",
            "on_demand.a: found -1, expected",
            "on_demand.b: found 5000",
            "spot: found [], expected an object",
            "spot_factor: found 1.5, expected a number over 0, up to 1",
            "ondemand: found a field of this name, expected on_demand, spot or spot_factor",
        ] {
            assert!(told.iter().any(|it| it.starts_with(expected)), "{expected} in {told:?}");
        }
        assert!(Prices::read("[").unwrap_err().to_string().contains("JSON"));
        assert!(Prices::read("[]").unwrap_err().to_string().contains("an object"));
    }
}
