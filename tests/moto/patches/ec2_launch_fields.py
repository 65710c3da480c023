"""An instance has what its launch template says: shutdown behaviour, metadata options, instance profile, and a subnet.

moto takes image, type, user data, groups and tags from a template, and nothing else. An instance without a subnet
gets a random address outside every subnet; EC2 takes the zone's default subnet. A volume of a template that has no size is
refused; EC2 takes the size of the image's own.
"""

from __future__ import annotations

from typing import Any


def install() -> None:
    """Puts the mend in place."""
    from moto.ec2.models import instances as models

    create, run = models.Instance.__init__, models.InstanceBackend.run_instances

    def __init__(self: Any, ec2_backend: Any, image_id: str, user_data: Any, security_groups: Any, **kwargs: Any) -> None:
        if not kwargs.get("subnet_id") and not kwargs.get("nics"):
            kwargs["subnet_id"] = _default_subnet(ec2_backend, kwargs.get("placement"))
        template = _template(ec2_backend, kwargs)
        if not kwargs.get("instance_initiated_shutdown_behavior"):
            kwargs["instance_initiated_shutdown_behavior"] = template.get("InstanceInitiatedShutdownBehavior")
        if not kwargs.get("metadata_options"):
            kwargs["metadata_options"] = template.get("MetadataOptions", {})
        profile = template.get("IamInstanceProfile") or {}
        arn = kwargs.get("iam_instance_profile_arn") or profile.get("Arn") or ""
        # As it is now: who launches may delete the pair as soon as the instance is there.
        self.laptop_key_pair = ec2_backend.key_pairs.get(kwargs.get("key_name"))
        self.laptop_profile = kwargs.get("iam_instance_profile_name") or profile.get("Name") or arn.rsplit("/", 1)[-1] or None
        create(self, ec2_backend, image_id, user_data, security_groups, **kwargs)

    def run_instances(self: Any, image_id: str, count: int, user_data: Any, security_group_names: Any, **kwargs: Any) -> Any:
        profile = _template(self, kwargs).get("IamInstanceProfile") or {}
        given = kwargs.get("iam_instance_profile_name") or kwargs.get("iam_instance_profile_arn")
        if profile and not given:
            # Refused before anything is launched when it does not exist.
            _check_profile(self, profile)
        reservation = run(self, image_id, count, user_data, security_group_names, **kwargs)
        if profile and not given:
            for instance in reservation.instances:
                self.associate_iam_instance_profile(
                    instance_id=instance.id,
                    iam_instance_profile_name=profile.get("Name"),
                    iam_instance_profile_arn=profile.get("Arn"),
                )
        return reservation

    add = models.Instance.add_block_device

    def add_block_device(self: Any, size: Any, device_path: str, snapshot_id: Any = None, *args: Any, **kwargs: Any) -> Any:
        # Images here have no snapshots to ask.
        return add(self, size or (None if snapshot_id else 8), device_path, snapshot_id, *args, **kwargs)

    models.Instance.add_block_device = add_block_device
    models.Instance.__init__ = __init__
    models.InstanceBackend.run_instances = run_instances


def _template(backend: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
    """What the launch template holds, if one is named."""
    named = kwargs.get("launch_template")
    return backend._get_template_from_args(named).data if named else {}


def _check_profile(backend: Any, profile: dict[str, str]) -> None:
    from moto.ec2.utils import filter_iam_instance_profiles

    filter_iam_instance_profiles(
        backend.account_id,
        partition=backend.partition,
        iam_instance_profile_arn=profile.get("Arn"),
        iam_instance_profile_name=profile.get("Name"),
    )


def _default_subnet(backend: Any, zone: str | None) -> str | None:
    filters = {"default-for-az": "true"} | ({"availability-zone": zone} if zone else {})
    return next((subnet.id for subnet in backend.describe_subnets(filters=filters)), None)
