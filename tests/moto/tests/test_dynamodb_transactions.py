import copy
from concurrent.futures import ThreadPoolExecutor

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws
from moto.dynamodb.models.dynamo_type import Item

import patches


@pytest.fixture
def table(laptop, name):
    return create(laptop.aws("dynamodb"), name)


def create(db, name):
    keys = [{"AttributeName": key, "KeyType": kind} for key, kind in (("pk", "HASH"), ("sk", "RANGE"))]
    types = [{"AttributeName": key, "AttributeType": "S"} for key in ("pk", "sk")]
    db.create_table(TableName=name, KeySchema=keys, AttributeDefinitions=types, BillingMode="PAY_PER_REQUEST")
    return db


def key(pk, sk):
    return {"pk": {"S": pk}, "sk": {"S": sk}}


def rows(db, name, pk):
    answer = db.query(
        TableName=name,
        KeyConditionExpression="pk = :pk",
        ExpressionAttributeValues={":pk": {"S": pk}},
        ConsistentRead=True,
    )
    return {item["sk"]["S"]: item.get("v", {}).get("N") for item in answer["Items"]}


def test_a_cancelled_transaction_leaves_all_as_it_was(table, name):
    for sk in ("kept", "changed", "deleted", "there"):
        table.put_item(TableName=name, Item=key("a", sk) | {"v": {"N": "1"}})
    before = rows(table, name, "a")
    with pytest.raises(ClientError) as error:
        table.transact_write_items(
            TransactItems=[
                {"Update": {"TableName": name, "Key": key("a", "changed"), "UpdateExpression": "SET v = :v", "ExpressionAttributeValues": {":v": {"N": "2"}}}},
                {"Delete": {"TableName": name, "Key": key("a", "deleted")}},
                {"Put": {"TableName": name, "Item": key("a", "new")}},
                {"Put": {"TableName": name, "Item": key("b", "new")}},
                {"Put": {"TableName": name, "Item": key("a", "there"), "ConditionExpression": "attribute_not_exists(pk)"}},
            ]
        )
    codes = [reason["Code"] for reason in error.value.response["CancellationReasons"]]
    assert codes == ["None", "None", "None", "None", "ConditionalCheckFailed"]
    assert rows(table, name, "a") == before
    assert rows(table, name, "b") == {}
    # And the table still takes writes.
    table.put_item(TableName=name, Item=key("b", "later"))
    assert rows(table, name, "b") == {"later": None}


def test_one_of_twenty_writers_wins(table, name):
    table.put_item(TableName=name, Item=key("f", "meta") | {"v": {"N": "0"}})

    def claim(writer):
        update = {
            "TableName": name,
            "Key": key("f", "meta"),
            "UpdateExpression": "SET v = :one",
            "ConditionExpression": "v = :none",
            "ExpressionAttributeValues": {":one": {"N": "1"}, ":none": {"N": "0"}},
        }
        try:
            table.transact_write_items(
                TransactItems=[{"Update": update}, {"Put": {"TableName": name, "Item": key("f", f"writer-{writer}")}}]
            )
            return True
        except ClientError as error:
            assert error.response["Error"]["Code"] == "TransactionCanceledException"
            return False

    with ThreadPoolExecutor(20) as pool:
        assert sum(pool.map(claim, range(20))) == 1
    assert len(rows(table, name, "f")) == 2


def test_a_transaction_copies_the_items_that_it_names_and_no_other(monkeypatch, name):
    """In this process, where copies can be counted: how long they take depends on the machine."""
    patches.install()
    copied = []

    def count(item, _):
        copied.append(item.attrs["sk"].value)
        return copy.copy(item)

    monkeypatch.setattr(Item, "__deepcopy__", count, raising=False)
    with mock_aws():
        db = create(boto3.client("dynamodb", "eu-west-1", aws_access_key_id="test", aws_secret_access_key="test"), name)
        for sk in range(40):
            db.put_item(TableName=name, Item=key("full", str(sk)))
        copied.clear()
        deletes = [{"Delete": {"TableName": name, "Key": key("full", sk)}} for sk in ("3", "5")]
        db.transact_write_items(TransactItems=[*deletes, {"Put": {"TableName": name, "Item": key("full", "new")}}])
    assert sorted(copied) == ["3", "5"]
