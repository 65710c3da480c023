import datetime
import time

import pytest

from age import older

HOUR = 3600


def test_times_alone_are_set_back():
    now = 1_790_000_000
    for text, expected in [
        ("1790000100", "1789996500"),
        ("1790000100123", "1789996500123"),
        ('{"i-0":1790000100123,"job":1790000100}', '{"i-0":1789996500123,"job":1789996500}'),
        # Numbers of another size, other times, parts of names.
        ("17900001", "17900001"),
        ("17900001001234", "17900001001234"),
        ("1690000100", "1690000100"),
        ("i-1790000100", "i-1790000100"),
        ("a1790000100", "a1790000100"),
        ("", ""),
    ]:
        assert older(text, HOUR, now) == expected, text


def test_what_aws_noted_is_older(laptop, name):
    ec2, dynamodb, ssm, s3 = (laptop.aws(service) for service in ("ec2", "dynamodb", "ssm", "s3"))
    dynamodb.create_table(
        TableName=name,
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )
    now = int(time.time())
    key = {"pk": {"S": f"at#{now}"}}
    times = {"at": {"N": f"{now}000"}, "expires": {"N": str(now)}, "count": {"N": "7"}, "ok": {"BOOL": True}}
    history = {"L": [{"M": {"at": {"N": str(now)}}}]}
    dynamodb.put_item(TableName=name, Item={**key, **times, "history": history, "note": {"S": f'{{"x":{now}}}'}})
    ssm.put_parameter(Name=f"/{name}", Value="v", Type="String")
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    s3.put_object(Bucket=name, Key="k", Body=b"x")
    others = ec2.describe_images()["Images"][0]
    image = others["ImageId"]
    instance = ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1)["Instances"][0]
    made = ec2.create_image(InstanceId=instance["InstanceId"], Name=name)["ImageId"]
    volume = ec2.create_volume(AvailabilityZone="eu-west-1a", Size=1)["VolumeId"]

    assert laptop.ask("age", {"seconds": HOUR})[0] == 204

    item = dynamodb.get_item(TableName=name, Key=key)["Item"]
    old = now - HOUR
    assert item["pk"] == key["pk"]
    assert (item["at"]["N"], item["expires"]["N"], item["count"]["N"]) == (f"{old}000", str(old), "7")
    assert item["history"]["L"][0]["M"]["at"]["N"] == str(old)
    assert item["note"]["S"] == f'{{"x":{old}}}'
    modified = ssm.get_parameters_by_path(Path="/")["Parameters"]
    modified = next(each for each in modified if each["Name"] == f"/{name}")["LastModifiedDate"]
    uploaded = s3.list_objects_v2(Bucket=name)["Contents"][0]["LastModified"]
    again = ec2.describe_instances(InstanceIds=[instance["InstanceId"]])["Reservations"][0]["Instances"][0]
    own = ec2.describe_images(ImageIds=[made])["Images"][0]
    created = datetime.datetime.fromisoformat(own["CreationDate"].replace("Z", "+00:00"))
    snapshot = ec2.describe_snapshots(SnapshotIds=[own["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]])
    started = snapshot["Snapshots"][0]["StartTime"]
    free = ec2.describe_volumes(VolumeIds=[volume])["Volumes"][0]["CreateTime"]
    assert ec2.describe_images(ImageIds=[image])["Images"][0]["CreationDate"] == others["CreationDate"]
    for at in (modified, uploaded, again["LaunchTime"], created, started, free):
        assert HOUR - 60 <= time.time() - at.timestamp() <= HOUR + 60
    assert (instance["LaunchTime"] - again["LaunchTime"]).total_seconds() == HOUR


@pytest.mark.parametrize("seconds", [None, -1, "5", True])
def test_mistakes_are_named(laptop, seconds):
    status, answer = laptop.ask("age", {"seconds": seconds})
    assert status == 400
    assert answer["error"].startswith("seconds: found ")
