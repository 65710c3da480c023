"""Keeps what a deployment has asked for, and asks it again in seconds.

The AWS provider takes a minute to deploy, most of it waiting for SQS to settle, which moto has done at once. So a
server started with `--record FILE` keeps every request until `POST /_laptop/recording/stop`, and one started with
`--replay FILE` works through them before it listens. Ids are drawn from the same seed in the same order, so that
Terraform's state of the first deployment is true of the second server too, and its next plan is empty.
"""

from __future__ import annotations

import base64
import contextlib
import io
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from werkzeug.test import EnvironBuilder, run_wsgi_app

SEED = 20261120
_PLAIN_HEADERS = ("CONTENT_TYPE", "CONTENT_LENGTH")


def seed(number: int | None) -> None:
    """Sets what moto draws ids from; None for ids that nobody has seen."""
    from moto.moto_api._internal import mock_random

    mock_random.seed(number)


class Tape:
    """A recording being made. Until it is stopped it has another name, so that half of one is never replayed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._part = path.with_name(f"{path.name}.part")
        # For its owner alone: what is deployed with has secrets in it.
        self._file = open(self._part, "w", opener=lambda name, flags: os.open(name, flags | os.O_TRUNC, 0o600))
        # Requests are kept in the order in which ids are drawn for them, which takes one at a time.
        self._one = threading.RLock()
        self.running = True

    @contextlib.contextmanager
    def keep(self, environ: dict[str, Any], body: bytes) -> Iterator[None]:
        """Keeps a request and its turn."""
        with self._one:
            if self.running:
                self._file.write(_line(environ, body) + "\n")
            yield

    def stop(self) -> None:
        """Ends the recording."""
        with self._one:
            if not self.running:
                return
            self.running = False
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._part.rename(self._path)
            seed(None)


def replay(app: Any, path: Path) -> int:
    """Asks `app` all that the recording holds; how many requests that were."""
    count = 0
    with path.open() as lines:
        for count, line in enumerate(lines, start=1):
            builder = _request(json.loads(line))
            answer, _, _ = run_wsgi_app(app, builder.get_environ(), buffered=True)
            for _ in answer:
                pass
    return count


def _line(environ: dict[str, Any], body: bytes) -> str:
    headers = {
        name.removeprefix("HTTP_").replace("_", "-"): value
        for name, value in environ.items()
        if name.startswith("HTTP_") or name in _PLAIN_HEADERS
    }
    return json.dumps(
        {
            "method": environ["REQUEST_METHOD"],
            "path": environ.get("PATH_INFO", ""),
            "query": environ.get("QUERY_STRING", ""),
            "headers": headers,
            "body": base64.b64encode(body).decode(),
        }
    )


def _request(kept: dict[str, Any]) -> EnvironBuilder:
    return EnvironBuilder(
        method=kept["method"],
        path=kept["path"],
        query_string=kept["query"],
        headers=kept["headers"],
        input_stream=io.BytesIO(base64.b64decode(kept["body"])),
    )
