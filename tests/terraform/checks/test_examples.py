"""Every example, deployed: all of them at once as modules of one root, since most of the time is the provider waiting for queues."""

from __future__ import annotations

import re
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest
from hcl import ROOT
from test_tape import server
from test_terraform import left

EXAMPLES = sorted(path.parent.name for path in (ROOT / "examples").glob("*/main.tf"))
SERVICES = ("apigatewayv2", "cloudwatch", "cloudwatchlogs", "dynamodb", "ec2", "events", "iam", "kms", "lambda", "s3", "sqs", "ssm", "sts")

MODULE = """
module "{name}" {{
  source      = "./examples/{name}"
  vpc_id      = data.aws_vpc.default.id
  subnet_ids  = sort(data.aws_subnets.default.ids)
  control_zip = "{zip}"
  github_app  = {{ id = "1001", key = "-----BEGIN RSA PRIVATE KEY-----", webhook_secret = "a secret for the laptop" }}
{more}}}
"""

# What only one example asks for.
MORE = {
    "ghes": "  function_security_group = data.aws_security_group.default.id\n",
    "ubuntu": "  agent_archive = \"{agent}\"\n",
    "private-network": "  route_tables = [data.aws_vpc.default.main_route_table_id]\n",
}

MAIN = """
terraform {{
  required_providers {{
    aws = {{ source = "hashicorp/aws", version = ">= 5.80, < 7.0" }}
  }}
}}

provider "aws" {{
  region                      = "eu-west-1"
  access_key                  = "test"
  secret_key                  = "test"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_region_validation      = true
  skip_requesting_account_id  = true
  s3_use_path_style           = true

  endpoints {{
{endpoints}
  }}
}}

data "aws_vpc" "default" {{
  default = true
}}

data "aws_subnets" "default" {{
  filter {{
    name   = "vpc-id"
    values = [data.aws_vpc.default.id]
  }}
}}

data "aws_security_group" "default" {{
  vpc_id = data.aws_vpc.default.id
  name   = "default"
}}
"""


class Root:
    """A root module that has the examples as its modules."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for module in ("terraform", "userdata"):
            shutil.copytree(ROOT / module, folder / module, ignore=shutil.ignore_patterns(".terraform*"))
        for name in EXAMPLES:
            shutil.copytree(ROOT / "examples" / name, folder / "examples" / name, ignore=shutil.ignore_patterns(".terraform*"))
            # The provider is the root's.
            (folder / "examples" / name / "providers.tf").unlink()
        archive = folder / "control.zip"
        with zipfile.ZipFile(archive, "w") as it:
            it.writestr("bootstrap", "#!/bin/sh\n")
        # Nobody runs it here: e2e/images.rs has stock images that do.
        agent = folder / "agent.tar.gz"
        agent.write_bytes(b"an agent")
        self.modules = "".join(MODULE.format(name=name, zip=archive, more=MORE.get(name, "").format(agent=agent)) for name in EXAMPLES)
        (folder / "main.tf").write_text(MAIN.format(endpoints="") + self.modules)
        mirror = subprocess.run([ROOT / "scripts/terraform-provider"], capture_output=True, text=True, check=True).stdout.strip()
        self.done("init", *([f"-plugin-dir={mirror}"] if mirror else []))

    def at(self, url: str) -> None:
        """From now on AWS is there."""
        endpoints = "\n".join(f'    {service} = "{url}"' for service in SERVICES)
        (self.folder / "main.tf").write_text(MAIN.format(endpoints=endpoints) + self.modules)

    def run(self, command: str, *arguments: str) -> tuple[int, str]:
        """Runs a command of Terraform: its exit code and what it said; where it failed, its errors and what the provider tried again."""
        debug = self.folder / "provider.log"
        debug.unlink(missing_ok=True)
        said = subprocess.run(
            ["terraform", command, "-input=false", "-no-color", *arguments],
            cwd=self.folder,
            env={"PATH": "/usr/local/bin:/usr/bin:/bin:" + str(Path(shutil.which("terraform") or "").parent), "HOME": str(self.folder), "CHECKPOINT_DISABLE": "1", "TF_LOG_PROVIDER": "DEBUG", "TF_LOG_PATH": str(debug)},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        if said.returncode == 0:
            return 0, said.stdout
        tried = [line[:400] for line in debug.read_text().splitlines() if re.search("request failed|retrying request", line) and "StatusCode: 404" not in line]
        # A plan with something to change says so on stdout, among much that says nothing.
        told = [line for line in said.stdout.splitlines() if not re.search(r"(Creating|Creation complete|Still creating|Refreshing state|Reading|Read complete)", line)]
        # What is most telling last: a test shows the end.
        return said.returncode, "\n".join([*told, *tried[-5:], said.stderr])

    def done(self, command: str, *arguments: str) -> None:
        """Runs a command that must succeed."""
        code, said = self.run(command, *arguments)
        assert code == 0, said[-6000:]


def test_the_examples_are_those_that_the_docs_name():
    page = (ROOT / "docs/terraform.md").read_text()
    assert len(EXAMPLES) >= 10
    assert [name for name in EXAMPLES if f"../examples/{name}" not in page] == []


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_complete(name):
    """Beside what is deployed below: its provider, and the module where it is looked for."""
    text = (ROOT / "examples" / name / "providers.tf").read_text()
    assert 'required_version = ">= 1.6"' in text and 'version = ">= 5.80, < 7.0"' in text and 'provider "aws"' in text
    assert 'source      = "../../terraform"' in (ROOT / "examples" / name / "main.tf").read_text()


def test_every_example_says_what_the_next_step_asks_for():
    """The same of each, by the docs' names: `test_documents.py` looks whether those are all of them."""
    outputs = {name: (ROOT / "examples" / name / "outputs.tf").read_text() for name in EXAMPLES}
    assert set(outputs.values()) == {outputs["minimal"]}
    assert not [name for name in EXAMPLES if re.search(r"^output ", (ROOT / "examples" / name / "main.tf").read_text(), re.M)]


