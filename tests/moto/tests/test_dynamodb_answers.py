from moto.core.serialize import AttributePicker
from moto import mock_aws
import boto3

import patches
from test_dynamodb_transactions import create, key

VALUES = {
    "text": {"S": "x"},
    "number": {"N": "-1.5"},
    "bytes": {"B": b"\x00\xff"},
    "flag": {"BOOL": False},
    "nothing": {"NULL": True},
    "texts": {"SS": ["a", "b"]},
    "list": {"L": [{"S": "x"}, {"M": {"deep": {"L": []}}}]},
    "map": {"M": {"S": {"S": "a key that is a type's name"}, "empty": {"M": {}}}},
}


def test_every_kind_of_value_is_answered_as_it_was_written(laptop, name):
    db = create(laptop.aws("dynamodb"), name)
    item = key("a", "1") | VALUES
    db.put_item(TableName=name, Item=item)
    query = {"KeyConditionExpression": "pk = :pk", "ExpressionAttributeValues": {":pk": {"S": "a"}}}
    assert db.get_item(TableName=name, Key=key("a", "1"))["Item"] == item
    assert db.query(TableName=name, **query)["Items"] == [item]
    assert db.scan(TableName=name)["Items"] == [item]
    assert db.delete_item(TableName=name, Key=key("a", "1"), ReturnValues="ALL_OLD")["Attributes"] == item


def test_values_are_looked_for_nowhere(name, monkeypatch):
    looked = []
    pick = AttributePicker.__call__
    monkeypatch.setattr(AttributePicker, "__call__", lambda self, context: looked.append(context.key) or pick(self, context))
    patches.install()
    with mock_aws():
        db = create(boto3.client("dynamodb", "eu-west-1", aws_access_key_id="x", aws_secret_access_key="x"), name)
        for number in range(50):
            db.put_item(TableName=name, Item=key("a", str(number)) | VALUES)
        looked.clear()
        assert len(db.scan(TableName=name)["Items"]) == 50
    assert 0 < len(looked) < 50
