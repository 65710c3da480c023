"""What the module makes of terraform/tests/rendered.tftest.hcl, by Terraform itself with a mocked provider."""

from __future__ import annotations

import functools
import json
import subprocess
from typing import Any

from hcl import ROOT


@functools.cache
def resources() -> dict[str, dict[str, Any]]:
    """The values of every resource, by address."""
    command = ["scripts/terraform", "terraform", "test", "-json", "-verbose", "-filter=tests/rendered.tftest.hcl"]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    lines = [json.loads(line) for line in said.stdout.splitlines() if line.startswith("{")]
    states = [line["test_state"] for line in lines if line["type"] == "test_state"]
    assert states, said.stdout[-4000:] + said.stderr
    return {it["address"]: it["values"] for it in states[0]["root_module"]["resources"] if it["mode"] == "managed"}


def policies(role: str) -> list[dict[str, Any]]:
    """All policies of a role: "runner", or a function's handler."""
    beginnings = (f'aws_iam_role_policy.control["{role}"]',)
    if role == "runner":
        beginnings = ("aws_iam_role_policy.runner[0]", "aws_iam_role_policy.runner_source[0]")
    found = [json.loads(values["policy"]) for address, values in resources().items() if address in beginnings]
    assert len(found) == len(beginnings), role
    return found
