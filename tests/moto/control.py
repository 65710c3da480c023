"""The control channel, `/_laptop/...`: what AWS keeps to itself and a laptop cloud must know. JSON in and out.

    GET  /_laptop/instances                 every instance in every region, terminated ones too
    POST /_laptop/instances/{id}/state      {"state": "running" | "stopped" | "terminated", "reason": "..."}
    POST /_laptop/instances/{id}/shutdown   {"reason": "..."}: the machine switched itself off
    POST /_laptop/images/{id}               {"name", "owner": "099720109477" | "amazon", "region", "architecture": "x86_64"}:
                                            somebody publishes an image
    GET  /_laptop/functions/{name}/code     the zip of a Lambda function
    POST /_laptop/capacity                  {"unavailable": [{"instance_type", "zone": "*", "left": 0}]} replaces the list
    POST /_laptop/throttle                  {"operation": "ssm.GetParameter", "times": 3}: so many calls of instances
    POST /_laptop/rate                      {"operation": "ssm.PutParameter", "per_second": 3}: of anybody; 0 for any
    POST /_laptop/cut                       {"operation": "s3.GetObject", "bytes": 1000, "times": 3}: so many answers to
                                            instances break off after so many bytes
    POST /_laptop/delay                     {"operation": "ssm.*", "millis": 12}: of anybody; 0 for none
    GET  /_laptop/calls                     {"ec2.CreateFleet": 3, ...}; `?by=KEY` for those of access keys that begin so
    POST /_laptop/calls/reset
    GET  /_laptop/again                     {"times": 1}: so often Terraform was given an answer once more (`again.py`)
    POST /_laptop/age                       {"seconds": 1800}: all that AWS has noted of the time is so much older
    POST /_laptop/recording/stop            ends what `--record` began

A late report changes nothing and is answered like any other (see `states.py`). Bad input is answered 400 with
`{"error": "..."}`, what does not exist 404.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from typing import Any

from werkzeug.wrappers import Request, Response

import age
import images
import instances
import locks
import states
from again import Again
from calls import Calls
from cut import Cut
from delay import Delay
from patches.ec2_capacity import CAPACITY
from tape import Tape
from throttle import Throttle


class Refused(Exception):
    """A request that can't be carried out."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Control:
    """The WSGI application of the channel."""

    def __init__(self, calls: Calls, again: Again, tape: Tape | None, throttle: Throttle, cut: Cut, delay: Delay) -> None:
        self._calls = calls
        self._again = again
        self._tape = tape
        self._throttle = throttle
        self._cut = cut
        self._delay = delay
        self._routes: list[tuple[str, re.Pattern[str], Callable[..., Response]]] = [
            ("GET", re.compile(r"^/_laptop/instances$"), self._instances),
            ("POST", re.compile(r"^/_laptop/instances/([^/]+)/state$"), self._state),
            ("POST", re.compile(r"^/_laptop/instances/([^/]+)/shutdown$"), self._shutdown),
            ("POST", re.compile(r"^/_laptop/images/(ami-[0-9a-f]+)$"), self._publish_image),
            ("GET", re.compile(r"^/_laptop/functions/([^/]+)/code$"), self._code),
            ("POST", re.compile(r"^/_laptop/capacity$"), self._capacity),
            ("POST", re.compile(r"^/_laptop/throttle$"), self._set_throttle),
            ("POST", re.compile(r"^/_laptop/rate$"), self._set_rate),
            ("POST", re.compile(r"^/_laptop/cut$"), self._set_cut),
            ("POST", re.compile(r"^/_laptop/delay$"), self._set_delay),
            ("GET", re.compile(r"^/_laptop/calls$"), self._get_calls),
            ("POST", re.compile(r"^/_laptop/calls/reset$"), self._reset_calls),
            ("GET", re.compile(r"^/_laptop/again$"), self._get_again),
            ("POST", re.compile(r"^/_laptop/age$"), self._age),
            ("POST", re.compile(r"^/_laptop/recording/stop$"), self._stop_recording),
        ]

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        request = Request(environ)
        try:
            response = self._answer(request)
        except Refused as refused:
            response = _json({"error": str(refused)}, refused.status)
        return response(environ, start_response)

    def _answer(self, request: Request) -> Response:
        for method, pattern, handler in self._routes:
            match = pattern.match(request.path)
            if match and request.method == method:
                return handler(request, *match.groups())
        raise Refused(404, f"no {request.method} {request.path} here")

    def _instances(self, _request: Request) -> Response:
        with locks.of("ec2"):
            return _json(instances.all_of_them())

    def _state(self, request: Request, instance_id: str) -> Response:
        report = _body(request)
        state = _text(report, "state", f"one of {', '.join(states.REPORTS)}", lambda word: word in states.REPORTS)
        reason = _text(report, "reason", "a text", default="")
        with locks.of("ec2"):
            instances.report(_known(instance_id), state, reason)
        return Response(status=204)

    def _shutdown(self, request: Request, instance_id: str) -> Response:
        reason = _text(_body(request), "reason", "a text", default="")
        with locks.of("ec2"):
            instances.powered_off(_known(instance_id), reason)
        return Response(status=204)

    def _publish_image(self, request: Request, image_id: str) -> Response:
        wanted = _body(request)
        name, region = _text(wanted, "name", "a name"), _text(wanted, "region", "a region")
        owner = _text(wanted, "owner", "an account or amazon")
        architecture = _text(wanted, "architecture", "an architecture", default="x86_64")
        with locks.of("ec2"):
            images.publish(region, image_id, name, owner, architecture)
        return Response(status=204)

    def _code(self, _request: Request, name: str) -> Response:
        from moto.awslambda.models import lambda_backends

        with locks.of("awslambda"):
            for account in lambda_backends.values():
                for backend in account.values():
                    found = backend._lambdas._functions.get(name)
                    if found and found["latest"]:
                        return Response(found["latest"].code_bytes, mimetype="application/zip")
        raise Refused(404, f"no function {name}")

    def _capacity(self, request: Request) -> Response:
        listed = _body(request).get("unavailable")
        if not isinstance(listed, list):
            raise Refused(400, f"unavailable: found {json.dumps(listed)}, expected a list")
        shortages = []
        for entry in listed:
            if not isinstance(entry, dict):
                raise Refused(400, f"unavailable: found {json.dumps(entry)}, expected an object")
            left = entry.get("left", 0)
            if not isinstance(left, int) or isinstance(left, bool) or left < 0:
                raise Refused(400, f"unavailable.left: found {json.dumps(left)}, expected a whole number from 0")
            kind = _text(entry, "instance_type", "an instance type")
            shortages.append((kind, _text(entry, "zone", "a zone or *", default="*"), left))
        with locks.of("ec2"):
            CAPACITY.replace(shortages)
        return Response(status=204)

    def _set_throttle(self, request: Request) -> Response:
        wanted = _body(request)
        self._throttle.set(_operation(wanted), _count(wanted, "times"))
        return Response(status=204)

    def _set_rate(self, request: Request) -> Response:
        wanted = _body(request)
        self._throttle.limit(_operation(wanted), _count(wanted, "per_second"))
        return Response(status=204)

    def _set_cut(self, request: Request) -> Response:
        wanted = _body(request)
        self._cut.set(_operation(wanted), _count(wanted, "bytes"), _count(wanted, "times"))
        return Response(status=204)

    def _set_delay(self, request: Request) -> Response:
        wanted = _body(request)
        self._delay.set(_operation(wanted), _count(wanted, "millis"))
        return Response(status=204)

    def _get_calls(self, request: Request) -> Response:
        return _json(self._calls.counts(request.args.get("by")))

    def _reset_calls(self, _request: Request) -> Response:
        self._calls.reset()
        return Response(status=204)

    def _get_again(self, _request: Request) -> Response:
        return _json({"times": self._again.times})

    def _age(self, request: Request) -> Response:
        age.age(_count(_body(request), "seconds"))
        return Response(status=204)

    def _stop_recording(self, _request: Request) -> Response:
        if self._tape is None:
            raise Refused(404, "this server was not started with --record")
        self._tape.stop()
        return Response(status=204)


