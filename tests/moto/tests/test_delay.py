import time

from delay import Delay


def test_an_operation_comes_before_its_service_and_others_are_not_kept():
    kept = []
    delay = Delay(kept.append)
    delay.set("dynamodb.*", 5)
    delay.set("dynamodb.Query", 20)
    for operation in ("dynamodb.GetItem", "dynamodb.Query", "ssm.PutParameter"):
        delay.keep(operation)
    delay.set("dynamodb.Query", 0)
    delay.keep("dynamodb.Query")
    assert kept == [0.005, 0.02]


def test_calls_take_as_long_as_was_asked_for(laptop):
    assert laptop.ask("delay", {"operation": "sts.GetCallerIdentity", "millis": 300})[0] == 204
    begun = time.monotonic()
    laptop.aws("sts").get_caller_identity()
    assert time.monotonic() - begun >= 0.3
    laptop.ask("delay", {"operation": "sts.GetCallerIdentity", "millis": 0})


def test_mistakes_are_named(laptop):
    assert laptop.ask("delay", {"operation": "sts.*"}) == (400, {"error": "millis: found null, expected a whole number from 0"})


def test_calls_are_told_apart_by_who_made_them(laptop):
    laptop.ask("calls/reset", {})
    laptop.aws("ec2", access_key="FUNCTION-f").describe_vpcs()
    for _ in range(2):
        laptop.aws("ec2").describe_vpcs()
    assert laptop.ask("calls")[1]["ec2.DescribeVpcs"] == 3
    assert laptop.ask("calls?by=FUNCTION") == (200, {"ec2.DescribeVpcs": 1})
    assert laptop.ask("calls?by=FUNCTION-g") == (200, {})
    assert laptop.ask("calls?by=nobody") == (200, {})
