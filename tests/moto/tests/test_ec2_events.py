import json


def test_each_change_of_state_is_told_on_the_default_bus(laptop, ec2, name):
    sqs, events = laptop.aws("sqs"), laptop.aws("events")
    queue = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_rule(Name=name, EventPattern=json.dumps({"source": ["aws.ec2"]}))
    events.put_targets(Rule=name, Targets=[{"Id": "1", "Arn": arn}])
    answer = ec2.run_instances(ImageId="ami-12345678", InstanceType="c7i.large", MinCount=1, MaxCount=1)
    instance = answer["Instances"][0]["InstanceId"]
    laptop.report(instance, "running")
    ec2.terminate_instances(InstanceIds=[instance])
    laptop.report(instance, "terminated")
    told = []
    while messages := sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages"):
        told += [json.loads(message["Body"]) for message in messages]
    events.remove_targets(Rule=name, Ids=["1"])
    events.delete_rule(Name=name)
    assert {event["detail-type"] for event in told} == {"EC2 Instance State-change Notification"}
    states = [event["detail"]["state"] for event in told if event["detail"]["instance-id"] == instance]
    assert states == ["pending", "running", "shutting-down", "terminated"]
