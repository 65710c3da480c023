//! EC2's answers in our words.

use aws_sdk_ec2::types::{ImageState, SpotInstanceRequest};

use crate::{
    clock::Millis,
    decide::housekeeping::{Held, Image, Kind, Leftover},
};

/// None where something is missing that each image has.
pub(super) fn image(it: &aws_sdk_ec2::types::Image) -> Option<Image> {
    let time = |text: &str| text.parse::<jiff::Timestamp>().ok().and_then(|it| u64::try_from(it.as_millisecond()).ok());
    let created_at = time(it.creation_date()?)?;
    let launched_at = it.last_launched_time().and_then(time).unwrap_or(0);
    let tags = it.tags().iter().filter_map(|tag| Some((tag.key()?.to_owned(), tag.value()?.to_owned())));
    let volumes = it.block_device_mappings().iter().filter_map(|it| it.ebs());
    let protected = it.deregistration_protection().is_some_and(|it| it.starts_with("enabled"));
    let unfinished = matches!(it.state(), Some(ImageState::Pending | ImageState::Transient) | None);
    Some(Image {
        id: it.image_id()?.to_owned(),
        name: it.name().unwrap_or_default().to_owned(),
        last_used: created_at.max(launched_at),
        created_at,
        architecture: it.architecture().map(|it| it.as_str().to_owned()).unwrap_or_default(),
        tags: tags.collect(),
        snapshots: volumes.filter_map(|it| it.snapshot_id().map(str::to_owned)).collect(),
        held: match () {
            () if it.public() == Some(true) => Some(Held::Public),
            () if protected => Some(Held::Protected),
            () if unfinished => Some(Held::Unfinished),
            () => None,
        },
    })
}

/// A request of instances in the security group `group`; its launch specification names that in one of two places.
pub(super) fn spot_request(it: &SpotInstanceRequest, group: &str) -> Option<Leftover> {
    let launch = it.launch_specification()?;
    let own = launch.security_groups().iter().filter_map(|it| it.group_id());
    let of_interfaces = launch.network_interfaces().iter().flat_map(|it| it.groups().iter().map(String::as_str));
    if !own.chain(of_interfaces).any(|it| it == group) {
        return None;
    }
    let since = millis(it.create_time()?)?;
    let id = it.spot_instance_request_id()?.to_owned();
    Some(Leftover { kind: Kind::SpotRequest, id, since, instance: it.instance_id().map(str::to_owned) })
}

pub(super) fn millis(at: &aws_smithy_types::DateTime) -> Option<Millis> {
    u64::try_from(at.to_millis().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use aws_sdk_ec2::types::{
        BlockDeviceMapping, EbsBlockDevice, GroupIdentifier, Image as Told, InstanceNetworkInterfaceSpecification,
        LaunchSpecification, Tag,
    };

    use super::*;

    fn told() -> aws_sdk_ec2::types::builders::ImageBuilder {
        Told::builder().image_id("ami-1").creation_date("2026-11-02T10:00:00.000Z").state(ImageState::Available)
    }

    #[test]
    fn an_image_is_as_old_as_its_last_launch() {
        let mapping = |ebs| BlockDeviceMapping::builder().set_ebs(ebs).build();
        let it = told()
            .name("n")
            .architecture("arm64".into())
            .tags(Tag::builder().key("k").value("v").build())
            .block_device_mappings(mapping(Some(EbsBlockDevice::builder().snapshot_id("snap-1").build())))
            // An instance store.
            .block_device_mappings(mapping(None));
        let read = image(&it.clone().build()).unwrap();
        assert_eq!((read.created_at, read.last_used), (1_793_613_600_000, 1_793_613_600_000));
        assert_eq!((read.architecture.as_str(), &read.snapshots[..]), ("arm64", &["snap-1".to_owned()][..]));
        assert_eq!((read.tags, read.held), ([("k".to_owned(), "v".to_owned())].into(), None));
        let launched = image(&it.last_launched_time("2026-11-02T10:00:01Z").build()).unwrap();
        assert_eq!(launched.last_used, 1_793_613_601_000);
        for lacking in [Told::builder().image_id("ami-1"), told().creation_date("yesterday")] {
            assert_eq!(image(&lacking.build()), None);
        }
    }

    #[test]
    fn what_holds_an_image_is_seen() {
        let held = |it: aws_sdk_ec2::types::builders::ImageBuilder| image(&it.build()).unwrap().held;
        assert_eq!(held(told().public(true)), Some(Held::Public));
        for words in ["enabled-with-cooldown", "enabled-without-cooldown"] {
            assert_eq!(held(told().deregistration_protection(words)), Some(Held::Protected));
        }
        assert_eq!(held(told().deregistration_protection("disabled").public(false)), None);
        assert_eq!(held(told().state(ImageState::Pending)), Some(Held::Unfinished));
        assert_eq!(held(told().state(ImageState::Failed)), None);
    }

    #[test]
    fn a_spot_request_is_ours_by_its_security_group() {
        let request = |launch: LaunchSpecification| {
            SpotInstanceRequest::builder()
                .spot_instance_request_id("sir-1")
                .create_time(aws_smithy_types::DateTime::from_secs(5))
                .instance_id("i-1")
                .launch_specification(launch)
                .build()
        };
        let group = GroupIdentifier::builder().group_id("sg-1").build();
        let interface = InstanceNetworkInterfaceSpecification::builder().groups("sg-1").build();
        let ours = [
            LaunchSpecification::builder().security_groups(group).build(),
            LaunchSpecification::builder().network_interfaces(interface).build(),
        ];
        for launch in ours {
            let expected =
                Leftover { kind: Kind::SpotRequest, id: "sir-1".into(), since: 5000, instance: Some("i-1".into()) };
            assert_eq!(spot_request(&request(launch.clone()), "sg-1"), Some(expected));
            assert_eq!(spot_request(&request(launch), "sg-2"), None);
        }
    }
}
