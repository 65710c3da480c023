"""Makes calls take their time, as they do over a network and in services that have work to do."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Delay:
    """How long calls of which operation are kept before they are served; nobody else waits for them."""

    def __init__(self, sleep: Callable[[float], None] = time.sleep) -> None:
        self._lock = threading.Lock()
        self._sleep = sleep
        self._millis: dict[str, int] = {}

    def set(self, operation: str, millis: int) -> None:
        """Keeps calls of `operation`, such as `ssm.PutParameter`, or `dynamodb.*` for a whole service; 0 for no longer."""
        with self._lock:
            self._millis[operation] = millis

    def keep(self, operation: str) -> None:
        """Waits as long as the call at hand is to be kept."""
        with self._lock:
            every = f"{operation.split('.', 1)[0]}.*"
            millis = self._millis.get(operation, self._millis.get(every, 0))
        if millis:
            self._sleep(millis / 1000)