def _known(instance_id: str) -> Any:
    instance = instances.find(instance_id)
    if instance is None:
        raise Refused(404, f"no instance {instance_id}")
    return instance


def _body(request: Request) -> dict[str, Any]:
    text = request.get_data(as_text=True)
    try:
        value = json.loads(text or "{}")
    except ValueError as error:
        raise Refused(400, f"body: found {text[:80]!r}, expected JSON ({error})") from error
    if not isinstance(value, dict):
        raise Refused(400, f"body: found {text[:80]!r}, expected a JSON object")
    return value


def _operation(fields: dict[str, Any]) -> str:
    return _text(fields, "operation", "an operation such as ssm.GetParameter", lambda name: "." in name)


def _count(fields: dict[str, Any], name: str) -> int:
    value = fields.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise Refused(400, f"{name}: found {json.dumps(value)}, expected a whole number from 0")
    return value


def _text(
    fields: dict[str, Any],
    name: str,
    allowed: str,
    good: Callable[[str], bool] = lambda _: True,
    default: str | None = None,
) -> str:
    value = fields.get(name)
    if value is None and default is not None:
        return default
    if not isinstance(value, str) or not good(value):
        raise Refused(400, f"{name}: found {json.dumps(value)}, expected {allowed}")
    return value


def _json(value: Any, status: int = 200) -> Response:
    return Response(json.dumps(value), status=status, mimetype="application/json")
