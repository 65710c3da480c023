"""A rule with a schedule and no pattern meets no event. moto sends it every event, and fails the call that made the event where
the target is a function: one schedule, and no instance could be launched.

https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-rule-schedule.html
"""

from __future__ import annotations

from typing import Any


def install() -> None:
    """Puts the mend in place."""
    from moto.events.models import Rule

    send = Rule.send_to_targets

    def send_to_targets(self: Any, *args: Any, **kwargs: Any) -> None:
        if self.event_pattern.get_pattern():
            send(self, *args, **kwargs)

    Rule.send_to_targets = send_to_targets
