def found(ec2, **filters):
    listed = [{"Name": key.replace("_", "-"), "Values": [value]} for key, value in filters.items()]
    pages = ec2.get_paginator("describe_instances").paginate(Filters=listed)
    return [each["InstanceId"] for page in pages for group in page["Reservations"] for each in group["Instances"]]


def test_instances_are_found_by_what_moto_can_not_filter(ec2, name):
    asked = {"ImageId": "ami-12345678", "InstanceType": "c7i.large", "MinCount": 1, "MaxCount": 1}
    plain = ec2.run_instances(**asked, ClientToken=name)["Instances"][0]["InstanceId"]
    spot = ec2.run_instances(**asked, InstanceMarketOptions={"MarketType": "spot"})["Instances"][0]["InstanceId"]
    assert found(ec2, client_token=name) == [plain]
    spots = found(ec2, instance_lifecycle="spot")
    assert spot in spots and plain not in spots
    assert found(ec2, launch_time="2001-01-01T00:00:00.000Z") == []
    assert plain in found(ec2, launch_time="20*")


def test_instances_are_found_by_tag(ec2, template, fleet, name):
    made = template()
    tags = [{"ResourceType": "instance", "Tags": [{"Key": "dayfly:reservation", "Value": name}]}]
    fleet(made, 2, TagSpecifications=tags)
    fleet(made, 1)
    by_tag = found(ec2, **{"tag:dayfly:reservation": name})
    assert len(by_tag) == 2
    assert found(ec2, **{"tag:dayfly:reservation": name, "instance_state_name": "running"}) == []
    assert found(ec2, **{"tag:dayfly:reservation": name, "instance_state_name": "pending"}) == by_tag
