"""Whether a role may do something by its policies, as IAM decides it: the part of the language that this module uses.

Anything else in a policy is an error, so that nothing is passed over. How IAM decides:
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

Context = dict[str, str]


def allows(policies: Iterable[dict[str, Any]], action: str, resource: str, **context: str) -> bool:
    """Whether these policies, taken together, allow `action` on `resource`. In `context` `__` stands for ":"."""
    given = {key.replace("__", ":").lower(): value for key, value in context.items()}
    return decide(policies, action, resource, given)


def decide(policies: Iterable[dict[str, Any]], action: str, resource: str, context: Context) -> bool:
    """As `allows`, with the names of the context's keys in lower case."""
    allowed = False
    for policy in policies:
        for statement in policy["Statement"]:
            if applies(statement, action, resource, context):
                if statement["Effect"] == "Deny":
                    return False
                allowed = True
    return allowed


def applies(statement: dict[str, Any], action: str, resource: str, context: Context) -> bool:
    """Whether a statement is about this."""
    unknown = set(statement) - {"Sid", "Effect", "Action", "Resource", "Condition"}
    assert not unknown, f"{sorted(unknown)} can't be evaluated here"
    assert statement["Effect"] in ("Allow", "Deny"), statement["Effect"]
    return (
        any(like(pattern.lower(), action.lower(), {}) for pattern in listed(statement["Action"]))
        and any(like(pattern, resource, context) for pattern in listed(statement["Resource"]))
        and all(
            condition(operator, key, listed(values), context)
            for operator, keys in statement.get("Condition", {}).items()
            for key, values in keys.items()
        )
    )


def condition(operator: str, key: str, wanted: list[str], context: Context) -> bool:
    """Whether a condition holds. One about a key that the request has not does not, whichever the effect."""
    found = context.get(key.lower())
    if operator in ("StringLike", "ArnLike", "ArnEquals"):
        # ArnEquals and ArnLike are the same.
        return found is not None and any(like(value, found, context) for value in wanted)
    if operator in ("StringEquals", "Bool"):
        return found is not None and any(plain(value, context) == found for value in wanted)
    raise AssertionError(f"{operator} can't be evaluated here")


def listed(value: str | list[str]) -> list[str]:
    """One or many, as many."""
    return [value] if isinstance(value, str) else value


def like(pattern: str, text: str, context: Context) -> bool:
    """`*` is any characters, `?` any one, and `${key}` the request's, in which neither means anything."""
    expression = ""
    for part in re.split(r"(\$\{[^}]*\}|[*?])", pattern):
        if part == "*":
            expression += ".*"
        elif part == "?":
            expression += "."
        elif part.startswith("${"):
            value = variable(part, context)
            if value is None:
                return False
            expression += re.escape(value)
        else:
            expression += re.escape(part)
    return re.fullmatch(expression, text, re.S) is not None


def plain(text: str, context: Context) -> str | None:
    """A text with the request's values in it; nothing where the request lacks one."""
    parts = [variable(part, context) if part.startswith("${") else part for part in re.split(r"(\$\{[^}]*\})", text)]
    return None if None in parts else "".join(part for part in parts if part is not None)


def variable(text: str, context: Context) -> str | None:
    """The value of `${key}`."""
    return context.get(text[2:-1].lower())
