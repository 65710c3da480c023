"""Instances as the EC2 host sees them, and what its reports do to them. Call with the lock of `ec2` held."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import Any

from moto.ec2.models import ec2_backends

import states
from patches import ec2_states


def every() -> Iterator[Any]:
    """Each instance that there ever was, in whatever region."""
    for account in list(ec2_backends.values()):
        for backend in list(account.values()):
            for reservation in list(backend.reservations.values()):
                yield from reservation.instances


def find(instance_id: str) -> Any | None:
    """The instance of that id, in whatever region."""
    return next((instance for instance in every() if instance.id == instance_id), None)


def all_of_them() -> list[dict[str, Any]]:
    """Each instance that there ever was, oldest first."""
    return [_describe(instance) for instance in every()]


def _describe(instance: Any) -> dict[str, Any]:
    options = instance.metadata_options
    return {
        "id": instance.id,
        "state": instance._state.name,
        "image_id": instance.image_id,
        "instance_type": instance.instance_type,
        "private_ip": instance.private_ip,
        "subnet_id": instance.subnet_id,
        "availability_zone": instance._placement.zone,
        "region": instance.ec2_backend.region_name,
        # moto's type for user data keeps the base64 text it was given.
        "user_data": str(instance.user_data) if instance.user_data else None,
        # Not get_tags(): that goes through the tags of everything there is, and this is asked 20 times a second.
        "tags": dict(instance.ec2_backend.tags.get(instance.id, {})),
        "lifecycle": instance.lifecycle or "on-demand",
        "instance_profile": instance.laptop_profile,
        "public_key": _public_key(instance),
        # Those that were made of it.
        "images": [image.id for image in instance.ec2_backend.amis.values() if image.instance_id == instance.id],
        "shutdown_behavior": instance.instance_initiated_shutdown_behavior,
        "metadata_options": {
            "http_tokens": options.http_tokens,
            "http_put_response_hop_limit": options.http_put_response_hop_limit,
            "instance_metadata_tags": options.instance_metadata_tags,
        },
        "launched_at": int(instance.launch_time.replace(tzinfo=datetime.timezone.utc).timestamp()),
    }


def _public_key(instance: Any) -> dict[str, str] | None:
    """The key that whoever launched it logs in with, as it was when it was launched: key pairs go before instances do."""
    pair = instance.laptop_key_pair
    return {"name": pair.key_name, "openssh": pair.public_key} if pair else None


def report(instance: Any, state: str, reason: str) -> None:
    """The EC2 host reports the instance's machine as `state`."""
    ec2_states.move(instance, states.by_report(instance._state.name, state), reason)


def powered_off(instance: Any, reason: str) -> None:
    """The instance's machine switched itself off."""
    after = states.by_power_off(instance._state.name, instance.instance_initiated_shutdown_behavior)
    ec2_states.move(instance, after, reason or "Client.InstanceInitiatedShutdown: Instance initiated shutdown")
