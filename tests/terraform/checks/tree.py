"""What documents may name of this tree: inputs of the module with their fields, outputs, and what the image's build takes."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from hcl import MODULE, ROOT, type_of, variables


def spans(text: str) -> list[str]:
    """What a document says in backticks, within sentences and tables; not its blocks of code."""
    return re.findall(r"`([^`\n]+)`", re.sub(r"^ *```.*?^ *```$", "", text, flags=re.M | re.S))


@cache
def _kind(name: str) -> Any:
    return type_of(name) if name in variables() else None


def is_input(path: str) -> bool:
    """Whether the module has this input; `fleets.pool.kind` is the field `kind` of `pool` of an entry of `fleets`."""
    name, *fields = path.split(".")
    kind = _kind(name)
    if kind is None:
        return False
    for field in fields:
        while isinstance(kind, list):
            kind = kind[0]
        if not isinstance(kind, dict) or field not in kind:
            return False
        kind = kind[field]
    return True


def outputs() -> set[str]:
    """Names of the module's outputs."""
    return set(re.findall(r'^output "(\w+)"', (MODULE / "outputs.tf").read_text(), re.M))


def variables_of(path: str) -> set[str]:
    """Names of what a file of Terraform's or Packer's declares as variables."""
    return set(re.findall(r'^variable "(\w+)"', (ROOT / path).read_text(), re.M))


def is_there(named: str) -> bool:
    """Whether there is an input by this name: of the module, or, as `packer/…`, of the image's build."""
    if named.startswith("packer/"):
        return named.removeprefix("packer/") in variables_of("packer/variables.pkr.hcl")
    return is_input(named)
