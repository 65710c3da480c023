import pytest
from botocore.exceptions import ClientError


def test_calls_of_instances_alone_are_refused_for_a_while(laptop, name):
    ours = laptop.aws("ssm")
    ours.put_parameter(Name=f"/{name}", Value="x", Type="String")
    runner = laptop.aws("ssm", access_key="ASIA0123456789ABCDEF0")
    assert laptop.ask("throttle", {"operation": "ssm.GetParameter", "times": 2})[0] == 204
    ours.get_parameter(Name=f"/{name}")
    # The client tries twice.
    with pytest.raises(ClientError) as refused:
        runner.get_parameter(Name=f"/{name}")
    assert refused.value.response["Error"] == {"Code": "ThrottlingException", "Message": "Rate exceeded"}
    assert runner.get_parameter(Name=f"/{name}")["Parameter"]["Value"] == "x"


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"times": 1}, "operation: found null, expected an operation such as ssm.GetParameter"),
        ({"operation": "ssm.GetParameter", "times": -1}, "times: found -1, expected a whole number from 0"),
    ],
)
def test_mistakes_are_named(laptop, body, error):
    assert laptop.ask("throttle", body) == (400, {"error": error})
