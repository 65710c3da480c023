import pytest

import caller


@pytest.mark.parametrize(
    ("access_key", "sender"),
    [
        ("ASIA0123456789ABCDEF0", "AROALAPTOPRUNNERROLE1:i-0123456789abcdef0"),
        ("ASIA0123456789ABCDEF", "AIDALAPTOPCALLER"),
        ("ASIA0123456789ABCDEFG", "AIDALAPTOPCALLER"),
        ("test", "AIDALAPTOPCALLER"),
        ("", "AIDALAPTOPCALLER"),
    ],
)
def test_who_an_access_key_is(access_key, sender):
    assert caller.sender_id(access_key) == sender


def test_a_message_tells_who_sent_it(laptop, name):
    sqs = laptop.aws("sqs")
    queue = sqs.create_queue(QueueName=name)["QueueUrl"]
    runner = laptop.aws("sqs", access_key="ASIA0123456789ABCDEF0")
    runner.send_message(QueueUrl=queue, MessageBody="runner")
    # What the body or another header says does not count.
    sqs.send_message(QueueUrl=queue, MessageBody="Credential=ASIA0123456789ABCDEF0/")
    runner.send_message_batch(QueueUrl=queue, Entries=[{"Id": "1", "MessageBody": "batch"}])
    messages = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, AttributeNames=["SenderId"])["Messages"]
    assert [message["Attributes"]["SenderId"] for message in messages] == [
        "AROALAPTOPRUNNERROLE1:i-0123456789abcdef0",
        "AIDALAPTOPCALLER",
        "AROALAPTOPRUNNERROLE1:i-0123456789abcdef0",
    ]
