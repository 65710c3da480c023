"""A launch template's own tags are not part of what it launches with; moto writes them into its data.

Terraform would see a `tag_specifications` block that nobody wrote, and plan to take it out for ever.
"""

from __future__ import annotations

from typing import Any


def install() -> None:
    """Puts the mend in place."""
    from moto.ec2.models.launch_templates import LaunchTemplate

    create_version = LaunchTemplate.create_version

    def without_own_tags(self: Any, data: dict[str, Any], description: str) -> Any:
        kept = [tags for tags in data.get("TagSpecifications", []) if tags.get("ResourceType") != "launch-template"]
        data = {**data, "TagSpecifications": kept}
        if not kept:
            del data["TagSpecifications"]
        return create_version(self, data, description)

    LaunchTemplate.create_version = without_own_tags
