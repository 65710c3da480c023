import json


def test_what_terraform_reads_back(laptop, name):
    sqs = laptop.aws("sqs")

    def attributes():
        return sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])["Attributes"]

    dead = sqs.create_queue(QueueName=f"{name}-dlq")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    redrive = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 5}, separators=(",", ":"))
    queue = sqs.create_queue(QueueName=name, Attributes={"RedrivePolicy": redrive})["QueueUrl"]
    assert attributes()["RedrivePolicy"] == redrive
    assert "RedriveAllowPolicy" not in attributes()

    allow = json.dumps({"redrivePermission": "denyAll"})
    policy = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "sqs:*"}]})
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"RedriveAllowPolicy": allow})
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": policy})
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"VisibilityTimeout": "7"})
    assert attributes()["RedriveAllowPolicy"] == allow
    assert json.loads(attributes()["Policy"])["Statement"] == json.loads(policy)["Statement"]
    assert attributes()["VisibilityTimeout"] == "7"
