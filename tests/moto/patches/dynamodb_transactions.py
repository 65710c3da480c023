"""A transaction keeps aside only what it touches.

moto copies the whole table, deeply, for each item of a TransactWriteItems, to be able to undo it: 25 items in a table
of 1,000 take a second. Here the copy for undoing holds the items that the transaction names and shares all others.
Streams are not undone.
"""

from __future__ import annotations

import collections
import contextvars
import copy
from typing import Any

# Table name -> keys of the transaction at hand, and the copies made for it by table name.
_undo: contextvars.ContextVar[tuple[dict[str, list[dict[str, Any]]], dict[str, Any]] | None] = contextvars.ContextVar(
    "undo", default=None
)


def install() -> None:
    """Puts the mend in place."""
    from moto.dynamodb.models import DynamoDBBackend
    from moto.dynamodb.models.table import Table

    transact = DynamoDBBackend.transact_write_items

    def transact_write_items(self: Any, transact_items: list[dict[str, Any]]) -> None:
        keys: dict[str, list[dict[str, Any]]] = collections.defaultdict(list)
        for item in transact_items:
            for operation in item.values():
                keys[operation.get("TableName")].append(operation.get("Key") or operation.get("Item") or {})
        token = _undo.set((keys, {}))
        try:
            transact(self, transact_items)
        finally:
            _undo.reset(token)

    def __deepcopy__(self: Any, memo: dict[int, Any]) -> Any:
        undo = _undo.get()
        if undo is None:
            return _whole(self, memo)
        keys, copies = undo
        if self.name not in copies:
            copies[self.name] = _with_own(self, keys[self.name])
        return copies[self.name]

    DynamoDBBackend.transact_write_items = transact_write_items
    Table.__deepcopy__ = __deepcopy__


def _whole(table: Any, memo: dict[int, Any]) -> Any:
    """What deepcopy does without a `__deepcopy__`."""
    made = table.__class__.__new__(table.__class__)
    memo[id(table)] = made
    made.__dict__.update(copy.deepcopy(table.__dict__, memo))
    return made


def _with_own(table: Any, keys: list[dict[str, Any]]) -> Any:
    """A copy of the table that has its own copy of the items under `keys`."""
    from moto.dynamodb.models.dynamo_type import DynamoType

    made = copy.copy(table)
    made.items = copy.copy(table.items)
    own: set[Any] = set()
    for key in keys:
        if table.hash_key_attr not in key:
            continue
        hashed = DynamoType(key[table.hash_key_attr])
        if hashed not in table.items:
            continue
        if not table.has_range_key:
            made.items[hashed] = copy.deepcopy(table.items[hashed])
            continue
        if hashed not in own:
            own.add(hashed)
            made.items[hashed] = dict(table.items[hashed])
        if table.range_key_attr in key:
            ranged = DynamoType(key[table.range_key_attr])
            if ranged in table.items[hashed]:
                made.items[hashed][ranged] = copy.deepcopy(table.items[hashed][ranged])
    return made
