"""EC2 runs out of instances of a type in a zone; moto never does. The control channel says where.

RunInstances answers InsufficientInstanceCapacity, and so does StartInstances: EC2 keeps no capacity for what is stopped,
and starts all instances of a call or none. CreateFleet (`ec2_fleet.py`) goes on to its next offer and tells
what it missed beside what it launched.
"""

from __future__ import annotations

from collections import Counter
from typing import Any


class Capacity:
    """How many instances are left of a type in a zone; no limit where nothing is said."""

    def __init__(self) -> None:
        self._left: dict[tuple[str, str], int] = {}

    def replace(self, shortages: list[tuple[str, str, int]]) -> None:
        """Sets the shortages: type, zone or `*`, and how many instances are left."""
        self._left = {(kind, zone): left for kind, zone, left in shortages}

    def left(self, kind: str, zone: str) -> int | None:
        """How many are left; None for no limit."""
        limits = [self._left[key] for key in ((kind, zone), (kind, "*")) if key in self._left]
        return min(limits) if limits else None

    def take(self, kind: str, zone: str, count: int) -> None:
        """Notes that `count` were launched."""
        for key in ((kind, zone), (kind, "*")):
            if key in self._left:
                self._left[key] = max(0, self._left[key] - count)


CAPACITY = Capacity()

CODE = "InsufficientInstanceCapacity"


def message(kind: str, zone: str) -> str:
    """EC2's text for it."""
    return (
        f"We currently do not have sufficient {kind} capacity in the Availability Zone you requested ({zone}). "
        "Our system will be working on provisioning additional capacity."
    )


def install() -> None:
    """Puts the mend in place."""
    from moto.ec2.exceptions import EC2ClientError
    from moto.ec2.models import instances as models
    from moto.ec2.responses import instances as responses

    run, respond = models.InstanceBackend.run_instances, responses.InstanceResponse.run_instances

    def run_instances(self: Any, image_id: str, count: int, user_data: Any, security_group_names: Any, **kwargs: Any) -> Any:
        # An instance of a fleet was chosen with its capacity in mind.
        if not kwargs.get("fleet_id"):
            template = kwargs.get("launch_template")
            kind = kwargs.get("instance_type")
            if kwargs.get("is_instance_type_default") and template:
                kind = self._get_template_from_args(template).instance_type or kind
            zone = _zone(self, kwargs)
            left = CAPACITY.left(kind, zone)
            if left is not None and left < count:
                raise EC2ClientError(CODE, message(kind, zone))
            CAPACITY.take(kind, zone, count)
        return run(self, image_id, count, user_data, security_group_names, **kwargs)

    def respond_run_instances(self: Any) -> Any:
        # moto launches MinCount; EC2 launches MaxCount where it can.
        self.params["MinCount"] = self._get_param("MaxCount", self._get_param("MinCount", 1))
        return respond(self)

    start = models.InstanceBackend.start_instances

    def start_instances(self: Any, instance_ids: list[str]) -> Any:
        stopped = [each for each in map(self.get_instance, instance_ids) if each._state.name == "stopped"]
        wanted = Counter((each.instance_type, each._placement.zone) for each in stopped)
        for (kind, zone), count in wanted.items():
            left = CAPACITY.left(kind, zone)
            if left is not None and left < count:
                raise EC2ClientError(CODE, message(kind, zone))
        started = start(self, instance_ids)
        for (kind, zone), count in wanted.items():
            CAPACITY.take(kind, zone, count)
        return started

    models.InstanceBackend.start_instances = start_instances
    models.InstanceBackend.run_instances = run_instances
    responses.InstanceResponse.run_instances = respond_run_instances


def _zone(backend: Any, kwargs: dict[str, Any]) -> str:
    if kwargs.get("subnet_id"):
        return backend.get_subnet(kwargs["subnet_id"]).availability_zone
    return kwargs.get("placement") or "any"
