import json

import pytest
from botocore.exceptions import ClientError


def statement(name, **more):
    arns = [f"arn:aws:s3:::{name}", f"arn:aws:s3:::{name}/*"]
    return {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": arns} | more


def test_only_a_deny_without_a_condition_denies(laptop, name):
    s3 = laptop.aws("s3")
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})

    def policy(*statements):
        s3.put_bucket_policy(Bucket=name, Policy=json.dumps({"Version": "2012-10-17", "Statement": list(statements)}))

    policy(statement(name, Condition={"Bool": {"aws:SecureTransport": "false"}}))
    s3.put_object(Bucket=name, Key="k", Body=b"v")
    assert s3.get_object(Bucket=name, Key="k")["Body"].read() == b"v"
    assert "SecureTransport" in s3.get_bucket_policy(Bucket=name)["Policy"]
    policy(statement(name, Action="s3:PutObject"))
    with pytest.raises(ClientError, match="Forbidden|AccessDenied|Access Denied"):
        s3.put_object(Bucket=name, Key="k", Body=b"w")
