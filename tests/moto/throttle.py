"""Refuses calls of instances for a while, as AWS does where an account calls too often."""

from __future__ import annotations

import json
import threading

from werkzeug.wrappers import Response

import caller


class Throttle:
    """How many calls of which operation are still to be refused. The functions' own calls are spared."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._left: dict[str, int] = {}

    def set(self, operation: str, times: int) -> None:
        """Refuses the next `times` calls of `operation`, such as `ssm.GetParameter`."""
        with self._lock:
            self._left[operation] = times

    def refusal(self, operation: str) -> Response | None:
        """What to answer the call at hand instead, where it is to be refused: as services with JSON protocols do."""
        if not caller.is_instance():
            return None
        with self._lock:
            left = self._left.get(operation, 0)
            if left == 0:
                return None
            self._left[operation] = left - 1
        told = {"__type": "ThrottlingException", "message": "Rate exceeded"}
        return Response(json.dumps(told), status=400, mimetype="application/x-amz-json-1.1")
