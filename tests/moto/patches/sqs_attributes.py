"""Queue attributes that Terraform reads back: RedriveAllowPolicy, RedrivePolicy as compact JSON, and a Policy that
outlives a change of another attribute. Without them each plan finds something to change.
"""

from __future__ import annotations

import json
from typing import Any


def install() -> None:
    """Puts the mend in place."""
    from moto.sqs.models import Queue

    set_attributes, get_attributes = Queue._set_attributes, Queue.attributes.fget

    def _set_attributes(self: Any, attributes: dict[str, Any], now: float | None = None) -> None:
        policy = getattr(self, "policy", None)
        set_attributes(self, attributes, now)
        if "Policy" not in attributes:
            self.policy = policy
        if self.redrive_allow_policy in ("", "{}"):
            self.redrive_allow_policy = None

    def attributes(self: Any) -> dict[str, Any]:
        result = get_attributes(self)
        if self.redrive_policy:
            result["RedrivePolicy"] = json.dumps(self.redrive_policy, separators=(",", ":"))
        return result

    if "RedriveAllowPolicy" not in Queue.BASE_ATTRIBUTES:
        Queue.BASE_ATTRIBUTES.append("RedriveAllowPolicy")
    Queue.redrive_allow_policy = None
    Queue._set_attributes = _set_attributes
    Queue.attributes = property(attributes)
