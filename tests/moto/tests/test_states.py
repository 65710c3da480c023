"""The rules of states.py: every state with every word."""

import itertools

import pytest

import states


def test_each_state_and_call():
    after = {}
    for state, call in itertools.product(states.STATES, states.CALLS):
        try:
            after[state, call] = states.by_call(state, call)
        except states.NotAllowed:
            after[state, call] = "refused"
    assert after == {
        ("pending", "terminate"): "shutting-down",
        ("pending", "stop"): "stopping",
        ("pending", "start"): "pending",
        ("running", "terminate"): "shutting-down",
        ("running", "stop"): "stopping",
        ("running", "start"): "running",
        ("shutting-down", "terminate"): "shutting-down",
        ("shutting-down", "stop"): "refused",
        ("shutting-down", "start"): "refused",
        ("terminated", "terminate"): "terminated",
        ("terminated", "stop"): "refused",
        ("terminated", "start"): "refused",
        ("stopping", "terminate"): "shutting-down",
        ("stopping", "stop"): "stopping",
        ("stopping", "start"): "refused",
        ("stopped", "terminate"): "terminated",
        ("stopped", "stop"): "stopped",
        ("stopped", "start"): "pending",
    }


def test_each_state_and_report():
    after = {
        (state, report): states.by_report(state, report)
        for state, report in itertools.product(states.STATES, states.REPORTS)
    }
    moves = {pair: to for pair, to in after.items() if to != pair[0]}
    assert moves == {
        ("pending", "running"): "running",
        ("pending", "stopped"): "stopped",
        ("running", "stopped"): "stopped",
        ("stopping", "stopped"): "stopped",
        ("pending", "terminated"): "terminated",
        ("running", "terminated"): "terminated",
        ("shutting-down", "terminated"): "terminated",
        ("stopping", "terminated"): "terminated",
        ("stopped", "terminated"): "terminated",
    }


@pytest.mark.parametrize("state", states.STATES)
@pytest.mark.parametrize("behaviour", ["terminate", "stop"])
def test_each_state_and_power_off(state, behaviour):
    asked = {"shutting-down": "terminated", "stopping": "stopped", "terminated": "terminated", "stopped": "stopped"}
    own = {"terminate": "terminated", "stop": "stopped"}[behaviour]
    assert states.by_power_off(state, behaviour) == asked.get(state, own)
