"""One lock per service, since moto's models are plain dicts and lists.

moto checks and then writes: two threads can both pass the same check, and a list that is rebuilt while another
thread appends to it loses an entry. Python runs one thread at a time anyway, so a lock per service costs no time. It
is re-entrant because services call each other (EC2 tells EventBridge, which fills an SQS queue).
"""

from __future__ import annotations

import collections
import threading

_locks: dict[str, threading.RLock] = collections.defaultdict(threading.RLock)
_guard = threading.Lock()


def of(service: str) -> threading.RLock:
    """The lock of a service, by moto's name for it (`ec2`, `sqs`, `dynamodb`, ...)."""
    with _guard:
        return _locks[service]
