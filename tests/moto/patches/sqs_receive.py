"""ReceiveMessage that is quick on long queues, waits without a lock, and loses nothing beside other calls.

moto goes through the whole queue for each message it looks at (1.3 receives a second at 1,000 queued) and changes the
queue without its lock. Here a receive goes through the queue once under the lock of `sqs`, which every other SQS call
holds too, and gives it back while it waits.
"""

from __future__ import annotations

import copy
import threading
import time
from typing import Any

import locks

# Told when a message was added to, or given back to, whichever queue.
ARRIVED = threading.Condition(locks.of("sqs"))
# A message that comes back by its visibility timeout tells nobody, so a wait looks again this often.
LOOK_AGAIN_SECONDS = 0.25


def install() -> None:
    """Puts the mend in place."""
    from moto.sqs import models

    visibility = models.SQSBackend.change_message_visibility

    def receive_message(
        self: Any,
        queue_name: str,
        count: int,
        wait_seconds_timeout: int,
        visibility_timeout: int,
        message_attribute_names: list[str] | None = None,
    ) -> list[Any]:
        until = time.monotonic() + (wait_seconds_timeout or 0)
        with ARRIVED:
            while True:
                queue = self.get_queue(queue_name)
                taken = _take(queue, count, visibility_timeout)
                left = until - time.monotonic()
                if taken or left <= 0:
                    break
                ARRIVED.wait(min(left, LOOK_AGAIN_SECONDS))
            answers = [copy.copy(message) for message in taken]
        for answer in answers:
            # On the copy: the message keeps its attributes for the next receive.
            models._filter_message_attributes(answer, message_attribute_names or [])
        return answers

    def add_message(self: Any, message: Any) -> None:
        # Also called by other services' threads, which don't hold the lock yet.
        with ARRIVED:
            if not _is_duplicate(self, message):
                self._messages.append(message)
                ARRIVED.notify_all()

    def change_message_visibility(self: Any, *args: Any, **kwargs: Any) -> None:
        with ARRIVED:
            visibility(self, *args, **kwargs)
            ARRIVED.notify_all()

    models.SQSBackend.receive_message = receive_message
    models.SQSBackend.change_message_visibility = change_message_visibility
    # moto's own also hands messages to Lambda functions, see patches/lambda_nothing_runs.py.
    models.Queue.add_message = add_message


def _take(queue: Any, count: int, visibility_timeout: int) -> list[Any]:
    """Takes up to `count` messages that can be seen, and moves those received too often to the dead-letter queue."""
    from moto.core.utils import unix_time, unix_time_millis

    now = unix_time_millis()
    expired = unix_time() - queue.message_retention_period
    limit = queue.redrive_policy["maxReceiveCount"] if queue.redrive_policy and queue.dead_letter_queue else None
    busy_groups = {
        message.group_id for message in queue.pending_messages if message.group_id and message.visible_at >= now
    }
    taken: list[Any] = []
    gone: list[Any] = []
    for message in queue._messages:
        if message.visible_at >= now or message.delayed_until > now:
            continue
        # It can be seen again: whoever had it let it go.
        queue.pending_messages.discard(message)
        if message.sent_timestamp / 1000 <= expired:
            gone.append(message)
            continue
        if limit is not None and message.approximate_receive_count >= limit:
            gone.append(message)
            queue.dead_letter_queue.add_message(message)
            continue
        if queue.fifo_queue and message.group_id in busy_groups:
            continue
        queue.pending_messages.add(message)
        message.mark_received(visibility_timeout=visibility_timeout)
        taken.append(message)
        if len(taken) == count:
            break
    for message in gone:
        queue._messages.remove(message)
    return taken


def _is_duplicate(queue: Any, message: Any) -> bool:
    """Whether a FIFO queue has taken a message with this deduplication id within five minutes."""
    if not queue.fifo_queue or not message.deduplication_id:
        return False
    return any(
        other.deduplication_id == message.deduplication_id
        and message.sent_timestamp - other.sent_timestamp < 300_000
        for other in queue._messages
    )
