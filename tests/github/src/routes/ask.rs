//! What a handler knows of its request: who asks, for whose things, with which parameters.

use std::collections::HashMap;
use std::str::FromStr;
use std::sync::Arc;

use axum::extract::{FromRequestParts, OriginalUri, Path, Query};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use serde_json::Value;

use crate::answer::Failure;
use crate::credentials::{Grant, covers};
use crate::gate::Caller;
use crate::model::Owner;
use crate::shared::Shared;

/// A request. That its organization, repository or enterprise exists is certain.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) caller: Caller,
    /// Whose things the path names, if it names anyone.
    pub(crate) owner: Option<Owner>,
    /// The path as it was asked for.
    pub(crate) path: String,
    pub(crate) query: HashMap<String, String>,
    pub(crate) headers: HeaderMap,
    params: HashMap<String, String>,
}

impl FromRequestParts<Arc<Shared>> for Ask {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, shared: &Arc<Shared>) -> Result<Self, Failure> {
        let Path(params) = Path::<HashMap<String, String>>::from_request_parts(parts, shared)
            .await
            .map_err(|_| Failure::not_found())?;
        let Query(query) = Query::<HashMap<String, String>>::from_request_parts(parts, shared)
            .await
            .map_err(|_| Failure::new(StatusCode::BAD_REQUEST, "Problems parsing the query"))?;
        let path = parts
            .extensions
            .get::<OriginalUri>()
            .map_or_else(|| parts.uri.path().to_owned(), |uri| uri.path().to_owned());
        let caller = parts.extensions.get::<Caller>().cloned().unwrap_or(Caller::Anonymous);
        let owner = owner_of(shared, &params)?;
        Ok(Self { caller, owner, path, query, headers: parts.headers.clone(), params })
    }
}

impl Ask {
    /// A number in the path; what is none names nothing that exists.
    pub(crate) fn id<T: FromStr>(&self, name: &str) -> Result<T, Failure> {
        self.params.get(name).and_then(|text| text.parse().ok()).ok_or_else(Failure::not_found)
    }

    /// A text in the path.
    pub(crate) fn param(&self, name: &str) -> Result<&str, Failure> {
        self.params.get(name).map(String::as_str).ok_or_else(Failure::not_found)
    }

    /// The owner that the path names.
    pub(crate) fn owner(&self) -> Result<&Owner, Failure> {
        self.owner.as_ref().ok_or_else(Failure::not_found)
    }

    /// The repository that the path names.
    pub(crate) fn repository(&self) -> Result<&str, Failure> {
        match &self.owner {
            Some(Owner::Repo(name)) => Ok(name),
            _ => Err(Failure::not_found()),
        }
    }

    /// Only the App itself may go on.
    pub(crate) fn by_app(&self) -> Result<(), Failure> {
        match self.caller {
            Caller::App => Ok(()),
            Caller::Anonymous | Caller::Installation(_) => {
                Err(Failure::new(StatusCode::UNAUTHORIZED, "A JSON web token could not be decoded"))
            }
        }
    }

    /// Only an installation with the permission may go on.
    pub(crate) fn may(&self, permission: &str, level: &str) -> Result<&Grant, Failure> {
        let grant = match &self.caller {
            Caller::Anonymous => return Err(Failure::new(StatusCode::UNAUTHORIZED, "Requires authentication")),
            Caller::App => return Err(Failure::forbidden()),
            Caller::Installation(grant) => grant,
        };
        if let (Some(limited), Some(Owner::Repo(name))) = (&grant.repositories, &self.owner)
            && !limited.contains(name)
        {
            return Err(Failure::not_found());
        }
        if covers(&grant.permissions, permission, level) { Ok(grant) } else { Err(Failure::forbidden()) }
    }

    /// Only an installation that may do so with the owner's runners may go on.
    pub(crate) fn may_runners(&self, level: &str) -> Result<&Owner, Failure> {
        let owner = self.owner()?;
        let permission = match owner {
            Owner::Repo(_) => "administration",
            // The App here has no permission of its own for enterprises; the organization's stands in for it.
            Owner::Org(_) | Owner::Enterprise(_) => "organization_self_hosted_runners",
        };
        self.may(permission, level)?;
        Ok(owner)
    }
}

/// A body as JSON; an empty one is an empty object.
pub(crate) fn json_of(body: &[u8]) -> Result<Value, Failure> {
    if body.is_empty() {
        return Ok(Value::Object(serde_json::Map::new()));
    }
    serde_json::from_slice(body).map_err(|_| Failure::new(StatusCode::BAD_REQUEST, "Problems parsing JSON"))
}

fn owner_of(shared: &Shared, params: &HashMap<String, String>) -> Result<Option<Owner>, Failure> {
    let get = |name: &str| params.get(name);
    shared.look(|world, _| match (get("org"), get("owner"), get("repo"), get("enterprise")) {
        (Some(org), ..) if org.eq_ignore_ascii_case(&world.org) => Ok(Some(Owner::Org(world.org.clone()))),
        (_, Some(owner), Some(repo), _) => {
            let name = format!("{owner}/{repo}");
            // The runner's own repository is there for its releases alone.
            let known = world.repository(&name).or((name == RUNNER_REPOSITORY).then_some(RUNNER_REPOSITORY));
            known.map(|name| Some(Owner::Repo(name.to_owned()))).ok_or_else(Failure::not_found)
        }
        (.., Some(slug)) if slug.eq_ignore_ascii_case(&world.enterprise) => {
            Ok(Some(Owner::Enterprise(world.enterprise.clone())))
        }
        (None, None, None, None) => Ok(None),
        _ => Err(Failure::not_found()),
    })
}

/// Where the runner is released.
pub(crate) const RUNNER_REPOSITORY: &str = "actions/runner";
