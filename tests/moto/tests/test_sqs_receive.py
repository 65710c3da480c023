import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest


@pytest.fixture
def sqs(laptop):
    return laptop.aws("sqs")


def receive(sqs, queue, **more):
    fields = {"QueueUrl": queue, "MaxNumberOfMessages": 10, "AttributeNames": ["All"]} | more
    return sqs.receive_message(**fields).get("Messages", [])


def test_a_long_poll_ends_when_a_message_comes(sqs, name):
    queue = sqs.create_queue(QueueName=name)["QueueUrl"]
    waiting = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        def poll():
            waiting.set()
            began = time.monotonic()
            return receive(sqs, queue, WaitTimeSeconds=20), time.monotonic() - began
        answer = pool.submit(poll)
        waiting.wait()
        sqs.send_message(QueueUrl=queue, MessageBody="x")
        messages, took = answer.result(30)
    assert [message["Body"] for message in messages] == ["x"]
    assert took < 15


def test_a_long_poll_on_an_empty_queue_takes_its_time_and_holds_up_nobody(laptop, sqs, name):
    queue = sqs.create_queue(QueueName=name)["QueueUrl"]
    began = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        polls = [pool.submit(receive, sqs, queue, WaitTimeSeconds=10) for _ in range(8)]
        laptop.aws("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])
        assert not any(poll.done() for poll in polls)
        assert [poll.result() for poll in polls] == [[]] * 8
    assert time.monotonic() - began > 9


def test_a_message_comes_back_by_its_timeout_or_when_given_back(sqs, name):
    queue = sqs.create_queue(QueueName=name, Attributes={"VisibilityTimeout": "1"})["QueueUrl"]
    sqs.send_message(QueueUrl=queue, MessageBody="x")
    began = time.monotonic()
    (first,) = receive(sqs, queue)
    (second,) = receive(sqs, queue, WaitTimeSeconds=5)
    assert time.monotonic() - began > 0.9
    assert second["Attributes"]["ApproximateReceiveCount"] == "2"
    (hidden,) = receive(sqs, queue, WaitTimeSeconds=5, VisibilityTimeout=30)
    sqs.change_message_visibility(QueueUrl=queue, ReceiptHandle=hidden["ReceiptHandle"], VisibilityTimeout=0)
    (third,) = receive(sqs, queue, WaitTimeSeconds=5)
    assert third["MessageId"] == first["MessageId"]
    sqs.delete_message(QueueUrl=queue, ReceiptHandle=third["ReceiptHandle"])
    assert receive(sqs, queue, WaitTimeSeconds=2) == []


def test_a_message_received_too_often_goes_to_the_dead_letter_queue(sqs, name):
    dead = sqs.create_queue(QueueName=f"{name}-dlq")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    redrive = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 2})
    queue = sqs.create_queue(QueueName=name, Attributes={"RedrivePolicy": redrive})["QueueUrl"]
    sqs.send_message(QueueUrl=queue, MessageBody="x")
    for _ in range(2):
        assert len(receive(sqs, queue, VisibilityTimeout=0, WaitTimeSeconds=2)) == 1
    assert receive(sqs, queue, WaitTimeSeconds=1) == []
    assert [message["Body"] for message in receive(sqs, dead)] == ["x"]


def test_a_delayed_message_comes_late(sqs, name):
    queue = sqs.create_queue(QueueName=name)["QueueUrl"]
    began = time.monotonic()
    sqs.send_message(QueueUrl=queue, MessageBody="x", DelaySeconds=1)
    assert len(receive(sqs, queue, WaitTimeSeconds=5)) == 1
    assert time.monotonic() - began > 0.9


def test_message_attributes_are_kept_for_the_next_receive(sqs, name):
    queue = sqs.create_queue(QueueName=name)["QueueUrl"]
    attributes = {"a": {"DataType": "String", "StringValue": "1"}}
    sqs.send_message(QueueUrl=queue, MessageBody="x", MessageAttributes=attributes)
    (first,) = receive(sqs, queue, VisibilityTimeout=0)
    assert "MessageAttributes" not in first
    (second,) = receive(sqs, queue, WaitTimeSeconds=2, MessageAttributeNames=["All"])
    assert second["MessageAttributes"]["a"]["StringValue"] == "1"


def test_a_fifo_queue_gives_a_group_in_order_and_takes_no_double(sqs, name):
    queue = sqs.create_queue(QueueName=f"{name}.fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]
    for body, double in (("1", "a"), ("2", "b"), ("2 again", "b")):
        sqs.send_message(QueueUrl=queue, MessageBody=body, MessageGroupId="g", MessageDeduplicationId=double)
    (first,) = receive(sqs, queue, MaxNumberOfMessages=1)
    assert first["Body"] == "1"
    assert receive(sqs, queue) == []
    sqs.delete_message(QueueUrl=queue, ReceiptHandle=first["ReceiptHandle"])
    assert [message["Body"] for message in receive(sqs, queue)] == ["2"]


def test_fifty_clients_lose_and_double_nothing(laptop, name):
    sqs = laptop.aws("sqs")
    queue = sqs.create_queue(QueueName=name, Attributes={"VisibilityTimeout": "60"})["QueueUrl"]
    wanted = {f"{sender}-{each}" for sender in range(25) for each in range(8)}
    seen, done, lock = [], threading.Event(), threading.Lock()

    def send(sender):
        for each in range(8):
            sqs.send_message(QueueUrl=queue, MessageBody=f"{sender}-{each}")

    def take(_):
        while not done.is_set():
            for message in receive(sqs, queue, WaitTimeSeconds=1, MaxNumberOfMessages=3):
                sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
                with lock:
                    seen.append(message["Body"])
                    if len(seen) >= len(wanted):
                        done.set()

    with ThreadPoolExecutor(50) as pool:
        takers = [pool.submit(take, each) for each in range(25)]
        for sender in [pool.submit(send, each) for each in range(25)]:
            sender.result()
        assert done.wait(60), f"{len(seen)} of {len(wanted)} came"
        for taker in takers:
            taker.result()
    assert sorted(seen) == sorted(wanted)
    left = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])["Attributes"]
    assert left["ApproximateNumberOfMessages"] == left["ApproximateNumberOfMessagesNotVisible"] == "0"
