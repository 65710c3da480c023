//! A launch in the SDK's types.

use aws_sdk_ec2::types::{
    BurstablePerformance, DefaultTargetCapacityType, FleetBlockDeviceMappingRequest, FleetEbsBlockDeviceRequest,
    FleetLaunchTemplateConfigRequest, FleetLaunchTemplateOverridesRequest, FleetLaunchTemplateSpecificationRequest,
    FleetOnDemandAllocationStrategy, InstanceRequirementsRequest, InstanceType, MemoryMiBRequest,
    OnDemandOptionsRequest, ResourceType, SpotAllocationStrategy, SpotOptionsRequest, Tag, TagSpecification,
    TargetCapacitySpecificationRequest, VCpuCountRangeRequest, VolumeType,
};

use crate::{
    compute::images::Resolved,
    decide::{
        launch::LaunchRequest,
        offers::{Kind, Offer},
    },
    fleets::{Market, Requirements, SpotAllocation},
};

pub(super) fn config(request: &LaunchRequest, image: &Resolved) -> FleetLaunchTemplateConfigRequest {
    let template = FleetLaunchTemplateSpecificationRequest::builder()
        .launch_template_id(&request.template_id)
        .version(&request.template_version)
        .build();
    FleetLaunchTemplateConfigRequest::builder()
        .launch_template_specification(template)
        .set_overrides(Some(request.offers.iter().map(|offer| to_override(request, offer, image)).collect()))
        .build()
}

/// Images and volumes in overrides are for fleets of type `instant` alone; a parameter is resolved by EC2.
fn to_override(request: &LaunchRequest, offer: &Offer, image: &Resolved) -> FleetLaunchTemplateOverridesRequest {
    let by_rank = request.allocation == SpotAllocation::CapacityOptimizedPrioritized;
    let to = FleetLaunchTemplateOverridesRequest::builder()
        .subnet_id(&offer.subnet)
        .set_priority(by_rank.then(|| f64::from(offer.rank)))
        .set_max_price(request.max_price.clone())
        .set_image_id(image.image.clone())
        .set_block_device_mappings(root(request, image).map(|root| vec![root]));
    match &offer.kind {
        Kind::Type(name) => to.instance_type(InstanceType::from(name.as_str())),
        Kind::Fitting(it) => to.instance_requirements(requirements(it)),
    }
    .build()
}

/// The root volume of a job that asks for a size. It replaces the template's mapping whole, and so says all of it again.
fn root(request: &LaunchRequest, image: &Resolved) -> Option<FleetBlockDeviceMappingRequest> {
    let ebs = FleetEbsBlockDeviceRequest::builder()
        .volume_size(number(request.disk_gib?))
        .volume_type(VolumeType::Gp3)
        .encrypted(true)
        .delete_on_termination(true);
    Some(FleetBlockDeviceMappingRequest::builder().device_name(image.root.clone()?).ebs(ebs.build()).build())
}

fn requirements(it: &Requirements) -> InstanceRequirementsRequest {
    let vcpus = VCpuCountRangeRequest::builder().min(number(it.vcpus.min)).set_max(it.vcpus.max.map(number));
    let memory = MemoryMiBRequest::builder().min(number(it.memory_mib.min)).set_max(it.memory_mib.max.map(number));
    let listed = |types: &[String]| (!types.is_empty()).then(|| types.to_vec());
    InstanceRequirementsRequest::builder()
        .v_cpu_count(vcpus.build())
        .memory_mib(memory.build())
        .set_allowed_instance_types(listed(&it.allowed_types))
        .set_excluded_instance_types(listed(&it.excluded_types))
        // EC2 leaves them out by itself; who names types may name theirs.
        .set_burstable_performance((!it.allowed_types.is_empty()).then_some(BurstablePerformance::Included))
        .build()
}

