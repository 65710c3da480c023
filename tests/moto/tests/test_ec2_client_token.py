from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.exceptions import ClientError
from conftest import ids


def test_a_fleet_asked_for_twice_is_launched_once(template, fleet, name):
    made = template()
    first, second = (fleet(made, 2, ClientToken=name) for _ in range(2))
    assert ids(first) == ids(second) and len(ids(first)) == 2
    assert first["FleetId"] == second["FleetId"]


def test_twenty_at_once_launch_once(template, fleet, name):
    made = template()
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: ids(fleet(made, 2, ClientToken=name)), range(20)))
    assert all(answer == answers[0] for answer in answers)


def test_other_parameters_under_the_same_token_are_refused(template, fleet, name):
    made = template()
    fleet(made, 1, ClientToken=name)
    with pytest.raises(ClientError, match="IdempotentParameterMismatch"):
        fleet(made, 2, ClientToken=name)


def test_a_refused_call_is_not_the_answer_to_the_next(laptop, ec2, name):
    laptop.ask("capacity", {"unavailable": [{"instance_type": "c7i.large", "zone": "*"}]})
    asked = {"ImageId": "ami-12345678", "InstanceType": "c7i.large", "MinCount": 1, "MaxCount": 1, "ClientToken": name}
    with pytest.raises(ClientError, match="InsufficientInstanceCapacity"):
        ec2.run_instances(**asked)
    laptop.ask("capacity", {"unavailable": []})
    first, second = (ec2.run_instances(**asked)["Instances"][0]["InstanceId"] for _ in range(2))
    assert first == second


def test_without_a_token_each_call_launches(template, fleet):
    made = template()
    assert ids(fleet(made)) != ids(fleet(made))
