"""Whom it serves, and that it serves nothing else: through the server, as the provider's SDK asks."""

import io
import json
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import again
import pytest

TERRAFORM = "APN/1.0 HashiCorp/1.0 Terraform/1.11.4 (+https://www.terraform.io) terraform-provider-aws/5.100.0"
KEY = {"AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}], "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}]}


def ask(laptop, operation, body, attempt, by=TERRAFORM, call="b2ea9a67"):
    """One attempt at a call of DynamoDB: its status and its answer."""
    headers = {
        "Authorization": "AWS4-HMAC-SHA256 Credential=test/20261122/eu-west-1/dynamodb/aws4_request, SignedHeaders=host, Signature=0",
        "Content-Type": "application/x-amz-json-1.0",
        "X-Amz-Target": f"DynamoDB_20120810.{operation}",
        "User-Agent": by,
        "amz-sdk-invocation-id": call,
        "amz-sdk-request": f"attempt={attempt}; max=25",
    }
    try:
        with urllib.request.urlopen(urllib.request.Request(laptop.url, json.dumps(body).encode(), headers)) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


@pytest.fixture
def table(laptop, name):
    """A table that is there."""
    status, _ = ask(laptop, "CreateTable", {"TableName": name, "BillingMode": "PAY_PER_REQUEST", **KEY}, 1, call=f"{name}-create")
    assert status == 200
    return {"TableName": name}


def test_terraform_has_a_lost_answer_again(laptop, table, name):
    first = ask(laptop, "DeleteTable", table, 1, call=name)
    assert first[0] == 200
    before = laptop.ask("again")[1]["times"]
    laptop.ask("calls/reset", {})
    assert ask(laptop, "DeleteTable", table, 2, call=name) == first
    assert ask(laptop, "DeleteTable", table, 3, call=name) == first
    assert "dynamodb.DeleteTable" not in laptop.ask("calls")[1]
    assert laptop.ask("again") == (200, {"times": before + 2})


def test_what_is_still_being_served_is_waited_for(laptop, table, name):
    laptop.ask("delay", {"operation": "dynamodb.DeleteTable", "millis": 500})
    try:
        with ThreadPoolExecutor(2) as pool:
            laptop.ask("calls/reset", {})
            first = pool.submit(ask, laptop, "DeleteTable", table, 1, call=name)
            # It is counted before it is delayed.
            limit = time.monotonic() + 10
            while "dynamodb.DeleteTable" not in laptop.ask("calls")[1]:
                assert time.monotonic() < limit
            second = pool.submit(ask, laptop, "DeleteTable", table, 2, call=name)
            assert first.result()[0] == 200
            assert second.result() == first.result()
    finally:
        laptop.ask("delay", {"operation": "dynamodb.DeleteTable", "millis": 0})


@pytest.mark.parametrize(
    "other",
    [{"by": "aws-sdk-rust/1.3.9 os/linux lang/rust/1.90.0"}, {"call": "another"}, {"attempt": 1}],
    ids=["not Terraform", "another call", "a first attempt"],
)
def test_everything_else_is_asked_of_moto(laptop, table, name, other):
    assert ask(laptop, "DeleteTable", table, 1, call=name)[0] == 200
    status, told = ask(laptop, "DeleteTable", table, **{"attempt": 2, "call": name, **other})
    assert status == 400
    assert told["__type"].endswith("ResourceNotFoundException")


def test_what_was_refused_is_asked_of_moto_again(laptop, name):
    table = {"TableName": name}
    assert ask(laptop, "DescribeTable", table, 1, call=name)[0] == 400
    assert ask(laptop, "CreateTable", {**table, "BillingMode": "PAY_PER_REQUEST", **KEY}, 1, call=f"{name}-create")[0] == 200
    assert ask(laptop, "DescribeTable", table, 2, call=name)[0] == 200
    # Nor is anything else that has come by the same id.
    assert "TableDescription" not in ask(laptop, "DescribeTable", table, 2, call=f"{name}-create")[1]


def attempt(number, call):
    """A request of the provider."""
    return {
        "HTTP_USER_AGENT": TERRAFORM,
        "HTTP_AMZ_SDK_INVOCATION_ID": call,
        "HTTP_AMZ_SDK_REQUEST": f"attempt={number}; max=25",
        "HTTP_X_AMZ_TARGET": "DynamoDB_20120810.DeleteTable",
        "REQUEST_METHOD": "POST",
    }


def test_it_is_told_and_only_the_latest_are_kept():
    told, clock, served = io.StringIO(), iter(range(10**6)), []
    lost = again.Again(lambda: next(clock) / 1000, told)

    def app(environ, start_response):
        served.append(environ["HTTP_AMZ_SDK_INVOCATION_ID"])
        start_response("200 OK", [("a", "b")])
        return [b"answer"]

    def serve(number, call):
        begun = []
        body = lost.serve(attempt(number, call), lambda status, headers, exc_info=None: begun.append((status, headers)), app)
        return begun, body

    calls = [f"call {number}" for number in range(again.KEPT + 1)]
    assert all(serve(1, call) == ([("200 OK", [("a", "b")])], [b"answer"]) for call in calls)
    assert served == calls
    assert serve(2, calls[-1]) == ([("200 OK", [("a", "b")])], [b"answer"])
    assert served == calls
    assert told.getvalue() == "DynamoDB_20120810.DeleteTable: Terraform asks again for what was answered 1 ms ago; answered as then\n"
    serve(2, calls[0])
    assert served == [*calls, calls[0]]