pub(super) fn capacity(request: &LaunchRequest) -> TargetCapacitySpecificationRequest {
    // At most LARGEST_RESERVATION.
    let count = number(u64::from(request.count));
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

pub(super) fn on_demand(allocation: SpotAllocation) -> OnDemandOptionsRequest {
    let strategy = match allocation {
        SpotAllocation::CapacityOptimizedPrioritized => FleetOnDemandAllocationStrategy::Prioritized,
        _ => FleetOnDemandAllocationStrategy::LowestPrice,
    };
    OnDemandOptionsRequest::builder().allocation_strategy(strategy).build()
}

pub(super) fn spot(allocation: SpotAllocation) -> SpotOptionsRequest {
    let strategy = match allocation {
        SpotAllocation::PriceCapacityOptimized => SpotAllocationStrategy::PriceCapacityOptimized,
        SpotAllocation::CapacityOptimized => SpotAllocationStrategy::CapacityOptimized,
        SpotAllocation::CapacityOptimizedPrioritized => SpotAllocationStrategy::CapacityOptimizedPrioritized,
        SpotAllocation::LowestPrice => SpotAllocationStrategy::LowestPrice,
        SpotAllocation::Diversified => SpotAllocationStrategy::Diversified,
    };
    SpotOptionsRequest::builder().allocation_strategy(strategy).build()
}

pub(super) fn tags(resource: ResourceType, request: &LaunchRequest) -> TagSpecification {
    let tags = request.tags.iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect();
    TagSpecification::builder().resource_type(resource).set_tags(Some(tags)).build()
}

/// The reader's limits are far below.
fn number(number: u64) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::{Resolved, SpotAllocation, VolumeType, config};
    use crate::{
        decide::{launch::request, wishes::Wishes},
        fleets::{Instances, Market, Range, Requirements, tests::fleet},
        ledger::{Reservation, tests::reservation},
    };

    #[test]
    fn what_the_fleet_and_the_job_say_is_in_every_override() {
        let mut fleet = fleet("linux-x64");
        fleet.launch.market = Market::Spot;
        fleet.launch.max_price = Some("0.12".into());
        fleet.launch.spot_allocation = SpotAllocation::CapacityOptimizedPrioritized;
        fleet.launch.instances = Instances::Types(vec!["c7i.large".into(), "m7i.large".into()]);
        let it = Reservation { market: Some(Market::Spot), ..reservation("linux-x64", "r1", 2) };
        let wishes = Wishes { disk_gib: Some(80), ..Wishes::default() };
        let image = Resolved { image: Some("resolve:ssm:/images/ci".into()), root: Some("/dev/sda1".into()) };
        let config = config(&request("demo", &fleet, &wishes, &it), &image);
        let second = &config.overrides()[1];
        assert_eq!(second.instance_type().unwrap().as_str(), "m7i.large");
        assert_eq!((second.priority(), second.max_price()), (Some(1.0), Some("0.12")));
        assert_eq!(second.image_id(), Some("resolve:ssm:/images/ci"));
        let root = &second.block_device_mappings()[0];
        assert_eq!(root.device_name(), Some("/dev/sda1"));
        let ebs = root.ebs().unwrap();
        assert_eq!((ebs.volume_size(), ebs.volume_type()), (Some(80), Some(&VolumeType::Gp3)));
        assert_eq!((ebs.encrypted(), ebs.delete_on_termination()), (Some(true), Some(true)));
    }

    #[test]
    fn requirements_stand_in_for_types() {
        let mut fleet = fleet("linux-x64");
        fleet.launch.instances = Instances::Requirements(Requirements {
            vcpus: Range { min: 2, max: Some(8) },
            memory_mib: Range { min: 4096, max: None },
            allowed_types: vec![],
            excluded_types: vec!["t*".into()],
        });
        let it = reservation("linux-x64", "r1", 2);
        let config = config(&request("demo", &fleet, &Wishes::default(), &it), &Resolved::default());
        let only = &config.overrides()[0];
        assert!(only.instance_type().is_none() && only.priority().is_none() && only.image_id().is_none());
        let asked = only.instance_requirements().unwrap();
        let (vcpus, memory) = (asked.v_cpu_count().unwrap(), asked.memory_mib().unwrap());
        assert_eq!((vcpus.min(), vcpus.max(), memory.min(), memory.max()), (Some(2), Some(8), Some(4096), None));
        assert_eq!(
            (asked.allowed_instance_types().len(), asked.excluded_instance_types()),
            (0, &["t*".to_owned()][..])
        );
        assert!(asked.burstable_performance().is_none());
    }
}
