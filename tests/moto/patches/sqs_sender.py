"""A message's SenderId is the user id of who sent it; moto has one constant for all.

https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ReceiveMessage.html
"""

from __future__ import annotations

from typing import Any

import caller


def install() -> None:
    """Puts the mend in place."""
    from moto.sqs.models import Message

    create = Message.__init__

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        create(self, *args, **kwargs)
        self.sender_id = caller.current_sender_id()

    Message.__init__ = __init__
