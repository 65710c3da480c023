"""The twins in packer/local, with which Packer 1.6 builds, are what they are twins of."""

import re
from pathlib import Path

import pytest

PACKER = Path(__file__).parent.parent
# What Packer 1.6 does not know, and what it must be told.
NEWER = (r'imds_support = "v2.0"', r'temporary_key_pair_type = "ed25519"', r"metadata_options \{.*?\}")
OLDER = (r"custom_endpoint_ec2 = var\.endpoint",)


def plain(path, without):
    """A template without comments, blanks and what is named."""
    text = re.sub(r"^\s*#.*$", "", path.read_text(), flags=re.MULTILINE)
    text = re.sub(r"\s+", " ", text)
    for pattern in without:
        text, found = re.subn(f"{pattern} ", "", text)
        assert found == 1, f"{path}: {pattern} is there {found} times"
    return text


@pytest.mark.parametrize("name", ["amazon-linux-2023.pkr.hcl", "ubuntu-24.04.pkr.hcl"])
def test_a_twin_says_the_same(name):
    assert plain(PACKER / "local" / name, OLDER) == plain(PACKER / name, NEWER)


def test_each_source_has_a_twin():
    sources = [path.name for path in PACKER.glob("*.pkr.hcl") if path.read_text().find("\nsource ") >= 0]
    twins = [path.name for path in (PACKER / "local").glob("*.pkr.hcl") if path.read_text().find("\nsource ") >= 0]
    assert sorted(sources) == sorted(twins) and len(sources) == 2
