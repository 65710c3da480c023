"""DescribeInstances filters that moto answers with 500: client-token, instance-lifecycle and launch-time.

And an instance's tags are looked up by its id. moto goes through the tags of everything there is with a regular
expression, for each instance and filter, which makes a filtered DescribeInstances quadratic.
"""

from __future__ import annotations

import fnmatch
from typing import Any


def install() -> None:
    """Puts the mend in place."""
    from moto.ec2 import utils
    from moto.ec2.models.instances import Instance

    passes = utils.passes_filter_dict

    def passes_filter_dict(instance: Any, filters: dict[str, Any]) -> bool:
        rest = {}
        for name, values in filters.items():
            if name == "client-token":
                found = instance.client_token or ""
            elif name == "instance-lifecycle":
                found = instance.lifecycle or ""
            elif name == "launch-time":
                found = instance.launch_time.strftime("%Y-%m-%dT%H:%M:%S.000Z")
            else:
                rest[name] = values
                continue
            if not any(fnmatch.fnmatchcase(found, value) for value in values):
                return False
        return passes(instance, rest)

    def get_tags(self: Any) -> list[dict[str, str]]:
        tags = self.ec2_backend.tags.get(self.id, {})
        return [
            {"key": key, "value": value, "resource_id": self.id, "resource_type": "instance"}
            for key, value in tags.items()
        ]

    utils.passes_filter_dict = passes_filter_dict
    Instance.get_tags = get_tags