def test_every_example_applies_has_nothing_to_change_and_leaves_nothing(tmp_path):
    root = Root(tmp_path)
    with server() as laptop:
        root.at(laptop.url)
        # Four times as many at a time as Terraform does by itself: nearly all of them wait.
        code, said = root.run("apply", "-auto-approve", "-parallelism=40")
        assert code == 0, f"{laptop.ask('calls')[1]}\n{said[-6000:]}"
        code, said = root.run("plan", "-detailed-exitcode", "-parallelism=40")
        # 2 is "there is something to change".
        assert code == 0, said[-6000:]
        names = [each["FunctionName"] for each in laptop.aws("lambda").list_functions()["Functions"]]
        assert {name for name in EXAMPLES if f"dayfly-{name}-webhook" not in names} == set()
        # What EC2 needs to launch spot instances with such a volume.
        disks = [key["KeyId"] for key in laptop.aws("kms").list_keys()["Keys"] if laptop.aws("kms").describe_key(KeyId=key["KeyId"])["KeyMetadata"]["Description"] == "Disks of runners"]
        (grant,) = [grant for key in disks for grant in laptop.aws("kms").list_grants(KeyId=key)["Grants"]]
        assert grant["GranteePrincipal"].endswith("/AWSServiceRoleForEC2Spot")
        root.done("destroy", "-auto-approve", "-parallelism=40")
        # Of many thousand answers; more, and it is this machine's cloud that is broken.
        assert laptop.ask("again")[1]["times"] <= 3
        assert left(laptop) == {}
        assert laptop.aws("logs").describe_log_groups()["logGroups"] == []
        assert laptop.aws("cloudwatch").describe_alarms()["MetricAlarms"] == []
        endpoints = laptop.aws("ec2").describe_vpc_endpoints()["VpcEndpoints"]
        assert {each["State"] for each in endpoints} == {"deleted"}
        keys = [laptop.aws("kms").describe_key(KeyId=key["KeyId"])["KeyMetadata"] for key in laptop.aws("kms").list_keys()["Keys"]]
        # moto has keys of AWS's own among them.
        assert [key["KeyState"] for key in keys if key["Description"].startswith("Dayfly")] == ["PendingDeletion"]
