import base64

import pytest
from botocore.exceptions import ClientError
from conftest import ids


@pytest.fixture
def profile(laptop, name):
    iam = laptop.aws("iam")
    iam.create_instance_profile(InstanceProfileName=name)
    return name


def test_an_instance_has_what_its_template_says(laptop, ec2, template, fleet, profile, subnets):
    made = template(
        UserData=base64.b64encode(b"#cloud-config\n{}\n").decode(),
        InstanceInitiatedShutdownBehavior="terminate",
        IamInstanceProfile={"Name": profile},
        MetadataOptions={"HttpTokens": "required", "HttpPutResponseHopLimit": 2, "InstanceMetadataTags": "enabled"},
        TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "from", "Value": "template"}, {"Key": "a", "Value": "1"}]}],
    )
    zone, subnet = sorted(subnets.items())[1]
    tags = [{"ResourceType": "instance", "Tags": [{"Key": "from", "Value": "call"}]}]
    overrides = [{"SubnetId": subnet, "InstanceType": "c7a.large"}]
    (instance,) = ids(fleet(made, overrides=overrides, market="spot", TagSpecifications=tags))
    seen = laptop.instance(instance)
    tags = seen.pop("tags")
    assert tags["from"] == "call" and tags["a"] == "1" and tags["aws:ec2launchtemplate:id"] == made
    assert seen.pop("launched_at") > 1_700_000_000
    assert seen.pop("private_ip").startswith("172.31.")
    assert seen == {
        "id": instance,
        "state": "pending",
        "image_id": "ami-12345678",
        "instance_type": "c7a.large",
        "subnet_id": subnet,
        "availability_zone": zone,
        "region": "eu-west-1",
        "user_data": base64.b64encode(b"#cloud-config\n{}\n").decode(),
        "lifecycle": "spot",
        "instance_profile": profile,
        "public_key": None,
        "images": [],
        "shutdown_behavior": "terminate",
        "metadata_options": {"http_tokens": "required", "http_put_response_hop_limit": 2, "instance_metadata_tags": "enabled"},
    }
    described = ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]
    assert described["IamInstanceProfile"]["Arn"].endswith(f"/{profile}")
    assert described["InstanceLifecycle"] == "spot"


def test_an_instance_without_a_subnet_is_in_a_default_one(laptop, ec2, subnets):
    answer = ec2.run_instances(ImageId="ami-12345678", InstanceType="c7i.large", MinCount=1, MaxCount=1)
    seen = laptop.instance(answer["Instances"][0]["InstanceId"])
    assert seen["subnet_id"] in subnets.values()
    assert seen["private_ip"].startswith("172.31.")


def test_a_profile_that_is_not_there_is_refused(template, fleet):
    made = template(IamInstanceProfile={"Name": "nobody"})
    with pytest.raises(ClientError, match="nobody"):
        fleet(made)


def test_a_volume_without_a_size_has_the_images(ec2, template, fleet):
    made = template(BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": {"VolumeType": "gp3", "Encrypted": True}}])
    (instance,) = ids(fleet(made))
    volumes = ec2.describe_volumes(Filters=[{"Name": "attachment.instance-id", "Values": [instance]}])["Volumes"]
    (volume,) = [each for each in volumes if each["Attachments"][0]["Device"] == "/dev/xvda"]
    assert (volume["Size"], volume["VolumeType"], volume["Encrypted"]) == (8, "gp3", True)


def test_an_instance_has_the_key_that_it_was_launched_with(laptop, ec2, name):
    ec2.create_key_pair(KeyName=name)
    answer = ec2.run_instances(ImageId="ami-12345678", InstanceType="c7i.large", MinCount=1, MaxCount=1, KeyName=name)
    instance = answer["Instances"][0]["InstanceId"]
    ec2.delete_key_pair(KeyName=name)
    key = laptop.instance(instance)["public_key"]
    assert key["name"] == name and key["openssh"].startswith("ssh-rsa AAAA")
