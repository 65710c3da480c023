//! Instances from EC2, by `CreateFleet` of type `instant`: one call that answers with instances and errors at once.

use aws_sdk_ec2::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    types::{
        DefaultTargetCapacityType, Filter, FleetLaunchTemplateConfigRequest, FleetLaunchTemplateOverridesRequest,
        FleetLaunchTemplateSpecificationRequest, FleetOnDemandAllocationStrategy, FleetType, InstanceType,
        OnDemandOptionsRequest, ResourceType, SpotAllocationStrategy, SpotOptionsRequest, Tag, TagSpecification,
        TargetCapacitySpecificationRequest,
    },
};
use dayfly_contract::names;

use super::{Compute, LaunchError, Launched, Shortfall};
use crate::{
    decide::{
        errors::{Class, classify},
        launch::{LaunchRequest, Offer},
    },
    fleets::Market,
};

/// EC2 in one region.
#[derive(Clone, Debug)]
pub struct Ec2 {
    client: Client,
}

impl Ec2 {
    /// By this client.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { client }
    }
}

impl Compute for Ec2 {
    async fn launch(&self, request: &LaunchRequest) -> Result<Launched, LaunchError> {
        let template = FleetLaunchTemplateSpecificationRequest::builder()
            .launch_template_id(&request.template_id)
            .version(&request.template_version)
            .build();
        let config = FleetLaunchTemplateConfigRequest::builder()
            .launch_template_specification(template)
            .set_overrides(Some(request.offers.iter().map(to_override).collect()))
            .build();
        let answer = self
            .client
            .create_fleet()
            .r#type(FleetType::Instant)
            .client_token(&request.token)
            .launch_template_configs(config)
            .target_capacity_specification(capacity(request))
            .set_on_demand_options((request.market == Market::OnDemand).then(on_demand))
            .set_spot_options((request.market == Market::Spot).then(spot))
            .tag_specifications(tags(ResourceType::Instance, request))
            .tag_specifications(tags(ResourceType::Volume, request))
            .send()
            .await
            .map_err(|error| failed(&request.token, error))?;
        let instances = answer.instances().iter().flat_map(|it| it.instance_ids().to_vec()).collect();
        let shortfalls = answer.errors().iter().map(|error| {
            let code = error.error_code();
            let reason = format!("{}: {}", code.unwrap_or("unknown"), error.error_message().unwrap_or_default());
            Shortfall { class: classify(code, None), reason }
        });
        Ok(Launched { instances, shortfalls: shortfalls.collect() })
    }

    async fn find(&self, id: &str) -> Result<Vec<String>, LaunchError> {
        let tagged = Filter::builder().name(format!("tag:{}", names::TAG_RESERVATION)).values(id).build();
        let alive = Filter::builder().name("instance-state-name").values("pending").values("running").build();
        let mut pages = self.client.describe_instances().filters(tagged).filters(alive).into_paginator().send();
        let mut found = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| failed(id, error))?;
            let instances = page.reservations().iter().flat_map(|it| it.instances().to_vec());
            found.extend(instances.filter_map(|instance| instance.instance_id));
        }
        Ok(found)
    }
}

fn to_override(offer: &Offer) -> FleetLaunchTemplateOverridesRequest {
    FleetLaunchTemplateOverridesRequest::builder()
        .subnet_id(&offer.subnet)
        .instance_type(InstanceType::from(offer.instance_type.as_str()))
        .build()
}

fn capacity(request: &LaunchRequest) -> TargetCapacitySpecificationRequest {
    // At most LARGEST_RESERVATION.
    let count = i32::try_from(request.count).unwrap_or(i32::MAX);
    let capacity = TargetCapacitySpecificationRequest::builder().total_target_capacity(count);
    match request.market {
        Market::OnDemand => capacity
            .on_demand_target_capacity(count)
            .spot_target_capacity(0)
            .default_target_capacity_type(DefaultTargetCapacityType::OnDemand),
        Market::Spot => capacity
            .spot_target_capacity(count)
            .on_demand_target_capacity(0)
            .default_target_capacity_type(DefaultTargetCapacityType::Spot),
    }
    .build()
}

fn on_demand() -> OnDemandOptionsRequest {
    OnDemandOptionsRequest::builder().allocation_strategy(FleetOnDemandAllocationStrategy::LowestPrice).build()
}

/// AWS's own advice for spot: pools that are least likely to be interrupted, then cheap.
fn spot() -> SpotOptionsRequest {
    SpotOptionsRequest::builder().allocation_strategy(SpotAllocationStrategy::PriceCapacityOptimized).build()
}

fn tags(resource: ResourceType, request: &LaunchRequest) -> TagSpecification {
    let tags = request.tags.iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect();
    TagSpecification::builder().resource_type(resource).set_tags(Some(tags)).build()
}

fn failed<E>(token: &str, error: SdkError<E>) -> LaunchError
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let code = error.code().map(str::to_owned);
    let status = error.raw_response().map(|response| response.status().as_u16());
    let class = match error {
        // Never sent: the request itself is wrong.
        SdkError::ConstructionFailure(_) => Class::Permanent,
        _ => classify(code.as_deref(), status),
    };
    LaunchError { token: token.to_owned(), class, code, source: error.into() }
}
