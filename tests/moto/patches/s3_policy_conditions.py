"""A bucket policy's statement with a condition is not one without; moto ignores conditions.

The usual "deny everything without TLS" would deny everything. Statements with conditions are left out when moto
decides; nothing here can judge them, see `terraform/tests` for what the policies say.
"""

from __future__ import annotations

import json
from typing import Any


def install() -> None:
    """Puts the mend in place."""
    from moto.iam.access_control import PermissionResult
    from moto.s3.models import FakeBucket

    decide = FakeBucket.get_permission

    def get_permission(self: Any, action: str, resource: str) -> Any:
        if self.policy is None:
            return PermissionResult.NEUTRAL
        document = json.loads(self.policy)
        statements = document.get("Statement", [])
        statements = statements if isinstance(statements, list) else [statements]
        document["Statement"] = [statement for statement in statements if not statement.get("Condition")]
        if not document["Statement"]:
            return PermissionResult.NEUTRAL
        stored, self.policy = self.policy, json.dumps(document).encode()
        try:
            return decide(self, action, resource)
        finally:
            self.policy = stored

    FakeBucket.get_permission = get_permission
