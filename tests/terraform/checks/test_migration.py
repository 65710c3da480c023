"""The table of docs/migration.md: each variable of the peer's once, and nothing of ours that is not there."""

from __future__ import annotations

import re
from collections import Counter

from hcl import ROOT
from tree import is_input, is_there, outputs, spans

PAGE = (ROOT / "docs/migration.md").read_text()
TABLE = PAGE[PAGE.index("## Every variable") :]
LIST = (ROOT / "tests/terraform/checks/peer_variables.txt").read_text()
PEER = [line for line in LIST.splitlines() if line and not line.startswith("#")]
# Theirs, ours, and what is to be said of it.
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in TABLE.splitlines() if re.match(r"\| `", line)]


def test_the_list_says_where_it_is_from():
    assert len(PEER) == len(set(PEER)) > 130
    assert "MIT" in LIST and len(re.findall(r"\b[0-9a-f]{40}\b", LIST)) == 3
    current = LIST.split("\n\n")[1].splitlines()
    assert f"All {sum(not line.startswith('#') for line in current)} variables" in TABLE


def test_each_of_their_variables_has_one_row_and_no_row_is_another_ones():
    assert [row for row in ROWS if len(row) != 3] == []
    rows = Counter(name for row in ROWS for name in spans(row[0]))
    assert {"lacking": sorted(set(PEER) - set(rows)), "unknown": sorted(set(rows) - set(PEER)), "twice": [name for name, n in rows.items() if n > 1]} == {
        "lacking": [],
        "unknown": [],
        "twice": [],
    }


def test_a_row_names_an_input_of_ours_or_says_why_there_is_none():
    for theirs, ours, why in ROWS:
        assert (ours == "—") != bool(spans(ours)), f"{theirs} has {ours}"
        assert ours != "—" or why, f"{theirs} has no reason"


def test_every_input_that_is_named_is_there():
    named = [name for row in ROWS for name in spans(row[1])]
    # In sentences only what can't be anything else.
    named += [name for name in spans(PAGE) if re.match(r"(fleets\.|packer/)[a-z]", name)]
    assert len(named) > 80
    assert sorted({name for name in named if not is_there(name)}) == []


def test_every_output_that_is_named_is_there():
    named = re.findall(r"output(?:s)? `(\w+)`", PAGE)
    assert len(named) > 5
    assert set(named) - outputs() == set()


def test_a_name_that_is_not_there_is_seen():
    assert is_there("fleets.agent.runner_source.platform") and is_there("packer/runner_sudo")
    assert not is_there("fleets.agent.runner_sudo") and not is_there("fleets.max.most") and not is_there("runner_sudo")
    assert not is_there("packer/kind")
    assert is_input("function_network.security_groups")
