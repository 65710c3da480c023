"""CreateFleet launches as its template and overrides say, and tells what it could not launch.

moto launches all instances from the first override, drops most of the launch template, and knows no shortage. Here
an instant fleet fills its offers (template config x override) in order; where an offer has no capacity left, the
fleet goes on to the next one and the shortage is told in `Errors`, beside the instances. EC2 spreads over offers by
its allocation strategy, which depends on prices that nobody knows here.
"""

from __future__ import annotations

from typing import Any

from patches.ec2_capacity import CAPACITY, CODE, message


def install() -> None:
    """Puts the mend in place."""
    from moto.ec2.models import fleets as models
    from moto.ec2.responses import fleets as responses

    fleet = models.Fleet
    respond = responses.Fleets.create_fleet

    def on_demand(self: Any, weight: float) -> None:
        _launch(self, int(weight), None)

    def spot(self: Any, weight: float) -> list[Any]:
        _launch(self, int(weight), "spot")
        return self.spot_requests

    def instances(self: Any) -> list[dict[str, Any]] | None:
        if self.fleet_type != "instant":
            return None
        return [
            self._build_instance_data(item["instance"], item["instance"].lifecycle or "on-demand", item["launch_spec"])
            for item in self.on_demand_instances
        ]

    def create_fleet(self: Any) -> Any:
        answer = respond(self)
        made = self.ec2_backend.get_fleet(answer.result["FleetId"])
        if made.fleet_type == "instant":
            answer.result["Errors"] = made.laptop_errors
        return answer

    fleet.create_on_demand_requests = on_demand
    fleet.create_spot_requests = spot
    fleet.instances = property(instances)
    responses.Fleets.create_fleet = create_fleet


def _launch(fleet: Any, wanted: int, lifecycle: str | None) -> None:
    """Fills the fleet's offers in order until it has `wanted` instances."""
    backend = fleet.ec2_backend
    fleet.laptop_errors = getattr(fleet, "laptop_errors", [])
    for spec in fleet.launch_specs:
        if wanted == 0:
            return
        zone = _zone(backend, spec)
        left = CAPACITY.left(spec.instance_type, zone)
        count = wanted if left is None else min(wanted, left)
        if count < wanted:
            fleet.laptop_errors.append(_shortage(spec, zone, lifecycle))
        if count == 0:
            continue
        CAPACITY.take(spec.instance_type, zone, count)
        for instance in _run(fleet, spec, count, lifecycle):
            fleet.on_demand_instances.append({"id": fleet.id, "instance": instance, "launch_spec": spec})
            fleet.fulfilled_capacity += 1
        wanted -= count


def _run(fleet: Any, spec: Any, count: int, lifecycle: str | None) -> list[Any]:
    backend = fleet.ec2_backend
    # The template brings user data, groups and what patches/ec2_launch_fields.py takes from it.
    template = {
        "LaunchTemplateId": spec.launch_template_spec["LaunchTemplateId"],
        "Version": spec.launch_template_spec.get("Version", "$Default"),
    }
    reservation = backend.run_instances(
        spec.image_id,
        count,
        None,
        [],
        instance_type=spec.instance_type,
        is_instance_type_default=False,
        region_name=backend.region_name,
        subnet_id=spec.subnet_id,
        placement=(spec.overrides or {}).get("AvailabilityZone"),
        key_name=spec.key_name,
        launch_template=template,
        fleet_id=fleet.id,
        lifecycle=lifecycle,
        tags=spec.tag_specifications,
    )
    for instance in reservation.instances:
        instance.add_tags({"aws:ec2:fleet-id": fleet.id})
    return reservation.instances


def _zone(backend: Any, spec: Any) -> str:
    if spec.subnet_id:
        return backend.get_subnet(spec.subnet_id).availability_zone
    return (spec.overrides or {}).get("AvailabilityZone") or "any"


def _shortage(spec: Any, zone: str, lifecycle: str | None) -> dict[str, Any]:
    return {
        "LaunchTemplateAndOverrides": {
            "LaunchTemplateSpecification": spec.launch_template_spec,
            "Overrides": spec.overrides or {},
        },
        "Lifecycle": lifecycle or "on-demand",
        "ErrorCode": CODE,
        "ErrorMessage": message(spec.instance_type, zone),
    }
