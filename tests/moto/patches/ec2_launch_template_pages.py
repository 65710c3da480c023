"""What does not fit into an answer about launch templates is had by its `NextToken`; moto leaves it out and gives none.

Whoever asked which images templates name would not hear of the sixteenth template, or version.

https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeLaunchTemplates.html
https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeLaunchTemplateVersions.html
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

# As moto has it: EC2 names no number of its own.
_PAGE = 15
_ALL = 1_000_000


def install() -> None:
    """Puts the mend in place."""
    from moto.ec2.responses.launch_templates import LaunchTemplates

    for call, element in (
        ("describe_launch_templates", "LaunchTemplates"),
        ("describe_launch_template_versions", "LaunchTemplateVersions"),
    ):
        setattr(LaunchTemplates, call, _by_pages(getattr(LaunchTemplates, call), element))


def _by_pages(describe: Callable[[Any], Any], element: str) -> Callable[[Any], Any]:
    def by_pages(self: Any) -> Any:
        read = self._get_int_param
        size, begin = read("MaxResults", _PAGE), read("NextToken", 0)
        # moto cuts by this number.
        self._get_int_param = lambda name, other=None: _ALL if name == "MaxResults" else read(name, other)
        try:
            answer = describe(self)
        finally:
            del self._get_int_param
        every = answer.result[element]
        answer.result[element] = every[begin : begin + size]
        if begin + size < len(every):
            answer.result["NextToken"] = str(begin + size)
        return answer

    return by_pages
