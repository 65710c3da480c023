"""A parameter's value is at most 4 KiB in the Standard tier and 8 KiB in the Advanced one; moto takes any length.

Intelligent-Tiering becomes whichever of the two the value needs.
https://docs.aws.amazon.com/systems-manager/latest/userguide/parameter-store-advanced-parameters.html
"""

from __future__ import annotations

from typing import Any

LIMITS = {"Standard": 4096, "Advanced": 8192}


def install() -> None:
    """Puts the mend in place."""
    from moto.ssm.exceptions import ValidationException
    from moto.ssm.models import SimpleSystemManagerBackend

    put = SimpleSystemManagerBackend.put_parameter

    def put_parameter(self: Any, *args: Any, **kwargs: Any) -> Any:
        # name, description, value, ...: as moto's own handler calls it.
        name, value, tier = args[0], args[2] or "", kwargs.get("tier")
        previous = self._parameters[name][-1].tier if self._parameters.get(name) else None
        size = len(value.encode())
        tier = chosen(tier or previous or self.default_parameter_tier, previous, size)
        if size > LIMITS[tier]:
            raise ValidationException(_too_long(tier))
        return put(self, *args, **{**kwargs, "tier": tier})

    SimpleSystemManagerBackend.put_parameter = put_parameter


def chosen(tier: str, previous: str | None, size: int) -> str:
    """The tier a parameter gets. One that is Advanced stays so: AWS takes none back."""
    if previous == "Advanced":
        return "Advanced"
    if tier == "Intelligent-Tiering":
        return "Standard" if size <= LIMITS["Standard"] else "Advanced"
    return tier


def _too_long(tier: str) -> str:
    if tier == "Standard":
        return (
            "Standard tier parameters support a maximum parameter value of 4096 characters. To create a larger "
            "parameter value, upgrade the parameter to use the advanced-parameter tier. For more information, see "
            "https://docs.aws.amazon.com/systems-manager/latest/userguide/parameter-store-advanced-parameters.html"
        )
    return "Advanced tier parameters support a maximum parameter value of 8192 characters."
