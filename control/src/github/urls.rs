//! Where GitHub's pages are, by where its REST API is.

use crate::fleets::Scope;

/// The address that the runner's `config.sh --url` wants for runners of `scope`, where the REST API is at `api`:
///
/// | `api` | address |
/// |---|---|
/// | `https://api.github.com` | `https://github.com/octo-org` |
/// | `https://api.name.ghe.com` (data residency) | `https://name.ghe.com/octo-org` |
/// | `https://ghes.example/api/v3` (GHES) | `https://ghes.example/octo-org` |
///
/// Runners of an enterprise are under `/enterprises/`, those of a repository under `/owner/repo`.
#[must_use]
pub fn runner_url(api: &str, scope: &Scope) -> String {
    let (scheme, rest) = api.trim_end_matches('/').split_once("://").unwrap_or(("https", api));
    let rest = rest.strip_suffix("/api/v3").unwrap_or(rest);
    let host = match rest.strip_prefix("api.") {
        Some(bare) if bare == "github.com" || bare.ends_with(".ghe.com") => bare,
        _ => rest,
    };
    let path = match scope {
        Scope::Organization(name) | Scope::Repository(name) => name.clone(),
        Scope::Enterprise(slug) => format!("enterprises/{slug}"),
    };
    format!("{scheme}://{host}/{path}")
}

#[cfg(test)]
mod tests {
    use super::runner_url;

    #[test]
    fn every_kind_of_github_has_its_address() {
        let cases = [
            ("https://api.github.com", "orgs/octo-org", "https://github.com/octo-org"),
            ("https://api.github.com/", "repos/octo-org/octo-repo", "https://github.com/octo-org/octo-repo"),
            ("https://api.github.com", "enterprises/octo", "https://github.com/enterprises/octo"),
            ("https://ghes.example/api/v3", "orgs/octo-org", "https://ghes.example/octo-org"),
            ("https://ghes.example:8443/api/v3/", "repos/o/r", "https://ghes.example:8443/o/r"),
            // GHES may be called `api.…` itself.
            ("https://api.corp.example/api/v3", "enterprises/octo", "https://api.corp.example/enterprises/octo"),
            ("https://api.octo.ghe.com", "orgs/octo-org", "https://octo.ghe.com/octo-org"),
            ("https://api.octo.ghe.com/", "enterprises/octo", "https://octo.ghe.com/enterprises/octo"),
            ("http://127.0.0.1:8080", "orgs/octo-org", "http://127.0.0.1:8080/octo-org"),
        ];
        for (api, scope, expected) in cases {
            assert_eq!(runner_url(api, &scope.parse().unwrap()), expected, "{api} {scope}");
        }
    }
}
