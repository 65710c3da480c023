"""The module's variables: they say everything that the fleets document can."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from hcl import ROOT, type_of, variables

SCHEMA = json.loads((ROOT / "control/fleets.schema.json").read_text())

# What the module itself writes, and what it has in another place or shape.
OWN = {".name", ".launch.template_id", ".launch.template_version"}

# What Terraform's users know by another name.
RENAMED = {".subnets": ".subnet_ids"}


def paths(node: dict[str, Any], path: str = "") -> Iterator[str]:
    """Every field that the schema has, as a path."""
    if "$ref" in node:
        node = SCHEMA["$defs"][node["$ref"].rsplit("/", 1)[-1]]
    for name, field in node.get("properties", {}).items():
        yield f"{path}.{name}"
        yield from paths(field, f"{path}.{name}")
    if "items" in node:
        yield from paths(node["items"], f"{path}[]")


def fields(kind: Any, path: str = "") -> Iterator[str]:
    """Every field of a variable's type, as a path."""
    if isinstance(kind, dict):
        for name, inner in kind.items():
            yield f"{path}.{name}"
            yield from fields(inner, f"{path}.{name}")
    elif isinstance(kind, list):
        yield from fields(kind[0], f"{path}[]")


def test_a_fleet_can_be_said_to_the_last_field() -> None:
    wanted = {path.replace(".launch.", ".", 1) for path in paths(SCHEMA["$defs"]["fleet"]) if path not in OWN | {".launch"}}
    said = set(fields(type_of("fleets")[0]))
    assert len(wanted) > 50
    assert {RENAMED.get(path, path) for path in wanted} - said == set()


def test_the_document_around_the_fleets_can_be_said() -> None:
    assert set(SCHEMA["properties"]) - {"$schema", "version"} - set(variables()) == set()


def test_every_variable_has_a_type_and_a_description() -> None:
    for name, text in variables().items():
        assert re.search(r"^  type\s*=", text, re.M), name
        assert re.search(r"^  description\s*=", text, re.M), name
        assert not re.search(r"\bany\b", re.search(r"^  type\s*=.*?(?=^  \w)", text + "\n  end", re.M | re.S).group()), name


def test_null_is_no_value_of_a_variable_unless_it_is_its_default() -> None:
    """Else validations and expressions are given it, and the error is a function's. Where there is a default, null stands for that."""
    for name, text in variables().items():
        assert bool(re.search(r"^  nullable\s*= false$", text, re.M)) != bool(re.search(r"^  default\s*= null$", text, re.M)), name


def test_every_variable_and_output_is_in_the_docs() -> None:
    page = (ROOT / "docs/terraform.md").read_text()
    outputs = re.findall(r'^output "(\w+)"', (ROOT / "terraform/outputs.tf").read_text(), re.M)
    assert {name for name in [*variables(), *outputs] if f"`{name}`" not in page} == set()
