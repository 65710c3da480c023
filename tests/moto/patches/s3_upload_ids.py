"""Ids of multipart uploads come from where all other ids come from; moto takes them from the system.

A recorded upload names its id in each part, so a replay must give the same one (`tape.py`, `tests/test_tape.py`).
"""

from __future__ import annotations

import string
from typing import Any


def install() -> None:
    """Puts the mend in place."""
    from moto.moto_api._internal import mock_random
    from moto.s3.models import FakeMultipart

    create = FakeMultipart.__init__

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        create(self, *args, **kwargs)
        self.id = "".join(mock_random.choice(string.ascii_letters + string.digits) for _ in range(57))

    FakeMultipart.__init__ = __init__
