"""How an instance changes state. Pure: a state and a word in, a state out.

`API` is what EC2's own calls do. Unlike moto, which jumps to the last state at once, an instance stays in the
in-between state until the EC2 host has seen its machine there and reports. `REPORT` is what such a report does, and
`POWERED_OFF` what it means that a machine switched itself off.
"""

from __future__ import annotations

CODES = {"pending": 0, "running": 16, "shutting-down": 32, "terminated": 48, "stopping": 64, "stopped": 80}
STATES = tuple(CODES)


class NotAllowed(Exception):
    """EC2 refuses this call in this state."""


# (state, call) -> new state; what is not named changes nothing.
API = {
    ("pending", "terminate"): "shutting-down",
    ("running", "terminate"): "shutting-down",
    ("stopping", "terminate"): "shutting-down",
    # No machine is left that could report.
    ("stopped", "terminate"): "terminated",
    ("pending", "stop"): "stopping",
    ("running", "stop"): "stopping",
    ("stopped", "start"): "pending",
}
# As EC2's IncorrectInstanceState.
REFUSED = {
    ("shutting-down", "stop"),
    ("terminated", "stop"),
    ("stopping", "start"),
    ("shutting-down", "start"),
    ("terminated", "start"),
}
CALLS = ("terminate", "stop", "start")

# A report may come late: states only move on, so a machine that comes up after its instance was ended changes nothing.
REPORT = {
    ("pending", "running"): "running",
    ("pending", "stopped"): "stopped",
    ("running", "stopped"): "stopped",
    ("stopping", "stopped"): "stopped",
    **{(state, "terminated"): "terminated" for state in STATES},
}
REPORTS = ("running", "stopped", "terminated")


def by_call(state: str, call: str) -> str:
    """The state after EC2's `call`."""
    if (state, call) in REFUSED:
        raise NotAllowed(f"an instance that is {state} can't {call}")
    return API.get((state, call), state)


def by_report(state: str, report: str) -> str:
    """The state after the host reported its machine as `report`."""
    return REPORT.get((state, report), state)


def by_power_off(state: str, behaviour: str) -> str:
    """The state after the machine switched itself off; `behaviour` is the instance's shutdown behaviour."""
    if state in ("stopped", "terminated"):
        return state
    # What was asked for by the API wins over the shutdown behaviour.
    if state == "shutting-down":
        return "terminated"
    if state == "stopping":
        return "stopped"
    return "terminated" if behaviour == "terminate" else "stopped"
