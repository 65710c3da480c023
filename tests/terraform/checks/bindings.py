"""The AWS provider's schema, as far as this project uses it, out of the bindings that npm has of each of its versions.

Where the provider itself can't be had, `@cdktf/provider-aws` tells what it knew: the bindings were generated from its schema, and say of
each argument whether it is required, optional or computed. They say neither which values it takes nor what is deprecated.

    npm pack @cdktf/provider-aws@VERSION && tar xzf cdktf-provider-aws-VERSION.tgz
    python bindings.py package > provider/PROVIDER_VERSION.json

provider/README.md says which are kept, and what they are for.
"""

from __future__ import annotations

import base64
import json
import re
import sys
from pathlib import Path
from typing import Any

from hcl import used_types

ATTRIBUTE = re.compile(r"^\s*// (\w+) - computed: (true|false), optional: (true|false), required: (true|false)$", re.M)
CLASS = re.compile(r"^export class (\w+) extends cdktf\.\w+ \{$", re.M)


def classes(text: str) -> dict[str, str]:
    """The classes of a source, by name."""
    starts = [*CLASS.finditer(text)]
    ends = [it.start() for it in starts[1:]] + [len(text)]
    return {it.group(1): text[it.start() : end] for it, end in zip(starts, ends, strict=True)}


def block_names(text: str, interface: str) -> set[str]:
    """The fields of an interface that are blocks: its comments say so. The others are attributes, even of several fields."""
    found = re.search(rf"^export interface {interface}\b.*?^\}}$", text, re.M | re.S)
    return set(re.findall(r"^\s*\* (\w+) block$", found.group(), re.M)) if found else set()


def schema_of(name: str, interface: str, known: dict[str, str], source: str) -> dict[str, Any]:
    """What a class of the bindings has: attributes by name, the blocks in it, and the fields of attributes that are objects."""
    text = known[name]
    blocks = block_names(source, interface)
    # What a list or map is made of is a class of its own, which this one is built around.
    parts = {tf: made for made, tf in re.findall(r'private _\w+ = new (\w+)\(this, "(\w+)"', text)}
    found: dict[str, Any] = {"attributes": {}, "blocks": {}, "objects": {}}
    for field, computed, optional, required in ATTRIBUTE.findall(text):
        part = re.sub(r"(List|Map)$", "OutputReference", parts.get(field, ""))
        if field in blocks:
            inner = schema_of(part, part.removesuffix("OutputReference"), known, source)
            found["blocks"][field] = {"required": required == "true"} | inner
            continue
        found["attributes"][field] = kind(computed == "true", optional == "true", required == "true")
        if part:
            found["objects"][field] = sorted(name for name, *_ in ATTRIBUTE.findall(known[part]))
    return found


def kind(computed: bool, optional: bool, required: bool) -> str:
    """Who says an attribute's value: `required` and `optional` are the user's, `computed` the provider's, and some are either's."""
    return "required" if required else "optional, computed" if optional and computed else "optional" if optional else "computed"


def read(package: Path, types: list[str]) -> dict[str, Any]:
    """The schemas of these types (`data.aws_region`, `aws_sqs_queue`), and where they are from."""
    about = json.loads((package / "package.json").read_text())
    found = {
        "origin": f"{about['name']} {about['version']} (npm), generated from {about['cdktf']['provider']['name']} {about['cdktf']['provider']['version']}",
        "licence": about["license"],
        "version": about["cdktf"]["provider"]["version"],
        "types": {},
    }
    for it in types:
        folder = it.replace("data.aws_", "data-aws-").removeprefix("aws_").replace("_", "-")
        text = source(package / "lib" / folder / "index.js")
        name = re.search(r"^export class (\w+) extends cdktf\.Terraform(?:Resource|DataSource) ", text, re.M).group(1)
        assert f'tfResourceType = "{it.removeprefix("data.")}"' in text, it
        found["types"][it] = schema_of(name, f"{name}Config", classes(text), text)
    return found


def source(script: Path) -> str:
    """What a script was compiled from, which is in its source map: the compiler has left out most of the comments."""
    encoded = re.search(r"^//# sourceMappingURL=data:application/json;base64,(\S+)", script.read_text(), re.M).group(1)
    return json.loads(base64.b64decode(encoded))["sourcesContent"][0]


def of_terraform(schemas: dict[str, Any], types: list[str]) -> dict[str, Any]:
    """The same out of what `terraform providers schema -json` says."""
    provider = schemas["provider_schemas"]["registry.terraform.io/hashicorp/aws"]

    def body(block: dict[str, Any]) -> dict[str, Any]:
        attributes = {name: kind(*(bool(it.get(word)) for word in ("computed", "optional", "required"))) for name, it in block.get("attributes", {}).items()}
        blocks = {name: {"required": it.get("min_items", 0) > 0} | body(it["block"]) for name, it in block.get("block_types", {}).items()}
        objects = {name: fields(it["type"]) for name, it in block.get("attributes", {}).items() if fields(it["type"])}
        return {"attributes": attributes, "blocks": blocks, "objects": objects}

    def fields(type: Any) -> list[str]:
        """The names in an object, or in a list, set or map of objects."""
        word, inner = type if isinstance(type, list) else (type, None)
        return sorted(inner) if word == "object" else fields(inner) if inner else []

    kinds = {it: provider["data_source_schemas" if it.startswith("data.") else "resource_schemas"] for it in types}
    return {it: body(of_kind[it.removeprefix("data.")]["block"]) for it, of_kind in kinds.items()}


def lean(schema: dict[str, Any]) -> dict[str, Any]:
    """Without what is empty."""
    return {name: {block: lean(inner) for block, inner in it.items()} if name == "blocks" else it for name, it in schema.items() if it not in ({}, False)}


def written(found: dict[str, Any]) -> str:
    """As JSON with a line for each type, so that a difference shows what differs."""
    types = ",\n".join(f"    {json.dumps(name)}: {json.dumps(lean(it), sort_keys=True)}" for name, it in sorted(found["types"].items()))
    head = "".join(f"  {json.dumps(name)}: {json.dumps(found[name])},\n" for name in ("origin", "licence", "version"))
    return f'{{\n{head}  "types": {{\n{types}\n  }}\n}}\n'


if __name__ == "__main__":
    sys.stdout.write(written(read(Path(sys.argv[1]), used_types())))
