import http.client

import pytest
from botocore.exceptions import ResponseStreamingError


def read(s3, name):
    return s3.get_object(Bucket=name, Key="long")["Body"].read()


def test_answers_to_instances_alone_break_off_for_a_while(laptop, name):
    ours = laptop.aws("s3")
    ours.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    ours.put_object(Bucket=name, Key="long", Body=b"x" * 10_000)
    runner = laptop.aws("s3", access_key="ASIA0123456789ABCDEF0")
    assert laptop.ask("cut", {"operation": "s3.GetObject", "bytes": 1000, "times": 2})[0] == 204
    assert len(read(ours, name)) == 10_000
    for _ in range(2):
        with pytest.raises((ResponseStreamingError, http.client.IncompleteRead)) as broken:
            read(runner, name)
        assert "1000 bytes read" in str(broken.value)
    assert len(read(runner, name)) == 10_000


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"bytes": 1, "times": 1}, "operation: found null, expected an operation such as ssm.GetParameter"),
        ({"operation": "s3.GetObject", "times": 1}, "bytes: found null, expected a whole number from 0"),
    ],
)
def test_mistakes_are_named(laptop, body, error):
    assert laptop.ask("cut", body) == (400, {"error": error})
