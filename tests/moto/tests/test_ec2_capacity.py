import pytest
from botocore.exceptions import ClientError


def run(ec2, count=1, **more):
    fields = {"ImageId": "ami-12345678", "InstanceType": "c7i.large", "MinCount": 1, "MaxCount": count} | more
    return ec2.run_instances(**fields)["Instances"]


def test_a_type_can_be_out_of_capacity_in_a_zone(laptop, ec2, subnets):
    (zone, subnet), (_, other) = sorted(subnets.items())[:2]
    laptop.ask("capacity", {"unavailable": [{"instance_type": "c7i.large", "zone": zone}]})
    with pytest.raises(ClientError, match="InsufficientInstanceCapacity"):
        run(ec2, SubnetId=subnet)
    assert run(ec2, SubnetId=other)
    assert run(ec2, SubnetId=subnet, InstanceType="c7a.large")


def test_a_list_replaces_the_one_before(laptop, ec2):
    laptop.ask("capacity", {"unavailable": [{"instance_type": "c7i.large", "zone": "*"}]})
    with pytest.raises(ClientError, match="InsufficientInstanceCapacity"):
        run(ec2)
    laptop.ask("capacity", {"unavailable": []})
    assert run(ec2)


def test_max_count_is_launched(ec2):
    assert len(run(ec2, count=3)) == 3
