import pytest
from botocore.exceptions import ClientError

import patches.ssm_tiers as tiers


def put(laptop, name, size, tier, **more):
    ssm = laptop.aws("ssm")
    return ssm.put_parameter(Name=f"/{name}", Value="x" * size, Type="SecureString", Tier=tier, **more)["Tier"]


@pytest.mark.parametrize(
    ("tier", "size", "becomes"),
    [
        ("Standard", 4096, "Standard"),
        ("Advanced", 8192, "Advanced"),
        ("Intelligent-Tiering", 4096, "Standard"),
        ("Intelligent-Tiering", 4097, "Advanced"),
    ],
)
def test_what_a_tier_takes(laptop, name, tier, size, becomes):
    assert put(laptop, name, size, tier) == becomes


@pytest.mark.parametrize(("tier", "size"), [("Standard", 4097), ("Advanced", 8193), ("Intelligent-Tiering", 8193)])
def test_what_a_tier_refuses(laptop, name, tier, size):
    with pytest.raises(ClientError, match="ValidationException"):
        put(laptop, name, size, tier)


def test_an_existing_parameter_is_not_overwritten_unasked(laptop, name):
    put(laptop, name, 1, "Standard")
    with pytest.raises(ClientError, match="ParameterAlreadyExists"):
        put(laptop, name, 2, "Standard")
    assert put(laptop, name, 5000, "Intelligent-Tiering", Overwrite=True) == "Advanced"


def test_advanced_stays_advanced():
    assert tiers.chosen("Standard", "Advanced", 1) == "Advanced"
    assert tiers.chosen("Intelligent-Tiering", "Advanced", 1) == "Advanced"
