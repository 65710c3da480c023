//! Instances from EC2, by `CreateFleet` of type `instant`: one call that answers with instances and errors at once.

mod request;

use aws_sdk_ec2::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    types::{CreateFleetInstance, Filter, FleetType, InstanceType, LaunchTemplateAndOverridesResponse, ResourceType},
};
use dayfly_contract::names;

use super::{Compute, LaunchError, Launched, PowerError, Shortfall, TerminateError, images::Images};
use crate::{
    decide::{
        errors::{Class, classify},
        launch::LaunchRequest,
        offers::Pool,
    },
    fleets::Market,
};

/// What an instance that is gone is called.
const GONE: &str = "InvalidInstanceID.NotFound";

/// EC2 in one region.
#[derive(Debug)]
pub struct Ec2 {
    client: Client,
    images: Images,
}

impl Ec2 {
    /// By this client; and by the other one for images that SSM `parameters` name.
    #[must_use]
    pub fn new(client: Client, parameters: aws_sdk_ssm::Client) -> Self {
        Self { images: Images::new(client.clone(), parameters), client }
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }
}

impl Compute for Ec2 {
    async fn launch(&self, request: &LaunchRequest) -> Result<Launched, LaunchError> {
        let image = self.images.resolve(request).await?;
        let answer = self
            .client
            .create_fleet()
            .r#type(FleetType::Instant)
            .client_token(&request.token)
            .launch_template_configs(request::config(request, &image))
            .target_capacity_specification(request::capacity(request))
            .set_on_demand_options((request.market == Market::OnDemand).then(|| request::on_demand(request.allocation)))
            .set_spot_options((request.market == Market::Spot).then(|| request::spot(request.allocation)))
            .tag_specifications(request::tags(ResourceType::Instance, request))
            .tag_specifications(request::tags(ResourceType::Volume, request))
            .send()
            .await
            .map_err(|error| failed(&request.token, error))?;
        let given = answer.instances();
        let shortfalls = answer.errors().iter().map(|error| {
            let code = error.error_code();
            let reason = format!("{}: {}", code.unwrap_or("unknown"), error.error_message().unwrap_or_default());
            let pool = pool(error.launch_template_and_overrides(), None);
            let overrides = error.launch_template_and_overrides().and_then(|it| it.overrides());
            let zone = overrides.and_then(|it| it.availability_zone()).map(str::to_owned);
            Shortfall { class: classify(code, None), code: code.unwrap_or("unknown").to_owned(), reason, pool, zone }
        });
        Ok(Launched {
            instances: given.iter().flat_map(|it| it.instance_ids().to_vec()).collect(),
            types: given.iter().flat_map(types_of).collect(),
            pools: given.iter().filter_map(|it| pool(it.launch_template_and_overrides(), it.instance_type())).collect(),
            shortfalls: shortfalls.collect(),
        })
    }

    async fn find(&self, token: &str) -> Result<Vec<String>, LaunchError> {
        let tagged = Filter::builder().name(format!("tag:{}", names::TAG_RESERVATION)).values(token).build();
        let alive = Filter::builder().name("instance-state-name").values("pending").values("running").build();
        let mut pages = self.client.describe_instances().filters(tagged).filters(alive).into_paginator().send();
        let mut found = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| failed(token, error))?;
            let instances = page.reservations().iter().flat_map(|it| it.instances().to_vec());
            found.extend(instances.filter_map(|instance| instance.instance_id));
        }
        Ok(found)
    }

    async fn terminate(&self, instances: &[String]) -> Result<(), TerminateError> {
        if instances.is_empty() {
            return Ok(());
        }
        let sent = self.client.terminate_instances().set_instance_ids(Some(instances.to_vec())).send().await;
        match sent {
            // One that is not found keeps the others of the call alive.
            Err(error) if error.code() == Some(GONE) && instances.len() > 1 => {
                for instance in instances {
                    Box::pin(self.terminate(std::slice::from_ref(instance))).await?;
                }
                Ok(())
            }
            Err(error) if error.code() == Some(GONE) => Ok(()),
            Err(error) => Err(TerminateError { instances: instances.to_vec(), source: error.into() }),
            Ok(_) => Ok(()),
        }
    }

    async fn stop(&self, instances: &[String]) -> Result<(), PowerError> {
        let sent = self.client.stop_instances().set_instance_ids(Some(instances.to_vec())).send().await;
        sent.map(drop).map_err(|error| not_switched("stopping", instances, error))
    }

    async fn start(&self, instance: &str) -> Result<(), PowerError> {
        let sent = self.client.start_instances().instance_ids(instance).send().await;
        sent.map(drop).map_err(|error| not_switched("starting", &[instance.to_owned()], error))
    }
}

fn not_switched<E>(doing: &'static str, instances: &[String], error: SdkError<E>) -> PowerError
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let (code, class) = (error.code().map(str::to_owned), class_of(&error));
    PowerError { doing, instances: instances.to_vec(), class, code, source: error.into() }
}

/// The instances of a part of the answer, each with its type.
fn types_of(given: &CreateFleetInstance) -> Vec<(String, String)> {
    let Some(kind) = given.instance_type() else { return Vec::new() };
    given.instance_ids().iter().map(|id| (id.clone(), kind.as_str().to_owned())).collect()
}

/// Where an error or an instance comes from: EC2 repeats the override. An instance's own type is told beside it.
fn pool(told: Option<&LaunchTemplateAndOverridesResponse>, own: Option<&InstanceType>) -> Option<Pool> {
    let overrides = told?.overrides()?;
    let instance_type = own.or(overrides.instance_type()).map(|it| it.as_str().to_owned());
    Some(Pool { subnet: overrides.subnet_id()?.to_owned(), instance_type })
}

pub(super) fn failed<E>(token: &str, error: SdkError<E>) -> LaunchError
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let (code, class) = (error.code().map(str::to_owned), class_of(&error));
    LaunchError { token: token.to_owned(), class, code, source: error.into() }
}

fn class_of<E: ProvideErrorMetadata>(error: &SdkError<E>) -> Class {
    let status = error.raw_response().map(|response| response.status().as_u16());
    match error {
        // Never sent: the request itself is wrong.
        SdkError::ConstructionFailure(_) => Class::Permanent,
        _ => classify(error.code(), status),
    }
}
