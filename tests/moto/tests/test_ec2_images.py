import pytest

CANONICAL = "099720109477"


@pytest.fixture
def published(laptop, ec2, name):
    """An image that Canonical has published."""
    image = f"ami-{name.removeprefix('t-')}"
    body = {"name": f"ubuntu/images/{name}", "owner": CANONICAL, "region": "eu-west-1"}
    assert laptop.ask(f"images/{image}", body)[0] == 204
    return image


def test_an_image_of_somebody_else_is_found_as_packer_looks_for_it(ec2, published, name):
    filters = {"name": f"ubuntu/images/*{name[-6:]}", "root-device-type": "ebs", "virtualization-type": "hvm"}
    listed = [{"Name": key, "Values": [value]} for key, value in filters.items()]
    (found,) = ec2.describe_images(Owners=[CANONICAL], Filters=listed)["Images"]
    assert (found["ImageId"], found["OwnerId"], found["Architecture"]) == (published, CANONICAL, "x86_64")
    assert ec2.describe_images(Owners=["amazon"], Filters=listed)["Images"] == []
    assert ec2.describe_images(Owners=["self"], Filters=listed)["Images"] == []


def test_an_image_of_amazons_is_found_by_that_name(laptop, ec2, name):
    body = {"name": f"al2023-{name}", "owner": "amazon", "region": "eu-west-1", "architecture": "arm64"}
    assert laptop.ask(f"images/ami-{name[2:]}", body)[0] == 204
    (found,) = ec2.describe_images(Owners=["amazon"], Filters=[{"Name": "name", "Values": [f"al2023-{name}"]}])["Images"]
    assert (found["ImageOwnerAlias"], found["Architecture"]) == ("amazon", "arm64")


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"owner": CANONICAL, "region": "eu-west-1"}, "name: found null, expected a name"),
        ({"name": "a", "region": "eu-west-1"}, "owner: found null, expected an account or amazon"),
        ({"name": "a", "owner": CANONICAL, "region": 1}, "region: found 1, expected a region"),
    ],
)
def test_what_is_no_image_is_refused(laptop, body, error):
    assert laptop.ask("images/ami-0123", body) == (400, {"error": error})


def test_an_image_of_an_instance_says_what_it_is(laptop, ec2, published, name):
    asked = {"ImageId": published, "InstanceType": "c7i.large", "MinCount": 1, "MaxCount": 1}
    instance = ec2.run_instances(**asked)["Instances"][0]["InstanceId"]
    image = ec2.create_image(InstanceId=instance, Name=name)["ImageId"]
    assert laptop.instance(instance)["images"] == [image]
    ec2.modify_image_attribute(ImageId=image, Description={"Value": "what it is"})
    ec2.modify_image_attribute(ImageId=image, LaunchPermission={"Add": [{"UserId": "210987654321"}]})
    (found,) = ec2.describe_images(ImageIds=[image])["Images"]
    assert (found["Description"], found["RootDeviceType"], found["RootDeviceName"]) == ("what it is", "ebs", "/dev/sda1")
    assert found["Architecture"] == "x86_64"
    snapshot = found["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]
    tags = [{"Key": "dayfly:image", "Value": "runner"}]
    ec2.create_tags(Resources=[image, snapshot], Tags=tags)
    assert ec2.describe_images(ImageIds=[image])["Images"][0]["Tags"] == tags
    assert ec2.describe_snapshots(SnapshotIds=[snapshot])["Snapshots"][0]["Tags"] == tags
