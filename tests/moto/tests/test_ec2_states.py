import pytest
from botocore.exceptions import ClientError


def launch(ec2, **more):
    answer = ec2.run_instances(ImageId="ami-12345678", InstanceType="c7i.large", MinCount=1, MaxCount=1, **more)
    return answer["Instances"][0]["InstanceId"]


def described(ec2, instance):
    found = ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]
    return found["State"]["Name"]


def test_an_instance_is_pending_until_its_machine_runs(laptop, ec2):
    instance = launch(ec2)
    assert described(ec2, instance) == "pending"
    laptop.report(instance, "running")
    assert described(ec2, instance) == "running"


def test_an_ended_instance_shuts_down_until_its_machine_is_gone(laptop, ec2):
    instance = launch(ec2)
    laptop.report(instance, "running")
    ended = ec2.terminate_instances(InstanceIds=[instance])["TerminatingInstances"][0]
    assert (ended["PreviousState"]["Name"], ended["CurrentState"]["Name"]) == ("running", "shutting-down")
    assert described(ec2, instance) == "shutting-down"
    # A second call, and a late report of a machine that came up, change nothing.
    ec2.terminate_instances(InstanceIds=[instance])
    laptop.report(instance, "running")
    assert described(ec2, instance) == "shutting-down"
    laptop.report(instance, "terminated")
    assert described(ec2, instance) == "terminated"
    again = ec2.terminate_instances(InstanceIds=[instance])["TerminatingInstances"][0]
    assert again["CurrentState"]["Name"] == "terminated"


def test_stop_and_start_wait_for_the_machine(laptop, ec2):
    instance = launch(ec2)
    laptop.report(instance, "running")
    ec2.stop_instances(InstanceIds=[instance])
    assert described(ec2, instance) == "stopping"
    with pytest.raises(ClientError, match="IncorrectInstanceState"):
        ec2.start_instances(InstanceIds=[instance])
    laptop.report(instance, "stopped")
    assert described(ec2, instance) == "stopped"
    ec2.start_instances(InstanceIds=[instance])
    assert described(ec2, instance) == "pending"


@pytest.mark.parametrize(("behaviour", "state"), [("terminate", "terminated"), ("stop", "stopped")])
def test_a_machine_that_switched_itself_off(laptop, ec2, behaviour, state):
    instance = launch(ec2, InstanceInitiatedShutdownBehavior=behaviour)
    laptop.report(instance, "running")
    assert laptop.ask(f"instances/{instance}/shutdown", {"reason": ""})[0] == 204
    assert described(ec2, instance) == state
    found = ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]
    assert found["StateReason"]["Code"] == "Client.InstanceInitiatedShutdown"


def test_a_report_tells_its_reason(laptop, ec2):
    instance = launch(ec2)
    laptop.report(instance, "terminated", "Server.SpotInstanceTermination: Spot instance termination")
    found = ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]
    assert found["StateReason"]["Code"] == "Server.SpotInstanceTermination"
