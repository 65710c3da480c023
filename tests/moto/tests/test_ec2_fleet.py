from conftest import ids


def offers(subnets, types=("c7i.large", "c7a.large")):
    return [{"SubnetId": subnet, "InstanceType": kind} for kind in types for _, subnet in sorted(subnets.items())]


def test_the_first_offer_is_taken(laptop, template, fleet, subnets):
    answer = fleet(template(), 3, offers(subnets))
    assert answer["Errors"] == []
    launched = [laptop.instance(each) for each in ids(answer)]
    assert len(launched) == 3
    assert {(each["subnet_id"], each["instance_type"]) for each in launched} == {(min(subnets.items())[1], "c7i.large")}
    assert len({each["private_ip"] for each in launched}) == 3


def test_without_capacity_the_next_offer_is_taken_and_the_shortage_told(laptop, template, fleet, subnets):
    laptop.ask("capacity", {"unavailable": [{"instance_type": "c7i.large", "zone": "*"}]})
    answer = fleet(template(), 2, offers(subnets))
    assert {laptop.instance(each)["instance_type"] for each in ids(answer)} == {"c7a.large"}
    assert {error["ErrorCode"] for error in answer["Errors"]} == {"InsufficientInstanceCapacity"}
    assert len(answer["Errors"]) == len(subnets)


def test_a_shortfall_comes_beside_instances(laptop, template, fleet, subnets):
    laptop.ask("capacity", {"unavailable": [{"instance_type": "c7i.large", "zone": "*", "left": 2}]})
    answer = fleet(template(), 5, offers(subnets, ["c7i.large"]))
    assert len(ids(answer)) == 2
    assert answer["Errors"][0]["LaunchTemplateAndOverrides"]["Overrides"]["InstanceType"] == "c7i.large"
    # All of it is used up now.
    none = fleet(template_id(answer), 1, offers(subnets, ["c7i.large"]))
    assert ids(none) == [] and none["Errors"]


def template_id(answer):
    return answer["Instances"][0]["LaunchTemplateAndOverrides"]["LaunchTemplateSpecification"]["LaunchTemplateId"]


def test_a_spot_fleet_launches_spot(ec2, template, fleet, subnets):
    answer = fleet(template(), 1, offers(subnets), market="spot")
    assert answer["Instances"][0]["Lifecycle"] == "spot"
    found = ec2.describe_instances(InstanceIds=ids(answer))["Reservations"][0]["Instances"][0]
    assert found["InstanceLifecycle"] == "spot"
    # An ended instance leaves the fleet without an error.
    ec2.terminate_instances(InstanceIds=ids(answer))
