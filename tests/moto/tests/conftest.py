"""The server as it is shipped, one for all tests, and AWS's own client for it. Tests take names of their own."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import botocore.config
import pytest

HERE = Path(__file__).parent.parent
REGION = "eu-west-1"


class Laptop:
    """A running server."""

    def __init__(self, url: str) -> None:
        self.url = url

    def aws(self, service: str, access_key: str = "test") -> Any:
        """AWS's client for a service."""
        return boto3.client(
            service,
            region_name=REGION,
            endpoint_url=self.url,
            aws_access_key_id=access_key,
            aws_secret_access_key="test",
            config=botocore.config.Config(retries={"max_attempts": 1}, max_pool_connections=60),
        )

    def ask(self, path: str, body: Any = None) -> tuple[int, Any]:
        """Calls the control channel: status and answer."""
        data = None if body is None else (body if isinstance(body, bytes) else json.dumps(body).encode())
        try:
            with urllib.request.urlopen(urllib.request.Request(f"{self.url}/_laptop/{path}", data=data)) as answer:
                raw = answer.read()
                is_json = answer.headers.get_content_type() == "application/json"
                return answer.status, json.loads(raw) if is_json else raw
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())

    def instance(self, instance_id: str) -> dict[str, Any]:
        """One instance as the EC2 host sees it."""
        return next(each for each in self.ask("instances")[1] if each["id"] == instance_id)

    def report(self, instance_id: str, state: str, reason: str = "") -> None:
        """The EC2 host's report."""
        assert self.ask(f"instances/{instance_id}/state", {"state": state, "reason": reason})[0] == 204


@pytest.fixture(scope="session")
def laptop() -> Iterator[Laptop]:
    server = subprocess.Popen(
        [sys.executable, HERE / "server.py", "--port", "0"], stdout=subprocess.PIPE, text=True, cwd="/"
    )
    try:
        assert server.stdout
        line = server.stdout.readline()
        assert line.startswith("moto listens on http://"), line
        yield Laptop(line.rsplit(" ", 1)[-1].strip())
    finally:
        server.terminate()
        assert server.wait(10) == 0


@pytest.fixture
def name() -> str:
    """A name that no other test has."""
    return f"t-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def ec2(laptop: Laptop) -> Iterator[Any]:
    yield laptop.aws("ec2")
    laptop.ask("capacity", {"unavailable": []})


@pytest.fixture
def subnets(ec2: Any) -> dict[str, str]:
    """The default subnets, by zone."""
    return {each["AvailabilityZone"]: each["SubnetId"] for each in ec2.describe_subnets()["Subnets"]}


@pytest.fixture
def template(ec2: Any, name: str) -> Callable[..., str]:
    """Makes a launch template and tells its id."""

    def make(**fields: Any) -> str:
        data = {"ImageId": "ami-12345678", "InstanceType": "c7i.large"} | fields
        made = ec2.create_launch_template(LaunchTemplateName=name, LaunchTemplateData=data)
        return made["LaunchTemplate"]["LaunchTemplateId"]

    return make


@pytest.fixture
def fleet(ec2: Any) -> Callable[..., Any]:
    """Calls CreateFleet as the control plane does."""

    def create(template_id: str, count: int = 1, overrides: Any = None, market: str = "on-demand", **more: Any) -> Any:
        config: dict[str, Any] = {"LaunchTemplateSpecification": {"LaunchTemplateId": template_id, "Version": "1"}}
        if overrides:
            config["Overrides"] = overrides
        return ec2.create_fleet(
            Type="instant",
            LaunchTemplateConfigs=[config],
            TargetCapacitySpecification={"TotalTargetCapacity": count, "DefaultTargetCapacityType": market},
            **more,
        )

    return create


def ids(answer: Any) -> list[str]:
    """The instances that a CreateFleet launched."""
    return [instance for group in answer["Instances"] for instance in group["InstanceIds"]]
