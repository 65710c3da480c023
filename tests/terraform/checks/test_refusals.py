"""What a newcomer leaves out, or has null from elsewhere, is told by one error that names the field: not by a function's that was given null.

`terraform test` takes any error for a variable's refusal where it says expect_failures, so this reads what is said.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from hcl import ROOT, variables

GOOD = {
    "environment": '"main"',
    "vpc_id": '"vpc-0123456789abcdef0"',
    "subnet_ids": '["subnet-0123456789abcdef0"]',
    "control_zip": '"tests/control.zip"',
    "github": '{ app_id = "1", app_key = "-----BEGIN RSA PRIVATE KEY-----", webhook_secret = "0123456789abcdef" }',
    "fleets": '{ a = { labels = ["a"], max = 1, image_id = "ami-0123456789abcdef0", instance_types = ["c7i.large"] } }',
}
KEY = '"-----BEGIN RSA PRIVATE KEY-----"'
SECRET = '"0123456789abcdef"'

# By name: the variable, what it is, and how the one error begins.
WRONG = {
    "secret": ("github", f'{{ app_id = "1", app_key = {KEY}, webhook_secret = null }}', "github.webhook_secret is null"),
    "secret-empty": ("github", f'{{ app_id = "1", app_key = {KEY}, webhook_secret = "" }}', "github.webhook_secret and old_webhook_secret have at least 16"),
    "key": ("github", f'{{ app_id = "1", app_key = null, webhook_secret = {SECRET} }}', "github has either app_key or app_key_parameter beside app_id"),
    "key-empty": ("github", f'{{ app_id = "1", app_key = "", webhook_secret = {SECRET} }}', "github.app_key is the App's private key"),
    "key-of-something-else": ("github", f'{{ app_id = "1", app_key = "bm90IGEga2V5", webhook_secret = {SECRET} }}', "github.app_key is the App's private key"),
    "parameter-empty": ("github", f'{{ app_id = "1", app_key_parameter = "", webhook_secret = {SECRET} }}', "github.app_key_parameter and token_parameter are names"),
    "id": ("github", f'{{ app_id = null, webhook_secret = {SECRET} }}', "github has either app_id"),
    "id-empty": ("github", f'{{ app_id = "", app_key = {KEY}, webhook_secret = {SECRET} }}', "github.app_id is the App's id"),
    "more-id": ("github", f'{{ app_id = "1", app_key = {KEY}, webhook_secret = {SECRET}, more_apps = [{{ app_id = null, app_key = {KEY} }}] }}', "github.more_apps[*].app_id is null"),
    "more-key": ("github", f'{{ app_id = "1", app_key = {KEY}, webhook_secret = {SECRET}, more_apps = [{{ app_id = "2" }}] }}', "github.more_apps[*] has either app_key or app_key_parameter"),
    "token-empty": ("github", f'{{ token = "", webhook_secret = {SECRET} }}', "github.token is a token's text"),
    "zip": ("control_zip", '"dist/none.zip"', 'control_zip is "dist/none.zip", and there is no such file: `make dist`'),
    "zip-folder": ("control_zip", '"tests"', 'control_zip is "tests", and there is no such file: `make dist`'),
    "labels": ("fleets", GOOD["fleets"].replace('["a"]', "null"), "fleets[*].labels is a list"),
    "label": ("fleets", GOOD["fleets"].replace('["a"]', "[null]"), "fleets[*].labels is a list"),
    "max": ("fleets", GOOD["fleets"].replace("max = 1", "max = null"), "fleets[*].max is null"),
    # By Terraform itself (`nullable`).
    **{f"null-{name}": (name, "null", "The given value is not suitable for") for name in GOOD},
}
# What is not required has its default where it is null.
DEFAULTS = sorted(set(variables()) - set(GOOD))


def module(folder: Path) -> Path:
    """A copy of the module, with a file of tests for each of these, ready to be tested."""
    for name in ("terraform", "userdata"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns(".terraform*", "*.tftest.hcl"))
    it = folder / "terraform"
    cases = {name: {**GOOD, variable: value} for name, (variable, value, _) in WRONG.items()} | {"defaults": GOOD | dict.fromkeys(DEFAULTS, "null")}
    for name, given in cases.items():
        said = "".join(f"    {variable} = {value}\n" for variable, value in given.items())
        (it / f"tests/{name}.tftest.hcl").write_text(f'mock_provider "aws" {{\n  source = "./tests/mocks"\n}}\n\nrun "it" {{\n  command = plan\n  variables {{\n{said}  }}\n}}\n')
    mirror = subprocess.run([ROOT / "scripts/terraform-provider"], capture_output=True, text=True, check=True).stdout.strip()
    subprocess.run(["terraform", f"-chdir={it}", "init", "-input=false", *([f"-plugin-dir={mirror}"] if mirror else [])], capture_output=True, check=True, timeout=300)
    return it


@pytest.fixture(scope="module")
def errors(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What was said of each, by name."""
    command = ["terraform", f"-chdir={module(tmp_path_factory.mktemp('module'))}", "test", "-json"]
    lines = [json.loads(line) for line in subprocess.run(command, capture_output=True, text=True, timeout=600, check=False).stdout.splitlines()]
    # Each was tried.
    tried = {Path(line["@testfile"]).name.removesuffix(".tftest.hcl") for line in lines if line.get("test_run", {}).get("progress") == "complete"}
    assert tried == {*WRONG, "defaults"}
    found: dict[str, list[str]] = {name: [] for name in tried}
    for line in lines:
        if line["type"] == "diagnostic" and line["diagnostic"]["severity"] == "error":
            told = line["diagnostic"]
            found[Path(line["@testfile"]).name.removesuffix(".tftest.hcl")].append(f"{told['summary']}: {told['detail']}")
    return found


@pytest.mark.parametrize("name", WRONG)
def test_it_is_told_by_one_error_that_names_the_field(errors: dict[str, list[str]], name: str) -> None:
    variable, _, wanted = WRONG[name]
    told = errors[name]
    assert len(told) == 1, told
    assert f": {wanted}" in told[0], told
    # Terraform's own sentence has the variable's name in it.
    assert variable in told[0]


def test_what_is_not_required_has_its_default_where_it_is_null(errors: dict[str, list[str]]) -> None:
    assert len(DEFAULTS) >= 30
    assert errors["defaults"] == []
