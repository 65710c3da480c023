//! EC2 and SSM in one region.

mod read;

use std::{collections::BTreeMap, error::Error};

use aws_sdk_ec2::{
    error::{ProvideErrorMetadata, SdkError},
    types::{Filter, Reservation},
};
use aws_sdk_ssm::types::ParameterStringFilter;
use dayfly_contract::names;

use super::{Estate, EstateError, Instance, TemplateVersion};
use crate::{
    decide::housekeeping::{Image, Kind, Leftover},
    report::Failure,
};

/// The account in one region, as one deployment looks at it.
#[derive(Debug)]
pub struct AwsEstate {
    /// EC2.
    pub ec2: aws_sdk_ec2::Client,
    /// SSM.
    pub ssm: aws_sdk_ssm::Client,
    /// Name of this installation, which volumes are tagged with.
    pub deployment: String,
    /// SSM path of the registrations.
    pub registration_prefix: String,
    /// What the names of parameters begin with that are looked into; all where there is none.
    pub parameter_prefixes: Vec<String>,
    /// The security group that nothing but the deployment's runners is in: their spot requests have no tags.
    pub security_group: Option<String>,
}

/// Names that `GetParameters` takes at a time.
const NAMES: usize = 10;

impl Estate for AwsEstate {
    async fn images(&self) -> Result<Vec<Image>, EstateError> {
        let asked = self.ec2.describe_images().owners("self").include_deprecated(true).include_disabled(true);
        let mut pages = asked.into_paginator().send();
        let mut found = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| failed("listing images", error))?;
            for image in page.images() {
                let read = read::image(image);
                found.push(read.ok_or_else(|| unreadable("listing images", image.image_id()))?);
            }
        }
        Ok(found)
    }

    async fn instances(&self) -> Result<Vec<Instance>, EstateError> {
        let living = ["pending", "running", "shutting-down", "stopping", "stopped"].map(str::to_owned);
        let living = Filter::builder().name("instance-state-name").set_values(Some(living.into())).build();
        let mut pages = self.ec2.describe_instances().filters(living).into_paginator().send();
        let mut found = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| failed("listing instances", error))?;
            for instance in page.reservations().iter().flat_map(Reservation::instances) {
                let read = || Some(Instance { id: instance.instance_id()?.into(), image: instance.image_id()?.into() });
                found.push(read().ok_or_else(|| unreadable("listing instances", instance.instance_id()))?);
            }
        }
        Ok(found)
    }

    async fn template_versions(&self) -> Result<Vec<TemplateVersion>, EstateError> {
        let mut pages = self.ec2.describe_launch_templates().into_paginator().send();
        let mut found = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| failed("listing launch templates", error))?;
            for template in page.launch_templates() {
                let id = template.launch_template_id();
                let id = id.ok_or_else(|| unreadable("listing launch templates", None))?;
                found.extend(self.versions(id).await?);
            }
        }
        Ok(found)
    }

    async fn parameter_names(&self) -> Result<Vec<String>, EstateError> {
        let mut found = Vec::new();
        // DescribeParameters takes one path or beginning at a time.
        let prefixes = self.parameter_prefixes.iter().map(|it| Some(it.as_str()));
        let prefixes: Vec<_> = if self.parameter_prefixes.is_empty() { vec![None] } else { prefixes.collect() };
        for prefix in prefixes {
            let types = ParameterStringFilter::builder().key("Type").values("String").values("StringList").build();
            let mut filters = vec![types.map_err(|error| failed("listing parameters", error))?];
            if let Some(prefix) = prefix {
                filters.push(beginning(prefix)?);
            }
            let mut pages = self.ssm.describe_parameters().set_parameter_filters(Some(filters)).into_paginator().send();
            while let Some(page) = pages.next().await {
                let page = page.map_err(|error| failed("listing parameters", error))?;
                found.extend(page.parameters().iter().filter_map(|it| it.name().map(str::to_owned)));
            }
        }
        Ok(found)
    }

    async fn parameters(&self, names: &[String]) -> Result<BTreeMap<String, String>, EstateError> {
        let mut found = BTreeMap::new();
        for some in names.chunks(NAMES) {
            // Without decryption: what is a secret stays one.
            let answer = self.ssm.get_parameters().set_names(Some(some.to_vec())).with_decryption(false).send().await;
            let answer = answer.map_err(|error| failed(format!("reading {}", some.join(", ")), error))?;
            found.extend(
                answer.parameters().iter().filter_map(|it| Some((it.name()?.to_owned(), it.value()?.to_owned()))),
            );
        }
        Ok(found)
    }

    async fn leftovers(&self) -> Result<Vec<Leftover>, EstateError> {
        let mut found = self.registrations().await?;
        found.extend(self.volumes().await?);
        found.extend(self.spot_requests().await?);
        Ok(found)
    }

    async fn deregister(&self, image: &str) -> Result<(), EstateError> {
        let sent = self.ec2.deregister_image().image_id(image).send().await;
        gone(format!("deregistering {image}"), sent.map(drop), &["InvalidAMIID.Unavailable", "InvalidAMIID.NotFound"])
    }

    async fn delete_snapshot(&self, id: &str) -> Result<(), EstateError> {
        let sent = self.ec2.delete_snapshot().snapshot_id(id).send().await;
        gone(format!("deleting {id}"), sent.map(drop), &["InvalidSnapshot.NotFound"])
    }

    async fn delete(&self, it: &Leftover) -> Result<(), EstateError> {
        let id = &it.id;
        match it.kind {
            Kind::Parameter => {
                let sent = self.ssm.delete_parameter().name(id).send().await;
                gone(format!("deleting {id}"), sent.map(drop), &["ParameterNotFound"])
            }
            Kind::Volume => {
                let sent = self.ec2.delete_volume().volume_id(id).send().await;
                gone(format!("deleting {id}"), sent.map(drop), &["InvalidVolume.NotFound"])
            }
            Kind::SpotRequest => {
                let sent = self.ec2.cancel_spot_instance_requests().spot_instance_request_ids(id).send().await;
                gone(format!("cancelling {id}"), sent.map(drop), &["InvalidSpotInstanceRequestID.NotFound"])
            }
            Kind::Object => Err(failed(format!("deleting {id}"), "it is in S3")),
        }
    }
}

