"""EC2 tells EventBridge of each change of an instance's state; moto does not.

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/monitoring-instance-state-changes.html
"""

from __future__ import annotations

import json
from typing import Any

from patches import ec2_states


def install() -> None:
    """Puts the mend in place."""
    ec2_states.changed = tell


def tell(instance: Any) -> None:
    """Puts the event of an instance's new state on the default bus."""
    from moto.events.models import events_backends

    backend = instance.ec2_backend
    arn = f"arn:{backend.partition}:ec2:{backend.region_name}:{backend.account_id}:instance/{instance.id}"
    events_backends[backend.account_id][backend.region_name].put_events(
        [
            {
                "Source": "aws.ec2",
                "DetailType": "EC2 Instance State-change Notification",
                "EventBusName": "default",
                "Resources": [arn],
                "Detail": json.dumps({"instance-id": instance.id, "state": instance._state.name}),
            }
        ]
    )
