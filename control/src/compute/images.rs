//! Images: the newest of a name, and an image's root volume. What was found is kept for a while, since a burst launches
//! from the same image again and again.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use aws_sdk_ec2::{
    Client,
    types::{Filter, Image as Found},
};
use tokio::sync::Mutex;

use super::{LaunchError, ec2::failed};
use crate::{
    decide::{errors::Class, launch::LaunchRequest},
    fleets::Image,
};

/// How long an image counts as the newest.
const KEPT: Duration = Duration::from_mins(5);

/// The code of an error of our own, in EC2's words.
const NOT_FOUND: &str = "InvalidAMIID.NotFound";

/// An image as `CreateFleet` takes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Resolved {
    /// An id, or `resolve:ssm:<parameter>`, which EC2 looks up itself; none for the template's.
    pub(super) image: Option<String>,
    /// The name of the root volume, where its size is to be set.
    pub(super) root: Option<String>,
}

#[derive(Debug)]
pub(super) struct Images {
    client: Client,
    parameters: aws_sdk_ssm::Client,
    known: Mutex<HashMap<String, (Instant, Known)>>,
}

#[derive(Clone, Debug)]
struct Known {
    id: String,
    root: Option<String>,
}

impl Images {
    pub(super) fn new(client: Client, parameters: aws_sdk_ssm::Client) -> Self {
        Self { client, parameters, known: Mutex::default() }
    }

    /// What to launch `request` from.
    pub(super) async fn resolve(&self, request: &LaunchRequest) -> Result<Resolved, LaunchError> {
        let token = &request.token;
        let image = match &request.image {
            None => None,
            Some(Image::Id(id)) => Some(id.clone()),
            Some(Image::Parameter(name)) => Some(format!("resolve:ssm:{name}")),
            Some(Image::Newest { owners, name }) => Some(self.newest(token, owners, name).await?.id),
        };
        if request.disk_gib.is_none() {
            return Ok(Resolved { image, root: None });
        }
        // A mapping is found by the volume's name, which is the image's own.
        let id = match (&image, &request.image) {
            (Some(_), Some(Image::Parameter(name))) => self.parameter(token, name).await?,
            (Some(id), _) => id.clone(),
            (None, _) => self.of_template(request).await?,
        };
        let root = self.by_id(token, &id).await?.root;
        let root = root.ok_or_else(|| none(token, format!("image {id} has no root volume")))?;
        Ok(Resolved { image, root: Some(root) })
    }

    async fn newest(&self, token: &str, owners: &[String], name: &str) -> Result<Known, LaunchError> {
        let key = format!("{}/{name}", owners.join(","));
        let find = async {
            let filter = |name: &str, value: &str| Filter::builder().name(name).values(value).build();
            let request = self.client.describe_images().set_owners(Some(owners.to_vec()));
            let request = request.filters(filter("name", name)).filters(filter("state", "available"));
            let found = request.send().await.map_err(|error| failed(token, error))?.images.unwrap_or_default();
            newest(&found).ok_or_else(|| none(token, format!("no image of {} is called {name}", owners.join(", "))))
        };
        self.keep(key, find).await
    }

    async fn by_id(&self, token: &str, id: &str) -> Result<Known, LaunchError> {
        let find = async {
            let request = self.client.describe_images().image_ids(id);
            let found = request.send().await.map_err(|error| failed(token, error))?.images.unwrap_or_default();
            newest(&found).ok_or_else(|| none(token, format!("there is no image {id}")))
        };
        self.keep(id.to_owned(), find).await
    }

    /// The image that a parameter names.
    async fn parameter(&self, token: &str, name: &str) -> Result<String, LaunchError> {
        let answer = self.parameters.get_parameter().name(name).send().await.map_err(|error| failed(token, error))?;
        let value = answer.parameter.and_then(|it| it.value);
        value.ok_or_else(|| none(token, format!("parameter {name} is empty")))
    }

    /// The image of the request's launch template.
    async fn of_template(&self, request: &LaunchRequest) -> Result<String, LaunchError> {
        let token = &request.token;
        let asked = self.client.describe_launch_template_versions().launch_template_id(&request.template_id);
        let asked = asked.versions(&request.template_version).resolve_alias(true);
        let answer = asked.send().await.map_err(|error| failed(token, error))?;
        let version = answer.launch_template_versions.unwrap_or_default().into_iter().next();
        let image = version.and_then(|it| it.launch_template_data).and_then(|it| it.image_id);
        image.ok_or_else(|| none(token, format!("launch template {} has no image", request.template_id)))
    }

    async fn keep(
        &self,
        key: String,
        find: impl Future<Output = Result<Known, LaunchError>>,
    ) -> Result<Known, LaunchError> {
        // Held while it is looked for: of several launches at once, one asks.
        let mut known = self.known.lock().await;
        if let Some((since, it)) = known.get(&key)
            && since.elapsed() < KEPT
        {
            return Ok(it.clone());
        }
        let found = find.await?;
        known.insert(key, (Instant::now(), found.clone()));
        Ok(found)
    }
}

/// Creation dates are ISO 8601 in UTC, so that their order is that of their texts.
fn newest(images: &[Found]) -> Option<Known> {
    let newest = images.iter().filter(|it| it.image_id.is_some()).max_by_key(|it| it.creation_date.clone())?;
    Some(Known { id: newest.image_id.clone()?, root: newest.root_device_name.clone() })
}

fn none(token: &str, why: String) -> LaunchError {
    LaunchError {
        token: token.to_owned(),
        class: Class::Permanent,
        code: Some(NOT_FOUND.to_owned()),
        source: why.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Found, newest};

    #[test]
    fn the_newest_is_the_one_that_was_made_last() {
        let image = |id: &str, at: &str| {
            Found::builder().image_id(id).creation_date(at).root_device_name(format!("/dev/{id}")).build()
        };
        let images = [
            image("ami-1", "2026-01-31T10:00:00.000Z"),
            image("ami-2", "2026-11-02T09:00:00.000Z"),
            image("ami-3", "2026-02-01T10:00:00.000Z"),
        ];
        let found = newest(&images).unwrap();
        assert_eq!((found.id.as_str(), found.root.as_deref()), ("ami-2", Some("/dev/ami-2")));
        assert!(newest(&[]).is_none());
    }
}
