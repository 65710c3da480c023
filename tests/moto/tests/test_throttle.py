import pytest
from throttle import Throttle
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


def test_calls_beyond_a_rate_are_refused_whoever_makes_them():
    seconds = [100.0]
    throttle = Throttle(lambda: seconds[0])

    def passed(calls):
        return sum(throttle.refusal("ssm.PutParameter") is None for _ in range(calls))

    assert passed(10) == 10
    throttle.limit("ssm.PutParameter", 3)
    assert passed(10) == 3
    seconds[0] += 1.0
    assert passed(10) == 3
    # A long silence gathers no more than a second's worth.
    seconds[0] += 60.0
    assert passed(10) == 3
    assert throttle.refusal("ssm.GetParameter") is None
    throttle.limit("ssm.PutParameter", 0)
    assert passed(10) == 10


def test_a_rate_is_set_by_the_channel(laptop, name):
    assert laptop.ask("rate", {"operation": "ssm.PutParameter", "per_second": 1})[0] == 204
    ssm = laptop.aws("ssm")
    try:
        with pytest.raises(ClientError) as refused:
            # The client tries again by itself: a slow one may get one through now and then.
            for number in range(50):
                ssm.put_parameter(Name=f"/{name}/{number}", Value="x", Type="String")
    finally:
        assert laptop.ask("rate", {"operation": "ssm.PutParameter", "per_second": 0})[0] == 204
    assert refused.value.response["Error"]["Code"] == "ThrottlingException"
    assert laptop.ask("rate", {"operation": "ssm.PutParameter"})[1] == {
        "error": "per_second: found null, expected a whole number from 0"
    }
