"""What stands before moto: it takes each request, keeps services' requests apart, counts them, notes the caller, and
records where it is told to (`tape.py`).

A request goes `Front` -> (`control.py` for `/_laptop/...`) or (lock of the service -> moto's own application).
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterable
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

import caller
import locks
from again import Again
from calls import Calls, operation
from control import Control
from cut import Cut
from delay import Delay
from tape import Tape
from throttle import Throttle

# Not AWS's but moto's.
OWN = ("moto_api", "instance_metadata")


class Front:
    """The WSGI application; with a tape it records."""

    def __init__(self, tape: Tape | None = None) -> None:
        self.calls = Calls()
        self._tape = tape
        self._again = Again()
        self._throttle = Throttle()
        self._cut = Cut()
        self._delay = Delay()
        self._control = Control(self.calls, self._again, tape, self._throttle, self._cut, self._delay)
        self._moto = DomainDispatcherApplication(create_backend_app)

    @property
    def records(self) -> bool:
        """Whether a recording is being made."""
        return self._tape is not None and self._tape.running

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path.startswith("/_laptop/"):
            return self._control(environ, start_response)
        # Read before a lock is taken: a slow sender must not hold up others.
        body = _read_body(environ)
        return self._again.serve(environ, start_response, lambda environ, start: self._new(environ, start, body))

    def _new(self, environ: dict[str, Any], start_response: Any, body: bytes) -> Iterable[bytes]:
        with self._kept(environ, body):
            return self._pass_on(environ, start_response, body)

    def _kept(self, environ: dict[str, Any], body: bytes) -> Any:
        # A long poll would keep all others waiting.
        poll = environ.get("HTTP_X_AMZ_TARGET", "").endswith(".ReceiveMessage")
        if self._tape is None or not self._tape.running or poll:
            return contextlib.nullcontext()
        return self._tape.keep(environ, body)

    def _pass_on(self, environ: dict[str, Any], start_response: Any, body: bytes) -> Iterable[bytes]:
        app = self._moto.get_application(environ)
        service = app.service
        if service in OWN:
            # It may call this server again, to reset or replay: no lock.
            return _answer(app, environ, start_response)
        name = operation(
            service,
            environ["REQUEST_METHOD"],
            environ.get("PATH_INFO", ""),
            environ.get("QUERY_STRING", ""),
            environ.get("HTTP_X_AMZ_TARGET", ""),
            body,
        )
        token = caller.enter(environ.get("HTTP_AUTHORIZATION", ""))
        self.calls.add(name, caller.access_key())
        self._delay.keep(name)
        try:
            refusal = self._throttle.refusal(name)
            if refusal:
                return list(refusal(environ, start_response))
            with _lock(service, name):
                answer = _answer(app, environ, start_response)
            return self._cut.shortened(name, answer)
        finally:
            caller.leave(token)

    def warm(self, services: Iterable[str]) -> None:
        """Loads services before their first call."""
        from moto.backends import get_backend

        for service in services:
            get_backend(service)  # type: ignore[arg-type]


def _lock(service: str, name: str) -> Any:
    # A long poll waits; it takes the lock by itself, see patches/sqs_receive.py.
    if name == "sqs.ReceiveMessage":
        return contextlib.nullcontext()
    return locks.of(service)


def _read_body(environ: dict[str, Any]) -> bytes:
    """Takes the request's body off the wire; moto then reads it from memory."""
    length = environ.get("CONTENT_LENGTH")
    if length:
        body = environ["wsgi.input"].read(int(length))
    elif environ.get("wsgi.input_terminated"):
        body = environ["wsgi.input"].read()
    else:
        body = b""
    environ["wsgi.input"] = io.BytesIO(body)
    return body


def _answer(app: Any, environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """The whole answer, so that nothing of it is made after the lock is given back."""
    answer = app(environ, start_response)
    try:
        return list(answer)
    finally:
        close = getattr(answer, "close", None)
        if close:
            close()
