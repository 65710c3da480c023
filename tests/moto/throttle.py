"""Refuses calls as AWS does where an account calls too often: so many of instances, or all beyond a rate."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable

from werkzeug.wrappers import Response

import caller


class Throttle:
    """How many calls of instances are still to be refused, and how many calls a second anybody may make."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._lock = threading.Lock()
        self._now = now
        self._left: dict[str, int] = {}
        # Calls a second, those left at a time, and that time.
        self._rates: dict[str, tuple[float, float, float]] = {}

    def set(self, operation: str, times: int) -> None:
        """Refuses the next `times` calls of `operation`, such as `ssm.GetParameter`, that instances make."""
        with self._lock:
            self._left[operation] = times

    def limit(self, operation: str, per_second: int) -> None:
        """Refuses calls of `operation` beyond `per_second`, whoever makes them; 0 refuses none."""
        with self._lock:
            self._rates.pop(operation, None)
            if per_second:
                self._rates[operation] = (per_second, per_second, self._now())

    def refusal(self, operation: str) -> Response | None:
        """What to answer the call at hand instead, where it is to be refused: as services with JSON protocols do."""
        with self._lock:
            if not (self._meets_one(operation) or self._is_too_fast(operation)):
                return None
        told = {"__type": "ThrottlingException", "message": "Rate exceeded"}
        return Response(json.dumps(told), status=400, mimetype="application/x-amz-json-1.1")

    def _meets_one(self, operation: str) -> bool:
        left = self._left.get(operation, 0)
        if left == 0 or not caller.is_instance():
            return False
        self._left[operation] = left - 1
        return True

    def _is_too_fast(self, operation: str) -> bool:
        if operation not in self._rates:
            return False
        rate, left, at = self._rates[operation]
        now = self._now()
        left = min(rate, left + (now - at) * rate)
        self._rates[operation] = (rate, left - 1 if left >= 1 else left, now)
        return left < 1
