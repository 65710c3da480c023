"""Items are answered as they are.

moto looks for each of the ten members of each attribute's value under five names: a query of 40 items takes 100 ms, in
which nobody else is served. Their values have the wire's form already.
"""

from __future__ import annotations

import base64
from typing import Any


def install() -> None:
    """Puts the mend in place."""
    from moto.core.serialize import BaseJSONSerializer

    serialize = BaseJSONSerializer._serialize_type_structure

    def _serialize_type_structure(self: Any, serialized: Any, value: Any, shape: Any, key: str) -> None:
        if shape.name == "AttributeValue" and key:
            serialized[key] = wire(value)
        else:
            serialize(self, serialized, value, shape, key)

    BaseJSONSerializer._serialize_type_structure = _serialize_type_structure


def wire(value: Any) -> Any:
    """A value as DynamoDB's JSON has it."""
    from moto.dynamodb.models.dynamo_type import DynamoType

    if isinstance(value, DynamoType):
        return {value.type: wire(value.value)}
    if isinstance(value, dict):
        return {key: wire(member) for key, member in value.items()}
    if isinstance(value, list):
        return [wire(member) for member in value]
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return value
