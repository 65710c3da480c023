"""The control channel: what it counts, and what bad input gets."""

import time
from concurrent.futures import ThreadPoolExecutor
from statistics import median

import pytest

from calls import operation


@pytest.mark.parametrize(
    ("path", "body", "error"),
    [
        ("instances/{id}/state", {"state": "gone"}, 'state: found "gone", expected one of running, stopped, terminated'),
        ("instances/{id}/state", {}, "state: found null, expected one of running, stopped, terminated"),
        ("instances/{id}/state", {"state": "running", "reason": 1}, "reason: found 1, expected a text"),
        ("instances/{id}/state", [], "body: found '[]', expected a JSON object"),
        ("capacity", {"unavailable": "all"}, 'unavailable: found "all", expected a list'),
        ("capacity", {"unavailable": [{"zone": "*"}]}, "instance_type: found null, expected an instance type"),
        ("capacity", {"unavailable": [{"instance_type": "x", "left": -1}]}, "unavailable.left: found -1, expected a whole number from 0"),
    ],
)
def test_bad_input_is_named(laptop, ec2, path, body, error):
    answer = ec2.run_instances(ImageId="ami-12345678", InstanceType="c7i.large", MinCount=1, MaxCount=1)
    status, told = laptop.ask(path.replace("{id}", answer["Instances"][0]["InstanceId"]), body)
    assert (status, told["error"]) == (400, error)


def test_what_is_not_json_is_refused(laptop):
    status, told = laptop.ask("capacity", b"{")
    assert status == 400 and told["error"].startswith("body: found '{', expected JSON")


def test_what_is_not_there_is_404(laptop):
    assert laptop.ask("instances/i-0/state", {"state": "running"}) == (404, {"error": "no instance i-0"})
    assert laptop.ask("instances/i-0/shutdown", {})[0] == 404
    assert laptop.ask("nothing") == (404, {"error": "no GET /_laptop/nothing here"})


def test_calls_are_counted_by_service_and_operation(laptop, name):
    s3 = laptop.aws("s3")
    laptop.ask("calls/reset", {})
    laptop.aws("ec2").describe_vpcs()
    for _ in range(2):
        laptop.aws("ssm").put_parameter(Name=f"/{name}", Value="x", Type="String", Overwrite=True)
    laptop.aws("lambda").list_functions()
    laptop.aws("lambda").list_event_source_mappings()
    laptop.aws("apigatewayv2").get_apis()
    laptop.aws("sts").get_caller_identity()
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    s3.put_object(Bucket=name, Key="a/b", Body=b"x")
    s3.get_object(Bucket=name, Key="a/b")
    s3.list_objects_v2(Bucket=name)
    counts = laptop.ask("calls")[1]
    assert counts == {
        "apigatewayv2.GetApis": 1,
        "ec2.DescribeVpcs": 1,
        "lambda.ListEventSourceMappings": 1,
        "lambda.ListFunctions": 1,
        "s3.CreateBucket": 1,
        "s3.GetObject": 1,
        "s3.ListObjects": 1,
        "s3.PutObject": 1,
        "ssm.PutParameter": 2,
        "sts.GetCallerIdentity": 1,
    }


def test_a_sub_resource_is_counted_as_such():
    assert operation("s3", "PUT", "/bucket", "versioning", "", b"") == "s3.PUT bucket?versioning"


def test_fifty_clients_at_once_and_a_host_that_polls(laptop, name):
    ssm = laptop.aws("ssm")

    def hand_over(each):
        path = f"/{name}/{each}"
        ssm.put_parameter(Name=path, Value="x" * 5000, Type="SecureString", Tier="Intelligent-Tiering", Tags=[{"Key": "InstanceId", "Value": str(each)}])
        value = ssm.get_parameter(Name=path, WithDecryption=True)["Parameter"]["Value"]
        ssm.delete_parameter(Name=path)
        return len(value)

    took = []
    with ThreadPoolExecutor(50) as pool:
        answers = [pool.submit(hand_over, each) for each in range(100)]
        while not all(answer.done() for answer in answers):
            began = time.monotonic()
            laptop.ask("instances")
            took.append(time.monotonic() - began)
        assert [answer.result() for answer in answers] == [5000] * 100
    # Not the slowest: a machine that stood still for a while says nothing of the server.
    assert median(took) < 2
    assert ssm.get_parameters_by_path(Path=f"/{name}")["Parameters"] == []
