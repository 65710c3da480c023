"""Images as others publish them, beside the account's own. Call with the lock of `ec2` held."""

from __future__ import annotations

from moto.core import DEFAULT_ACCOUNT_ID
from moto.ec2.models import ec2_backends
from moto.ec2.models.amis import Ami

# What EC2 calls the account that its own images are of.
AMAZON = "amazon"


def publish(region: str, image_id: str, name: str, owner: str, architecture: str) -> None:
    """An image of `owner`, an account's id or `amazon`, is there for everybody. A second time it takes the first's place."""
    backend = ec2_backends[DEFAULT_ACCOUNT_ID][region]
    backend.amis[image_id] = Ami(
        backend,
        image_id,
        name=name,
        owner_id="137112412989" if owner == AMAZON else owner,
        owner_alias=AMAZON if owner == AMAZON else None,
        public=True,
        architecture=architecture,
        virtualization_type="hvm",
        root_device_type="ebs",
        region_name=region,
    )
