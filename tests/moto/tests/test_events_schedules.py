import json


def test_a_schedule_meets_no_event_and_a_pattern_does(laptop, name):
    sqs, events = laptop.aws("sqs"), laptop.aws("events")
    queue = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    function = f"arn:aws:lambda:eu-west-1:123456789012:function:{name}"
    events.put_rule(Name=f"{name}-schedule", ScheduleExpression="rate(1 minute)")
    events.put_targets(Rule=f"{name}-schedule", Targets=[{"Id": "1", "Arn": function}])
    events.put_rule(Name=name, EventPattern=json.dumps({"source": [name]}))
    events.put_targets(Rule=name, Targets=[{"Id": "1", "Arn": arn}])
    told = {"Source": name, "DetailType": "x", "Detail": "{}"}
    assert events.put_events(Entries=[told])["FailedEntryCount"] == 0
    assert len(sqs.receive_message(QueueUrl=queue).get("Messages", [])) == 1
    for rule in (name, f"{name}-schedule"):
        events.remove_targets(Rule=rule, Ids=["1"])
        events.delete_rule(Name=rule)
