"""A deployment recorded at one server is there at another."""

import json
import subprocess
import sys
import urllib.request
from contextlib import contextmanager

from conftest import HERE, Laptop


@contextmanager
def server(*arguments):
    process = subprocess.Popen(
        [sys.executable, HERE / "server.py", "--port", "0", *map(str, arguments)], stdout=subprocess.PIPE, text=True
    )
    try:
        yield Laptop(process.stdout.readline().rsplit(" ", 1)[-1].strip())
    finally:
        process.terminate()
        assert process.wait(10) == 0


def deploy(laptop):
    """Makes one of each kind whose id is drawn at random, some at once."""
    from concurrent.futures import ThreadPoolExecutor

    ec2, sqs, s3 = laptop.aws("ec2"), laptop.aws("sqs"), laptop.aws("s3")
    iam, api = laptop.aws("iam"), laptop.aws("apigatewayv2")
    with ThreadPoolExecutor(6) as pool:
        for each in [
            pool.submit(ec2.create_launch_template, LaunchTemplateName="a", LaunchTemplateData={"ImageId": "ami-1"}),
            pool.submit(sqs.create_queue, QueueName="q"),
            pool.submit(iam.create_role, RoleName="r", AssumeRolePolicyDocument="{}"),
            pool.submit(api.create_api, Name="hook", ProtocolType="HTTP"),
            pool.submit(s3.create_bucket, Bucket="bucket", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}),
            pool.submit(ec2.create_security_group, GroupName="g", Description="g"),
        ]:
            each.result()
    s3.put_bucket_versioning(Bucket="bucket", VersioningConfiguration={"Status": "Enabled"})
    s3.put_object(Bucket="bucket", Key="k", Body=bytes(range(256)) * 1000)
    # In two parts, the first of at least 5 MiB: see patches/s3_upload_ids.py.
    upload = {"Bucket": "bucket", "Key": "parts", "UploadId": s3.create_multipart_upload(Bucket="bucket", Key="parts")["UploadId"]}
    bodies = {1: b"1" * (5 << 20), 2: b"2"}
    tags = {number: s3.upload_part(PartNumber=number, Body=body, **upload)["ETag"] for number, body in bodies.items()}
    parts = [{"PartNumber": number, "ETag": tag} for number, tag in tags.items()]
    s3.complete_multipart_upload(MultipartUpload={"Parts": parts}, **upload)


def ids(laptop):
    """All ids that Terraform's state would hold."""
    ec2 = laptop.aws("ec2")
    content = laptop.aws("s3").get_object(Bucket="bucket", Key="k")
    return {
        "template": ec2.describe_launch_templates()["LaunchTemplates"][0]["LaunchTemplateId"],
        "subnets": sorted(each["SubnetId"] for each in ec2.describe_subnets()["Subnets"]),
        "groups": sorted(each["GroupId"] for each in ec2.describe_security_groups()["SecurityGroups"]),
        "role": laptop.aws("iam").get_role(RoleName="r")["Role"]["RoleId"],
        "api": laptop.aws("apigatewayv2").get_apis()["Items"][0]["ApiId"],
        "version": content["VersionId"],
        "parts": laptop.aws("s3").head_object(Bucket="bucket", Key="parts")["ContentLength"],
        "content": content["Body"].read(),
        "queues": [url.rsplit("/", 1)[-1] for url in laptop.aws("sqs").list_queues()["QueueUrls"]],
    }


def run(laptop):
    answer = laptop.aws("ec2").run_instances(ImageId="ami-1", InstanceType="c7i.large", MinCount=1, MaxCount=1)
    return answer["Instances"][0]["InstanceId"]


def test_a_recorded_deployment_has_the_same_ids_elsewhere(tmp_path):
    recording = tmp_path / "deployment"
    with server("--record", recording) as first:
        deploy(first)
        assert not recording.exists()
        assert first.ask("recording/stop", {})[0] == 204
        assert recording.stat().st_mode & 0o777 == 0o600
        made = ids(first)
        instances = {run(first)}
    for _ in range(2):
        with server("--replay", recording) as again:
            assert again.ask("calls") == (200, {})
            assert ids(again) == made
            # What is launched afterwards is new each time.
            instances.add(run(again))
    assert len(instances) == 3


def test_a_server_that_does_not_record_says_so(laptop):
    assert laptop.ask("recording/stop", {})[0] == 404


def test_a_recording_that_is_not_there_is_refused(tmp_path):
    arguments = [sys.executable, HERE / "server.py", "--replay", tmp_path / "none"]
    answer = subprocess.run(arguments, capture_output=True, text=True)
    assert answer.returncode == 2
    assert f"--replay: found {tmp_path / 'none'}, expected a recording" in answer.stderr


def test_moto_itself_still_answers_beside(laptop):
    with urllib.request.urlopen(f"{laptop.url}/moto-api/config") as answer:
        assert json.loads(answer.read())
