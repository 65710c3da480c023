"""Lets the world grow older: what is an hour old is two hours old when an hour has passed.

Nobody can turn the clock of a program that runs, so that a test of what Dayfly does after half an hour sets back all
that AWS noted of the time instead. In what was written by others, such as items, a whole number of the size of a time
of this month in seconds or milliseconds is one, also within a text.
"""

from __future__ import annotations

import datetime
import re
import time
from typing import Any

import instances
import locks

# A number that is further from now than this is none of the time.
_MONTH = 31 * 24 * 3600
_NUMBER = re.compile(r"(?<![\w.-])(?:\d{10}|\d{13})(?![\w.])")


def age(seconds: int) -> None:
    """Makes instances, images, snapshots, volumes, items, parameters and objects so much older."""
    back = datetime.timedelta(seconds=seconds)
    with locks.of("ec2"):
        for instance in instances.every():
            instance.launch_time -= back
        _age_images_and_volumes(back)
    with locks.of("dynamodb"):
        _age_items(seconds)
    with locks.of("ssm"):
        _age_parameters(back)
    with locks.of("s3"):
        _age_objects(back)


def older(text: str, seconds: int, now: float) -> str:
    """`text` with each time in it set back."""

    def set_back(found: re.Match[str]) -> str:
        number = int(found[0])
        unit = 1000 if len(found[0]) == 13 else 1
        return str(number - seconds * unit) if abs(number / unit - now) < _MONTH else found[0]

    return _NUMBER.sub(set_back, text)


def _age_images_and_volumes(back: datetime.timedelta) -> None:
    from moto.ec2.models import ec2_backends

    for account in list(ec2_backends.values()):
        for backend in list(account.values()):
            for image in backend.amis.values():
                # Others' come from a file, and are as old as that says.
                if image.owner_id == backend.account_id:
                    image.creation_date -= back
            for snapshot in backend.snapshots.values():
                snapshot.start_time -= back
            for volume in backend.volumes.values():
                volume.create_time -= back


def _age_items(seconds: int) -> None:
    from moto.dynamodb.models import dynamodb_backends

    now = time.time()
    for account in list(dynamodb_backends.values()):
        for backend in list(account.values()):
            for table in backend.tables.values():
                keys = {table.hash_key_attr, table.range_key_attr}
                for item in table.all_items():
                    for name, value in item.attrs.items():
                        if name not in keys:
                            _age_value(value, seconds, now)


def _age_value(value: Any, seconds: int, now: float) -> None:
    match value.type:
        case "N" | "S":
            value.value = older(value.value, seconds, now)
        case "NS" | "SS":
            value.value = [older(member, seconds, now) for member in value.value]
        case "L":
            for member in value.value:
                _age_value(member, seconds, now)
        case "M":
            for member in value.value.values():
                _age_value(member, seconds, now)


def _age_parameters(back: datetime.timedelta) -> None:
    from moto.ssm.models import ssm_backends

    for account in list(ssm_backends.values()):
        for backend in list(account.values()):
            for name in list(backend._parameters):
                for version in backend._parameters[name]:
                    # AWS's own come from a file, with a number.
                    if isinstance(version.last_modified_date, datetime.datetime):
                        version.last_modified_date -= back


def _age_objects(back: datetime.timedelta) -> None:
    from moto.s3.models import s3_backends

    for account in list(s3_backends.values()):
        for backend in list(account.values()):
            for bucket in backend.buckets.values():
                for key in bucket.keys.values():
                    key.last_modified -= back
