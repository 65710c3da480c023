"""Terraform's files as blocks with arguments, and what their expressions ask of resources."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from hcl import code


@dataclass
class Block:
    """A block: what it is, its labels, its arguments as they are written (without comments and texts), and the blocks in it."""

    kind: str
    labels: list[str]
    arguments: dict[str, str] = field(default_factory=dict)
    blocks: list[Block] = field(default_factory=list)

    def within(self) -> Iterator[Block]:
        """The blocks in it, those of `dynamic` by their own name, with what is in their `content`."""
        for it in self.blocks:
            if it.kind == "dynamic":
                content = next(inner for inner in it.blocks if inner.kind == "content")
                yield Block(it.labels[0], [], content.arguments, content.blocks)
            else:
                yield it


def bare(text: str) -> str:
    """Without comments and texts; labels are words."""
    return code(re.sub(r'^( *\w+)((?: "[^"\n]+")+) (?=\{)', lambda it: f"{it.group(1)}{it.group(2).replace(chr(34), '')} ", text, flags=re.M))


def blocks(text: str) -> list[Block]:
    """The blocks of a file."""
    file = Block("file", [])
    _body(bare(text), 0, file)
    return file.blocks


def _body(text: str, at: int, into: Block) -> int:
    """Reads what is in a block up to its brace, and says where it is over."""
    while found := re.compile(r"\s*(?:(\w+)\s*=(?!=)|(\w+)((?:[ ]+[\w-]+)*)\s*\{)").match(text, at):
        name, kind, labels = found.groups()
        if name:
            at = _end(text, found.end())
            into.arguments[name] = text[found.end() : at].strip()
        else:
            inner = Block(kind, labels.split())
            at = _body(text, found.end(), inner) + 1
            into.blocks.append(inner)
    rest = re.compile(r"\s*").match(text, at).end()
    assert text[rest : rest + 1] in ("", "}"), text[rest : rest + 80]
    return rest


def _end(text: str, at: int, until: str = "\n") -> int:
    """Where an expression ends: at a sign outside of all brackets, or with the bracket that it is in."""
    depth = 0
    while at < len(text):
        if depth == 0 and (text[at] in until or text[at] in ")]}"):
            return at
        depth += {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}.get(text[at], 0)
        at += 1
    return at


RESOURCE = re.compile(r"(?<![\w.])((?:data\.)?aws_\w+)\.\w+")


def references(text: str) -> tuple[set[tuple[str, str]], list[str]]:
    """The attributes of resources and data sources that a file asks for; and where it speaks of a whole resource."""
    text = bare(text)
    asked: set[tuple[str, str]] = set()
    whole: list[str] = []
    loops = [(it.start(), it.group(1), it.end()) for it in re.finditer(r"\bfor\s+(?:\w+\s*,\s*)?(\w+)\s+in\b", text)]
    for it in RESOURCE.finditer(text):
        at = it.end()
        while text[at] == "[" or text[at : at + 2] == ")[":
            at = _end(text, text.index("[", at) + 1) + 1
        if attribute := re.compile(r"\.([a-z]\w*)").match(text, at):
            asked.add((it.group(1), attribute.group(1)))
            continue
        # `for each in all of them : each.attribute`: the name stands for one of them up to the bracket that the loop is in.
        around = [(name, _end(text, end, ":")) for start, name, end in loops if start < it.start() < _end(text, end, ":")]
        # Of loops within loops the innermost.
        for name, colon in around[-1:]:
            asked |= {(it.group(1), attribute) for attribute in re.findall(rf"(?<![\w.]){name}\.(\w+)", text[colon : _end(text, colon + 1, "")])}
        if not around:
            whole.append(text[text.rindex("\n", 0, it.start()) + 1 : it.end()].strip())
    return asked, whole
