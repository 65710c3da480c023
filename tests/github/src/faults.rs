//! Misbehaviour on request: a status, a delay or silence, by route, count and chance.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A way to misbehave. The first one that matches a request is used.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Fault {
    /// `GET`, `POST`, ...; any where absent.
    pub method: Option<String>,
    /// The route as it is counted in `calls`, such as `/orgs/{org}/actions/runners/generate-jitconfig`; with a `*` at
    /// its end all that begin so.
    pub route: String,
    /// How many requests it meets; every one where absent.
    pub count: Option<u32>,
    /// Status to answer with; where absent the request is answered as always, after the delay.
    pub status: Option<u16>,
    /// Headers of that answer.
    pub headers: BTreeMap<String, String>,
    /// Body of that answer: text as it is, anything else as JSON.
    pub body: Value,
    /// Milliseconds to wait first.
    pub delay_ms: u64,
    /// Never answers.
    pub hang: bool,
    /// The work is done as always and only then is the answer replaced, as when it gets lost on its way.
    pub after: bool,
    /// Chance that a matching request is met, 0 to 1; always where absent.
    pub probability: Option<f64>,
}

impl Fault {
    /// A fault of all requests to `route`, to be filled in further.
    #[must_use]
    pub fn of(method: &str, route: &str) -> Self {
        Self { method: Some(method.to_owned()), route: route.to_owned(), ..Self::default() }
    }

    /// Why it can't be used.
    pub(crate) fn problem(&self) -> Option<String> {
        if !(self.route.starts_with('/') || self.route == "*") {
            return Some(format!("route: found {:?}, expected a path such as \"/orgs/*\", or \"*\"", self.route));
        }
        if let Some(status) = self.status.filter(|status| !(200..=599).contains(status)) {
            return Some(format!("status: found {status}, expected 200 to 599"));
        }
        if let Some(chance) = self.probability.filter(|chance| !(0.0..=1.0).contains(chance)) {
            return Some(format!("probability: found {chance}, expected 0 to 1"));
        }
        None
    }

    fn matches(&self, method: &str, route: &str) -> bool {
        let method_fits = self.method.as_ref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(method));
        let route_fits = match self.route.strip_suffix('*') {
            Some(start) => route.starts_with(start),
            None => self.route == route,
        };
        method_fits && route_fits
    }
}

/// The faults in force.
#[derive(Debug, Default)]
pub(crate) struct Faults(Vec<Fault>);

impl Faults {
    pub(crate) fn add(&mut self, fault: Fault) {
        self.0.push(fault);
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    pub(crate) fn all(&self) -> Vec<Fault> {
        self.0.clone()
    }

    /// The fault that this request meets, if any, and one less of it. `dice` rolls 0 to 1.
    pub(crate) fn meet(&mut self, method: &str, route: &str, mut dice: impl FnMut() -> f64) -> Option<Fault> {
        let found = self
            .0
            .iter()
            .position(|fault| fault.matches(method, route) && fault.probability.is_none_or(|chance| dice() < chance))?;
        let fault = self.0.get_mut(found)?;
        let met = fault.clone();
        if let Some(count) = &mut fault.count {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.0.remove(found);
            }
        }
        Some(met)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counted_fault_is_used_up() {
        let mut faults = Faults::default();
        faults.add(Fault { count: Some(2), status: Some(500), ..Fault::of("GET", "/app") });
        assert!(faults.meet("POST", "/app", || 0.0).is_none());
        assert!(faults.meet("GET", "/app/installations", || 0.0).is_none());
        assert!(faults.meet("GET", "/app", || 0.0).is_some());
        assert!(faults.meet("get", "/app", || 0.0).is_some());
        assert!(faults.meet("GET", "/app", || 0.0).is_none());
        assert!(faults.all().is_empty());
    }

    #[test]
    fn a_star_stands_for_the_rest_and_no_method_for_any() {
        let mut faults = Faults::default();
        faults.add(Fault { method: None, ..Fault::of("", "/orgs/*") });
        assert!(faults.meet("DELETE", "/orgs/{org}/actions/runners/{runner_id}", || 0.0).is_some());
        assert!(faults.meet("GET", "/repos/{owner}", || 0.0).is_none());
    }

    #[test]
    fn chance_decides_and_what_it_spares_is_not_counted() {
        let mut faults = Faults::default();
        faults.add(Fault { count: Some(1), probability: Some(0.5), ..Fault::of("GET", "*") });
        assert!(faults.meet("GET", "/x", || 0.5).is_none());
        assert!(faults.meet("GET", "/x", || 0.49).is_some());
        assert!(faults.meet("GET", "/x", || 0.0).is_none());
    }

    #[test]
    fn mistakes_name_field_value_and_what_is_allowed() {
        let text = |fault: Fault| fault.problem().unwrap_or_default();
        assert_eq!(text(Fault::of("GET", "/x")), "");
        assert!(text(Fault::of("GET", "x")).starts_with("route: found \"x\", expected"));
        assert!(text(Fault { status: Some(99), ..Fault::of("GET", "*") }).starts_with("status: found 99"));
        assert!(text(Fault { probability: Some(1.5), ..Fault::of("GET", "*") }).starts_with("probability: found 1.5"));
    }
}
