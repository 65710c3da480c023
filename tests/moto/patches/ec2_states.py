"""Instances stay `pending`, `stopping` and `shutting-down` until their machine got there.

moto jumps to `running`, `stopped` and `terminated` at once, so nothing could tell a booting machine from a booted
one. `states.py` holds the rules; this file makes moto's instances follow them. TerminateInstances also tells the
state that is, where moto always says `shutting-down`.
"""

from __future__ import annotations

import copy
from typing import Any

import states


def install() -> None:
    """Puts the mend in place."""
    from moto.core.responses import ActionResult
    from moto.ec2.exceptions import EC2ClientError
    from moto.ec2.models import instances as models
    from moto.ec2.responses import instances as responses

    class IncorrectInstanceState(EC2ClientError):
        def __init__(self, instance_id: str, why: states.NotAllowed) -> None:
            super().__init__("IncorrectInstanceState", f"The instance '{instance_id}' is not in the right state: {why}")

    instance = models.Instance
    create, start, stop, terminate = instance.__init__, instance.start, instance.stop, instance.terminate

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        create(self, *args, **kwargs)
        self.laptop_terminate = terminate
        _set(self, "pending")

    def by(call: str, original: Any) -> Any:
        def act(self: Any) -> Any:
            before = copy.copy(self._state)
            try:
                after = states.by_call(before.name, call)
            except states.NotAllowed as error:
                raise IncorrectInstanceState(self.id, error) from error
            if after != before.name:
                # Without its network interfaces and volumes moto's instance can't be ended a second time.
                original(self)
                _set(self, after)
            return before

        return act

    def terminate_instances(self: Any) -> ActionResult:
        ids = self._get_param("InstanceIds", [])
        self.error_on_dryrun()
        ended = self.ec2_backend.terminate_instances(ids)
        listed = [
            {"InstanceId": each.id, "CurrentState": copy.copy(each._state), "PreviousState": before}
            for each, before in ended
        ]
        return ActionResult({"TerminatingInstances": listed})

    instance.__init__ = __init__
    instance.start = by("start", start)
    instance.stop = by("stop", stop)
    instance.terminate = by("terminate", terminate)
    responses.InstanceResponse.terminate_instances = terminate_instances


def move(instance: Any, state: str, reason: str) -> None:
    """Brings an instance into `state` because of what happened to its machine."""
    before = instance._state.name
    if state == before:
        return
    if state == "terminated" and before != "shutting-down":
        # Nobody has called TerminateInstances, which would have done this.
        instance.laptop_terminate(instance)
    _set(instance, state)
    if reason:
        # As EC2 writes it: `Client.UserInitiatedShutdown: User initiated shutdown`.
        code = reason.split(":", 1)[0] if reason.startswith(("Client.", "Server.")) else ""
        instance.state_reason.code, instance.state_reason.message = code, reason


def _set(instance: Any, state: str) -> None:
    instance._state.name, instance._state.code = state, states.CODES[state]
    changed(instance)


def changed(instance: Any) -> None:
    """Called after each change of state; `ec2_events.py` puts the telling of it here."""
