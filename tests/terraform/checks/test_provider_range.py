"""Both ends of the range of AWS providers that the module takes know all that it is written in; the tests run with one between.

The schemas are those of provider/README.md: names of arguments, blocks and attributes, and who says their values. Which values an
argument takes, and what the provider does with them, is in none of them.
"""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from bindings import lean, of_terraform, written
from configuration import Block, blocks, references
from hcl import FILES, ROOT, used_types

SCHEMAS = {it.stem: json.loads(it.read_text()) for it in sorted(Path(__file__).parent.glob("provider/*.json"))}
OLDEST, RUN, NEWEST = sorted(SCHEMAS, key=lambda it: [int(number) for number in it.split(".")])
# Of Terraform itself.
META = {"count", "for_each", "provider", "depends_on"}
META_BLOCKS = {"lifecycle", "connection", "provisioner"}
# What 6 warns of, by its upgrade guide and change log (of what any file here could use).
DEPRECATED = {("data.aws_region", "name"), ("aws_s3_bucket", "region"), ("aws_cloudwatch_event_rule", "is_enabled"), ("aws_iam_role", "managed_policy_arns"), ("aws_iam_role", "inline_policy")}


def of_each(names: list[str]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("version", names)


def unknown(block: Block, schema: dict[str, Any], path: str) -> list[str]:
    """What this block says that the schema has not, and what the schema wants that it does not say."""
    attributes, known, objects = (schema.get(part, {}) for part in ("attributes", "blocks", "objects"))
    found = [f"{path}.{name}: {attributes.get(name, 'unknown')}" for name in block.arguments if name not in META and attributes.get(name, "computed") == "computed"]
    inner = [it for it in block.within() if it.kind not in META_BLOCKS]
    for it in inner:
        if it.kind in known:
            found += unknown(it, known[it.kind], f"{path}.{it.kind}")
        elif it.kind in objects:
            # An attribute that may be written as a block.
            found += [f"{path}.{it.kind}.{name}: unknown" for name in it.arguments if name not in objects[it.kind]]
        else:
            found.append(f"{path}.{it.kind}: unknown block")
    said = {*block.arguments, *(it.kind for it in inner)}
    wanted = [name for name, kind in attributes.items() if kind == "required"] + [name for name, it in known.items() if it.get("required")]
    return found + [f"{path}.{name}: required" for name in wanted if name not in said]


def of_text(text: str, schemas: dict[str, Any]) -> list[str]:
    """What of a file a provider with these schemas does not know."""
    found = []
    for block in blocks(text):
        if block.kind in ("resource", "data"):
            kind = block.labels[0] if block.kind == "resource" else f"data.{block.labels[0]}"
            found += unknown(block, schemas[kind], kind) if kind in schemas else [f"{kind}: unknown"]
    for kind, attribute in sorted(references(text)[0]):
        schema = schemas.get(kind, {})
        if attribute not in schema.get("attributes", {}) and attribute not in schema.get("blocks", {}):
            found.append(f"{kind} has no {attribute}")
    return found


@of_each([OLDEST, RUN, NEWEST])
@pytest.mark.parametrize("file", FILES, ids=lambda it: str(it.relative_to(ROOT)))
def test_the_provider_knows_all_of_it(file: Path, version: str) -> None:
    assert of_text(file.read_text(), SCHEMAS[version]["types"]) == []


def test_nothing_is_used_that_the_newest_warns_of() -> None:
    used = {it for file in FILES for it in references(file.read_text())[0]}
    used |= {(block.labels[0], name) for file in FILES for block in blocks(file.read_text()) if block.kind == "resource" for name in (*block.arguments, *(it.kind for it in block.within()))}
    assert used & DEPRECATED == set()


def test_all_is_looked_at() -> None:
    """What is passed over by the reader would be held to nothing."""
    counted = [block for file in FILES for block in blocks(file.read_text()) if block.kind in ("resource", "data")]
    assert len(counted) == sum(len(re.findall(r"^(?:resource|data) ", file.read_text(), re.M)) for file in FILES) > 60
    found = [references(file.read_text()) for file in FILES]
    assert len({it for asked, _ in found for it in asked}) > 40
    # All that is known of these is how many there are, or that they come first.
    whole = [it for _, rest in found for it in rest if not re.search(r"(length\(|depends_on += \[[\w., ]*)aws_\w+\.\w+$", it)]
    assert whole == []


def test_the_range_is_the_one_that_is_said() -> None:
    said = {constraint for file in FILES for constraint in re.findall(r'source\s*= "hashicorp/aws"\s+version = "([^"]*)"', file.read_text())}
    assert said == {f">= {OLDEST.rpartition('.')[0]}, < 7.0"}
    assert NEWEST.startswith("6.")


@of_each([OLDEST, RUN, NEWEST])
def test_what_is_kept_is_of_the_types_that_are_used_and_says_where_it_is_from(version: str) -> None:
    kept = SCHEMAS[version]
    assert sorted(kept["types"]) == used_types()
    assert kept["version"] == version and kept["licence"] == "MPL-2.0" and f"aws {version}" in kept["origin"]
    assert (Path(__file__).parent / f"provider/{version}.json").read_text() == written(kept)
    assert kept["origin"].split(" (")[0] in (Path(__file__).parent / "provider/README.md").read_text()


def test_the_bindings_say_what_the_provider_says(tmp_path: Path) -> None:
    """The one version that is here: its schema, and what was read out of its bindings."""
    (tmp_path / "main.tf").write_text(f'terraform {{\n  required_providers {{\n    aws = {{ source = "hashicorp/aws", version = "{RUN}" }}\n  }}\n}}\n')
    mirror = subprocess.run([ROOT / "scripts/terraform-provider"], capture_output=True, text=True, check=True).stdout.strip()
    for command in (["init", "-input=false", *([f"-plugin-dir={mirror}"] if mirror else [])], ["providers", "schema", "-json"]):
        said = subprocess.run(["terraform", *command], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
        assert said.returncode == 0, said.stderr
    truth = of_terraform(json.loads(said.stdout), used_types())
    assert {name: lean(it) for name, it in truth.items()} == SCHEMAS[RUN]["types"]


SCHEMA = {
    "aws_a": {
        "attributes": {"arn": "computed", "id": "optional, computed", "name": "required", "size": "optional", "rules": "optional"},
        "blocks": {"part": {"required": True, "attributes": {"word": "optional"}}},
        "objects": {"rules": ["port"]},
    },
    "data.aws_b": {"attributes": {"id": "computed"}},
}


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        ('name = "x"\n  part {\n    word = 1 # nor = 1\n  }', []),
        ('name = "x"\n  part {}\n  wrong = 1', ["aws_a.wrong: unknown"]),
        ('name = "x"\n  part {}\n  arn = 1', ["aws_a.arn: computed"]),
        ("size = 1\n  part {}", ["aws_a.name: required"]),
        ('name = "x"', ["aws_a.part: required"]),
        ('name = "x"\n  part {\n    wrong = 1\n  }', ["aws_a.part.wrong: unknown"]),
        ('name = "x"\n  part {}\n  other {}', ["aws_a.other: unknown block"]),
        ('name = "x"\n  dynamic "part" {\n    for_each = []\n    content {\n      wrong = part.value\n    }\n  }', ["aws_a.part.wrong: unknown"]),
        ('name = "x"\n  part {}\n  rules {\n    port = 1\n    wrong = 1\n  }', ["aws_a.rules.wrong: unknown"]),
        ('name = "x ${data.aws_b.y.id}${data.aws_b.y.wrong}"\n  part {}', ["data.aws_b has no wrong"]),
        ("name = [for one in aws_a.x : one.arn if one.wrong]\n  part {}", ["aws_a has no wrong"]),
        ("name = [for k, one in concat(values(aws_a.x), aws_a.y[*]) : { a = one.wrong }]\n  part {}", ["aws_a has no wrong"]),
        ("name = values(aws_a.x)[*].wrong\n  part {}", ["aws_a has no wrong"]),
        ('name = aws_a.x["a"].wrong\n  part {}', ["aws_a has no wrong"]),
        ("name = one(aws_a.x[*].wrong)\n  part {}", ["aws_a has no wrong"]),
        ("name = [for one in aws_c.x : one.id]\n  part {}", ["aws_c has no id"]),
    ],
)
def test_what_a_provider_does_not_know_is_found(body: str, wanted: list[str]) -> None:
    assert of_text(f'resource "aws_a" "x" {{\n  {body}\n}}\n', SCHEMA) == wanted


def test_a_type_that_a_provider_does_not_know_is_found() -> None:
    assert of_text('data "aws_a" "x" {\n}\n', SCHEMA) == ["data.aws_a: unknown"]
