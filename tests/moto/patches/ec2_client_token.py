"""A client token makes a repeated RunInstances or CreateFleet answer as the first did; moto ignores it.

The same token with other parameters is IdempotentParameterMismatch.
https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html
"""

from __future__ import annotations

import copy
import json
from typing import Any

# (account, region, call, token) -> the first call's parameters and its answer.
_first: dict[tuple[str, str, str, str], tuple[str, Any]] = {}


def install() -> None:
    """Puts the mend in place."""
    from moto.ec2.exceptions import EC2ClientError
    from moto.ec2.responses import fleets, instances

    class IdempotentParameterMismatch(EC2ClientError):
        def __init__(self, token: str) -> None:
            text = f"Arguments on this idempotent request are inconsistent with arguments used in previous request(s): {token}"
            super().__init__("IdempotentParameterMismatch", text)

    def once(call: str, original: Any) -> Any:
        def act(self: Any) -> Any:
            token = self._get_param("ClientToken")
            if not token:
                return original(self)
            key = (self.current_account, self.region, call, token)
            # Before the call: it may change its parameters.
            asked = _fingerprint(self.params)
            if key in _first:
                before, answer = _first[key]
                if before != asked:
                    raise IdempotentParameterMismatch(token)
                return answer
            answer = original(self)
            _first[key] = (asked, answer)
            return answer

        return act

    fleets.Fleets.create_fleet = once("CreateFleet", fleets.Fleets.create_fleet)
    instances.InstanceResponse.run_instances = once("RunInstances", instances.InstanceResponse.run_instances)


def _fingerprint(params: Any) -> str:
    kept = {name: value for name, value in copy.deepcopy(dict(params)).items() if name not in ("ClientToken", "DryRun")}
    return json.dumps(kept, default=str, sort_keys=True)
