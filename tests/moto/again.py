"""Answers Terraform once more where an answer got lost on its way.

Of some hundred thousand connections over loopback one ends without its answer, though the call was served: seen twice,
with this server silent and idle, and not in two million connections made to provoke it. The AWS SDK then asks again, as
it should, and the provider takes what AWS rightly says to a second DeleteTable or CreateFunction (`not found`, `exists`)
for a failure: with AWS too, where one runs `terraform apply` again. A test of ten deployments can't.

The SDK gives all attempts of a call one id. So what succeeded is answered from here if it is asked again; what is still
being served is waited for. That is told on stderr, and counted: `GET /_laptop/again`. Only Terraform is served so: what
Dayfly asks for must outlive a lost answer by itself.
"""

from __future__ import annotations

import collections
import re
import sys
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, TextIO

_ATTEMPT = re.compile(r"\battempt=(\d+)")
# More than are under way at any time: what is asked again is asked within seconds.
KEPT = 1000
# Longer than anything takes here.
PATIENCE = 60.0

# The SDK's id, and what is asked.
Call = tuple[str, ...]


@dataclass
class _Attempt:
    ended: threading.Event = field(default_factory=threading.Event)
    at: float = 0.0
    # Status, headers and body; none where it did not succeed: that may be asked again on purpose.
    answer: tuple[str, list[tuple[str, str]], list[bytes]] | None = None


class Again:
    """The latest attempts, by their call."""

    def __init__(self, now: Callable[[], float] = time.monotonic, told: TextIO = sys.stderr) -> None:
        self._lock = threading.Lock()
        self._now = now
        self._told = told
        self._latest: collections.OrderedDict[Call, _Attempt] = collections.OrderedDict()
        self._times = 0

    @property
    def times(self) -> int:
        """How often something was answered again."""
        with self._lock:
            return self._times

    def serve(self, environ: dict[str, Any], start_response: Any, app: Any) -> Iterable[bytes]:
        """Answers as before what is asked again, all else by `app`."""
        call = _call(environ)
        if not call:
            return app(environ, start_response)
        answer = self._before(call, environ)
        if answer:
            status, headers, body = answer
            start_response(status, headers)
            return body
        attempt = _Attempt()
        with self._lock:
            self._latest[call] = attempt
            while len(self._latest) > KEPT:
                self._latest.popitem(last=False)
        try:
            return self._new(attempt, environ, start_response, app)
        finally:
            attempt.ended.set()

    def _new(self, attempt: _Attempt, environ: dict[str, Any], start_response: Any, app: Any) -> list[bytes]:
        begun: list[tuple[str, list[tuple[str, str]]]] = []

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            begun.append((status, list(headers)))
            return start_response(status, headers, exc_info)

        body = list(app(environ, start))
        if begun and begun[-1][0].startswith("2"):
            attempt.at, attempt.answer = self._now(), (*begun[-1], body)
        return body

    def _before(self, call: Call, environ: dict[str, Any]) -> Any:
        number = _ATTEMPT.search(environ.get("HTTP_AMZ_SDK_REQUEST", ""))
        if not number or int(number.group(1)) < 2:
            return None
        with self._lock:
            attempt = self._latest.get(call)
        if attempt is None or not attempt.ended.wait(PATIENCE) or attempt.answer is None:
            return None
        with self._lock:
            self._times += 1
        what = environ.get("HTTP_X_AMZ_TARGET") or f"{environ['REQUEST_METHOD']} {environ.get('PATH_INFO', '')}"
        ago = round((self._now() - attempt.at) * 1000)
        print(f"{what}: Terraform asks again for what was answered {ago} ms ago; answered as then", file=self._told, flush=True)
        return attempt.answer


def _call(environ: dict[str, Any]) -> Call:
    """Terraform's call; empty for everybody else's."""
    said = environ.get("HTTP_AMZ_SDK_INVOCATION_ID", "")
    if not said or "terraform-provider-aws" not in environ.get("HTTP_USER_AGENT", ""):
        return ()
    asked = ("REQUEST_METHOD", "PATH_INFO", "QUERY_STRING", "HTTP_X_AMZ_TARGET")
    return (said, *(environ.get(name, "") for name in asked))
