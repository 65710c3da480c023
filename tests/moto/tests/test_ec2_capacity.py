import pytest
from botocore.exceptions import ClientError


def run(ec2, count=1, **more):
    fields = {"ImageId": "ami-12345678", "InstanceType": "c7i.large", "MinCount": 1, "MaxCount": count} | more
    return ec2.run_instances(**fields)["Instances"]


def states(ec2, instances):
    found = ec2.describe_instances(InstanceIds=instances)["Reservations"]
    states = {it["InstanceId"]: it["State"]["Name"] for each in found for it in each["Instances"]}
    return [states[instance] for instance in instances]


def test_a_type_can_be_out_of_capacity_in_a_zone(laptop, ec2, subnets):
    (zone, subnet), (_, other) = sorted(subnets.items())[:2]
    laptop.ask("capacity", {"unavailable": [{"instance_type": "c7i.large", "zone": zone}]})
    with pytest.raises(ClientError, match="InsufficientInstanceCapacity"):
        run(ec2, SubnetId=subnet)
    assert run(ec2, SubnetId=other)
    assert run(ec2, SubnetId=subnet, InstanceType="c7a.large")


def test_what_is_stopped_starts_only_where_there_is_capacity(laptop, ec2, subnets):
    zone, subnet = sorted(subnets.items())[0]
    instances = [it["InstanceId"] for it in run(ec2, count=2, SubnetId=subnet)]
    for instance in instances:
        laptop.report(instance, "running")
    ec2.stop_instances(InstanceIds=instances)
    for instance in instances:
        laptop.report(instance, "stopped")
    laptop.ask("capacity", {"unavailable": [{"instance_type": "c7i.large", "zone": zone, "left": 1}]})
    with pytest.raises(ClientError, match="InsufficientInstanceCapacity"):
        ec2.start_instances(InstanceIds=instances)
    ec2.start_instances(InstanceIds=instances[:1])
    assert states(ec2, instances) == ["pending", "stopped"]
    with pytest.raises(ClientError, match="InsufficientInstanceCapacity"):
        ec2.start_instances(InstanceIds=instances[1:])
    # What runs already needs none.
    laptop.report(instances[0], "running")
    ec2.start_instances(InstanceIds=instances[:1])
    assert states(ec2, instances) == ["running", "stopped"]
    laptop.ask("capacity", {"unavailable": []})


def test_a_list_replaces_the_one_before(laptop, ec2):
    laptop.ask("capacity", {"unavailable": [{"instance_type": "c7i.large", "zone": "*"}]})
    with pytest.raises(ClientError, match="InsufficientInstanceCapacity"):
        run(ec2)
    laptop.ask("capacity", {"unavailable": []})
    assert run(ec2)


def test_max_count_is_launched(ec2):
    assert len(run(ec2, count=3)) == 3
