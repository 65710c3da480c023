"""A log group has a class, which Terraform reads back; moto has none."""

from __future__ import annotations

from typing import Any


def install() -> None:
    """Puts the mend in place."""
    from moto.logs.models import LogGroup
    from moto.logs.responses import LogsResponse

    describe, create = LogGroup.to_describe_dict, LogsResponse.create_log_group

    def to_describe_dict(self: Any) -> dict[str, Any]:
        return describe(self) | {"logGroupClass": getattr(self, "laptop_class", "STANDARD")}

    def create_log_group(self: Any) -> Any:
        answer = create(self)
        group = self.logs_backend.groups[self._get_param("logGroupName")]
        group.laptop_class = self._get_param("logGroupClass") or "STANDARD"
        return answer

    LogGroup.to_describe_dict = to_describe_dict
    LogsResponse.create_log_group = create_log_group