impl AwsEstate {
    async fn versions(&self, template: &str) -> Result<Vec<TemplateVersion>, EstateError> {
        let doing = format!("listing the versions of {template}");
        let mut pages =
            self.ec2.describe_launch_template_versions().launch_template_id(template).into_paginator().send();
        let mut found = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| failed(&*doing, error))?;
            found.extend(page.launch_template_versions().iter().filter_map(|it| {
                let image = it.launch_template_data()?.image_id()?.to_owned();
                let version = it.version_number().map(|it| it.to_string()).unwrap_or_default();
                Some(TemplateVersion { template: template.to_owned(), version, image })
            }));
        }
        Ok(found)
    }

    /// By their names and dates alone: nobody reads a registration here.
    async fn registrations(&self) -> Result<Vec<Leftover>, EstateError> {
        let prefix = format!("{}/", self.registration_prefix);
        let mut pages = self.ssm.describe_parameters().parameter_filters(beginning(&prefix)?).into_paginator().send();
        let mut found = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| failed("listing registrations", error))?;
            // Whatever the filter means by a beginning.
            let ours = page.parameters().iter().filter(|it| it.name().is_some_and(|it| it.starts_with(&prefix)));
            found.extend(ours.filter_map(|it| {
                let since = read::millis(it.last_modified_date()?)?;
                Some(Leftover { kind: Kind::Parameter, id: it.name()?.to_owned(), since, instance: None })
            }));
        }
        Ok(found)
    }

    async fn volumes(&self) -> Result<Vec<Leftover>, EstateError> {
        let ours = Filter::builder().name(format!("tag:{}", names::TAG_DEPLOYMENT)).values(&self.deployment).build();
        let free = Filter::builder().name("status").values("available").build();
        let mut pages = self.ec2.describe_volumes().filters(ours).filters(free).into_paginator().send();
        let mut found = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| failed("listing volumes", error))?;
            found.extend(page.volumes().iter().filter_map(|it| {
                let since = read::millis(it.create_time()?)?;
                Some(Leftover { kind: Kind::Volume, id: it.volume_id()?.to_owned(), since, instance: None })
            }));
        }
        Ok(found)
    }

    async fn spot_requests(&self) -> Result<Vec<Leftover>, EstateError> {
        let Some(group) = &self.security_group else { return Ok(vec![]) };
        let open = Filter::builder().name("state").values("open").values("active").build();
        let mut pages = self.ec2.describe_spot_instance_requests().filters(open).into_paginator().send();
        let mut found = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| failed("listing spot requests", error))?;
            found.extend(page.spot_instance_requests().iter().filter_map(|it| read::spot_request(it, group)));
        }
        Ok(found)
    }
}

fn beginning(prefix: &str) -> Result<ParameterStringFilter, EstateError> {
    let filter = ParameterStringFilter::builder().key("Name").option("BeginsWith").values(prefix).build();
    filter.map_err(|error| failed("listing parameters", error))
}

/// What was to go is gone, whoever did it.
fn gone<E>(doing: String, sent: Result<(), SdkError<E>>, codes: &[&str]) -> Result<(), EstateError>
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    match sent {
        Err(error) if error.code().is_some_and(|code| codes.contains(&code)) => Ok(()),
        other => other.map_err(|error| failed(doing, error)),
    }
}

fn failed(doing: impl Into<String>, source: impl Into<crate::report::BoxError>) -> EstateError {
    EstateError(Failure::new(doing, source))
}

/// One that can't be told about might be the one that matters.
fn unreadable(doing: &str, id: Option<&str>) -> EstateError {
    failed(doing, format!("{} lacks something that all have", id.unwrap_or("one without an id")))
}
