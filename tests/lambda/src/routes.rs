//! Which of an HTTP API's routes takes a request.
//!
//! Source: API Gateway developer guide, "Routing API requests": a full match wins over a greedy path variable, that
//! over `$default`; `ANY` takes the methods that no route names.

use std::{collections::BTreeMap, time::Duration};

use percent_encoding::percent_decode_str;

/// A route with the function behind it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Route {
    pub(crate) key: RouteKey,
    pub(crate) function: String,
    /// The integration's own limit.
    pub(crate) timeout: Duration,
}

/// A route key: `POST /webhook`, `ANY /x/{id}`, `GET /{rest+}`, `$default`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RouteKey {
    /// As Terraform wrote it.
    pub(crate) text: String,
    pattern: Option<(Option<String>, Vec<Segment>)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Literal(String),
    Variable(String),
    Greedy(String),
}

/// How well a route fits: the greater, the better. Compared field by field.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Fit {
    not_default: bool,
    not_greedy: bool,
    literals: usize,
    method_named: bool,
}

impl RouteKey {
    /// Reads a route key; `None` where it is not one.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text == "$default" {
            return Some(Self { text: text.to_owned(), pattern: None });
        }
        let (method, path) = text.split_once(' ')?;
        let path = path.strip_prefix('/')?;
        let segments = path.split('/').map(|segment| {
            match segment.strip_prefix('{').and_then(|segment| segment.strip_suffix('}')) {
                Some(name) => match name.strip_suffix('+') {
                    Some(name) => Segment::Greedy(name.to_owned()),
                    None => Segment::Variable(name.to_owned()),
                },
                None => Segment::Literal(segment.to_owned()),
            }
        });
        let method = (method != "ANY").then(|| method.to_owned());
        Some(Self { text: text.to_owned(), pattern: Some((method, segments.collect())) })
    }

    fn fit(&self, method: &str, path: &str) -> Option<(Fit, BTreeMap<String, String>)> {
        let mut fit = Fit { not_default: false, not_greedy: true, literals: 0, method_named: false };
        let mut variables = BTreeMap::new();
        let Some((wanted, segments)) = &self.pattern else { return Some((fit, variables)) };
        fit.not_default = true;
        fit.method_named = wanted.is_some();
        if wanted.as_deref().is_some_and(|wanted| wanted != method) {
            return None;
        }
        let mut rest = Some(path.strip_prefix('/').unwrap_or(path));
        for segment in segments {
            let here = rest?;
            let (first, after) = here.split_once('/').map_or((here, None), |(first, after)| (first, Some(after)));
            match segment {
                Segment::Literal(literal) if literal == first => fit.literals += 1,
                Segment::Literal(_) => return None,
                Segment::Variable(_) | Segment::Greedy(_) if first.is_empty() => return None,
                Segment::Variable(name) => {
                    variables.insert(name.clone(), decode(first));
                }
                Segment::Greedy(name) => {
                    fit.not_greedy = false;
                    variables.insert(name.clone(), decode(here));
                    return Some((fit, variables));
                }
            }
            rest = after;
        }
        rest.is_none().then_some((fit, variables))
    }
}

/// The best route for a request, with its path variables.
pub(crate) fn find<'a>(routes: &'a [Route], method: &str, path: &str) -> Option<(&'a Route, BTreeMap<String, String>)> {
    routes
        .iter()
        .filter_map(|route| route.key.fit(method, path).map(|(fit, variables)| (fit, route, variables)))
        .max_by(|one, other| one.0.cmp(&other.0))
        .map(|(_, route, variables)| (route, variables))
}

/// Undoes percent-encoding.
pub(crate) fn decode(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routes(keys: &[&str]) -> Vec<Route> {
        let route = |key: &&str| Route {
            key: RouteKey::parse(key).unwrap(),
            function: "f".to_owned(),
            timeout: Duration::from_secs(30),
        };
        keys.iter().map(route).collect()
    }

    #[track_caller]
    fn goes(keys: &[&str], method: &str, path: &str, to: Option<&str>) {
        let routes = routes(keys);
        let found = find(&routes, method, path);
        assert_eq!(found.map(|(route, _)| route.key.text.as_str()), to, "{method} {path}");
    }

    #[test]
    fn the_documents_own_example() {
        // Routes and outcomes from "Example of how API Gateway routes a request".
        let keys = ["GET /pets/dog/1", "GET /pets/dog/{id}", "GET /pets/{proxy+}", "ANY /{proxy+}", "$default"];
        goes(&keys, "GET", "/pets/dog/1", Some("GET /pets/dog/1"));
        goes(&keys, "GET", "/pets/dog/2", Some("GET /pets/dog/{id}"));
        goes(&keys, "GET", "/pets/cat/1", Some("GET /pets/{proxy+}"));
        goes(&keys, "POST", "/test/5", Some("ANY /{proxy+}"));
        goes(&["$default"], "POST", "/any/thing", Some("$default"));
    }

    #[test]
    fn methods_and_lengths_must_fit() {
        let keys = ["POST /webhook"];
        goes(&keys, "POST", "/webhook", Some("POST /webhook"));
        goes(&keys, "GET", "/webhook", None);
        goes(&keys, "POST", "/webhook/x", None);
        goes(&keys, "POST", "/webhook/", None);
        goes(&keys, "POST", "/", None);
        goes(&["ANY /x", "GET /x"], "GET", "/x", Some("GET /x"));
        goes(&["ANY /x", "GET /x"], "PUT", "/x", Some("ANY /x"));
    }

    #[test]
    fn variables_are_decoded() {
        let routes = routes(&["GET /a/{b}/{c+}"]);
        let (_, variables) = find(&routes, "GET", "/a/x%20y/z/1").unwrap();
        assert_eq!(variables["b"], "x y");
        assert_eq!(variables["c"], "z/1");
    }

    #[test]
    fn what_is_not_a_route_key() {
        for text in ["", "POST", "POST webhook", "$connect"] {
            assert_eq!(RouteKey::parse(text), None, "{text}");
        }
    }
}
