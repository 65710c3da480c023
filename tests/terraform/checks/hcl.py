"""As much of Terraform's language as the checks read: blocks by their name, and the type of a variable."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
MODULE = ROOT / "terraform"
# Every file of what we give to others to apply.
FILES = sorted(it for folder in ("terraform", "userdata", "examples") for it in (ROOT / folder).rglob("*.tf") if ".terraform" not in it.parts)


def used_types() -> list[str]:
    """The resources and data sources that any of these files has: `aws_sqs_queue`, `data.aws_region`."""
    found = {(kind, name) for file in FILES for kind, name in re.findall(r'^(resource|data) "(\w+)"', file.read_text(), re.M)}
    return sorted(name if kind == "resource" else f"data.{name}" for kind, name in found)


def block(text: str, beginning: str) -> str:
    """What is between the braces of the first block that begins so."""
    start = text.index(beginning) + len(beginning)
    open_at = text.index("{", start)
    depth, at = 1, open_at + 1
    while depth:
        depth += {"{": 1, "}": -1}.get(text[at], 0)
        at += 1
    return text[open_at + 1 : at - 1]


def code(text: str) -> str:
    """Without comments and texts; what is in a text's ${...} stays."""
    text = re.sub(r"<<-?(\w+)\n.*?\n\s*\1\n", '""\n', text, flags=re.S)
    text = re.sub(r"\$\$\{", "", text)
    out, at = "", 0
    # Whether each open brace began in a text; the last of them is where we are.
    inside: list[bool] = []
    quoted = False
    while at < len(text):
        char = text[at]
        if quoted:
            if char == "\\":
                at += 1
            elif text.startswith("${", at):
                inside.append(True)
                quoted, out, at = False, out + " ", at + 1
            elif char == '"':
                quoted, out = False, out + '"'
        elif char == '"':
            quoted, out = True, out + '"'
        elif char == "#":
            at = text.index("\n", at) - 1
        elif char == "}" and inside and inside.pop():
            quoted, out = True, out + " "
        else:
            if char == "{":
                inside.append(False)
            out += char
        at += 1
    return out


def variables() -> dict[str, str]:
    """Every variable of the module: the text of its block."""
    found: dict[str, str] = {}
    for file in sorted(MODULE.glob("variables*.tf")):
        text = file.read_text()
        for name in re.findall(r'^variable "([a-z_0-9]+)" \{', text, re.M):
            found[name] = block(text, f'variable "{name}" ')
    return found


def type_of(variable: str) -> Any:
    """A variable's type: a dict for an object, [type] for a list or map, its name else."""
    text = re.sub(r"#.*", "", variables()[variable])
    tokens = re.findall(r'"[^"]*"|[\w.-]+|[(){}\[\],=\n]', text[re.search(r"^\s*type\s*=", text, re.M).end() :])
    return _type(tokens)


def _type(tokens: list[str]) -> Any:
    word = tokens.pop(0)
    if word not in ("optional", "object", "map", "list", "set"):
        return word
    _expect(tokens, "(")
    if word == "object":
        _expect(tokens, "{")
        fields: dict[str, Any] = {}
        while (name := _next(tokens)) != "}":
            if name != ",":
                _expect(tokens, "=")
                fields[name] = _type(tokens)
        _expect(tokens, ")")
        return fields
    inner = _type(tokens)
    # What follows in an optional is its default.
    depth = 1
    while depth:
        depth += {"(": 1, ")": -1}.get(tokens.pop(0), 0)
    return inner if word == "optional" else [inner]


def _next(tokens: list[str]) -> str:
    while (token := tokens.pop(0)) == "\n":
        pass
    return token


def _expect(tokens: list[str], wanted: str) -> None:
    found = _next(tokens)
    assert found == wanted, f"{found!r} where {wanted!r} belongs"
