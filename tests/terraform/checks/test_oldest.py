"""What the module is written in is there in Terraform 1.6, the oldest that it says it takes; the tests run with a newer one.

What came when: https://github.com/hashicorp/terraform/blob/v1.11/CHANGELOG.md and the change logs of the versions before.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hcl import FILES, ROOT, block, code

TEMPLATES = sorted((ROOT / "userdata").glob("*.tftpl"))

# Every function of Terraform 1.6. Later ones: templatestring, issensitive, ephemeralasnull, provider::...
FUNCTIONS = set(
    """abs abspath alltrue anytrue base64decode base64encode base64gzip base64sha256 base64sha512 basename bcrypt can ceil chomp chunklist
    cidrhost cidrnetmask cidrsubnet cidrsubnets coalesce coalescelist compact concat contains csvdecode dirname distinct element endswith
    file filebase64 filebase64sha256 filebase64sha512 fileexists filemd5 fileset filesha1 filesha256 filesha512 flatten floor format
    formatdate formatlist indent index join jsondecode jsonencode keys length log lookup lower matchkeys max md5 merge min nonsensitive
    one parseint pathexpand plantimestamp pow range regex regexall replace reverse rsadecrypt sensitive setintersection setproduct
    setsubtract setunion sha1 sha256 sha512 signum slice sort split startswith strcontains strrev substr sum templatefile
    textdecodebase64 textencodebase64 timeadd timecmp timestamp title tobool tolist tomap tonumber toset tostring transpose trim
    trimprefix trimspace trimsuffix try upper urlencode uuid uuidv5 values yamldecode yamlencode zipmap""".split()
)
TYPES = {"any", "list", "map", "object", "optional", "set", "tuple"}
# Later ones: removed (1.7), ephemeral (1.10), action (1.14).
BLOCKS = {"check", "data", "import", "locals", "module", "moved", "output", "provider", "resource", "terraform", "variable"}
# Arguments of blocks that came later, by the version that knows them first.
ARGUMENTS = {r"^\s*ephemeral\s*=\s*(true|false)\b": "1.10", r"^\s*\w+_wo(_version)?\s*=": "1.11", r"^\s*deprecated\s*=": "1.15"}


def newer(text: str) -> list[str]:
    """What of this a Terraform 1.6 does not know."""
    bare = code(text)
    found = [f"{name}()" for name in re.findall(r"\b([a-z_][a-z0-9_]*(?:::\w+)*)\(", bare) if name not in FUNCTIONS | TYPES | {"in"}]
    found += [f"block {name}" for name in re.findall(r"^([a-z_]+)\b[^=\n]*\{", bare, re.M) if name not in BLOCKS]
    found += [f"{line.strip()} ({version})" for pattern, version in ARGUMENTS.items() for line in bare.splitlines() if re.search(pattern, line)]
    # for_each of an import is of 1.7.
    found += ["import with for_each" for it in re.findall(r"^import \{.*?^\}", bare, re.M | re.S) if "for_each" in it]
    return found


def redundant(text: str, sensitive: set[str]) -> list[str]:
    """Calls of nonsensitive() that Terraform before 1.7 refuses, since what they are given is no secret."""
    bare = code(text)
    calls = [block(bare[it.start() :].replace("(", "{").replace(")", "}"), "nonsensitive") for it in re.finditer(r"\bnonsensitive\(", bare)]
    return [call for call in calls if not set(re.findall(r"\bvar\.(\w+)", call)) & sensitive]


def variables_of(folder: Path) -> dict[str, str]:
    """Every variable of a module: the text of its block, without comments and texts."""
    found: dict[str, str] = {}
    for file in sorted(folder.glob("*.tf")):
        bare = re.sub(r'^variable "(\w+)"', r"variable \1", file.read_text(), flags=re.M)
        bare = code(bare)
        for name in re.findall(r"^variable (\w+) \{", bare, re.M):
            found[name] = block(bare, f"variable {name} ")
    return found


MODULES = sorted({file.parent for file in FILES})


@pytest.mark.parametrize("file", [*FILES, *TEMPLATES], ids=lambda it: str(it.relative_to(ROOT)))
def test_terraform_1_6_knows_all_of_it(file: Path) -> None:
    text = file.read_text()
    if file in TEMPLATES:
        # Only what it puts in is Terraform's.
        text = "x = [" + ", ".join(re.findall(r"[$%]\{[~ ]*(?:if )?(.*?)[~ ]*\}", text)) + "]\n"
        text = re.sub(r"\bendif\b", "null", text)
    assert newer(text) == []


@pytest.mark.parametrize("folder", MODULES, ids=lambda it: str(it.relative_to(ROOT)))
def test_it_says_that_it_takes_1_6(folder: Path) -> None:
    said = re.findall(r'required_version\s*=\s*"([^"]*)"', "".join(file.read_text() for file in folder.glob("*.tf")))
    # What only renders the cases of a test says nothing.
    assert said in ([">= 1.6"], []) and (said or folder.name == "golden")


@pytest.mark.parametrize("folder", MODULES, ids=lambda it: str(it.relative_to(ROOT)))
def test_a_validation_looks_at_its_own_variable_alone(folder: Path) -> None:
    """Terraform before 1.9 refuses the whole module else."""
    for name, text in variables_of(folder).items():
        assert set(re.findall(r"\bvar\.(\w+)", text)) <= {name}
        rules = text.split("validation {", 1)
        assert len(rules) == 1 or not re.search(r"\b(local|data|module|aws_\w+)\.", rules[1]), name


@pytest.mark.parametrize("folder", MODULES, ids=lambda it: str(it.relative_to(ROOT)))
def test_what_is_made_no_secret_is_one(folder: Path) -> None:
    secrets = {name for name, text in variables_of(folder).items() if re.search(r"^\s*sensitive\s*=\s*true", text, re.M)}
    for file in folder.glob("*.tf"):
        assert redundant(file.read_text(), secrets) == [], file


def test_what_is_newer_is_found() -> None:
    assert newer('x = templatestring("a", {})\n') == ["templatestring()"]
    assert newer('x = provider::aws::arn_parse("a")\n') == ["provider::aws::arn_parse()"]
    assert newer('x = "a ${issensitive(var.a)} b"\n') == ["issensitive()"]
    assert newer("removed {\n  from = a.b\n}\n") == ["block removed"]
    assert newer('ephemeral "a" "b" {\n}\n') == ["block ephemeral"]
    assert newer('variable "a" {\n  ephemeral = true\n}\n') == ["ephemeral = true (1.10)"]
    assert newer('resource "a" "b" {\n  value_wo = "c"\n}\n') == ['value_wo = "" (1.11)']
    assert newer("import {\n  for_each = []\n}\n") == ["import with for_each"]
    assert newer('# templatestring(a)\nx = "issensitive(a) $${templatestring(b)}"\n') == []
    assert redundant("x = nonsensitive(var.a.b)\ny = nonsensitive(max(var.c, 1))\n", {"a"}) == ["max{var.c, 1}"]
