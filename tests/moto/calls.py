"""Counts calls by service and operation: `ec2.CreateFleet`, `s3.GetObject`, `lambda.ListFunctions`."""

from __future__ import annotations

import collections
import functools
import re
import threading

_FORM_ACTION = re.compile(rb"(?:^|&)Action=([A-Za-z]+)")
# moto's name of a service where it isn't the API's.
_NAMES = {"awslambda": "lambda"}

# What the object and bucket calls in use are named; sub-resources (`?versioning`) go by method and name.
_S3 = {
    ("GET", True): "GetObject",
    ("PUT", True): "PutObject",
    ("HEAD", True): "HeadObject",
    ("DELETE", True): "DeleteObject",
    ("GET", False): "ListObjects",
    ("PUT", False): "CreateBucket",
    ("HEAD", False): "HeadBucket",
    ("DELETE", False): "DeleteBucket",
}
_S3_NO_SUBRESOURCE = re.compile(r"^(?:$|x-id=|list-type=|prefix=|delimiter=|max-keys=|encoding-type=|versionId=)")


@functools.cache
def _rest_operations(service: str, method: str) -> list[tuple[re.Pattern[str], str]]:
    """Path patterns and names of a REST service's operations, longest pattern first as moto itself matches them."""
    from moto.core.responses import _get_method_urls

    urls = _get_method_urls(service, "us-east-1").get(method, {})
    return [(re.compile(pattern), name) for pattern, name in sorted(urls.items(), key=lambda url: -len(url[0]))]


def operation(service: str, method: str, path: str, query: str, target: str, body: bytes) -> str:
    """The name of the operation that a request asks `service` for, as `service.Operation`."""
    service = _NAMES.get(service, service)
    # HTTP APIs are signed for, and served, under the REST APIs' name.
    if service == "apigateway" and path.startswith("/v2/"):
        service = "apigatewayv2"
    return f"{service}.{_operation(service, method, path, query, target, body)}"


def _operation(service: str, method: str, path: str, query: str, target: str, body: bytes) -> str:
    if target:
        return target.rsplit(".", 1)[-1]
    form = _FORM_ACTION.search(body[:65536]) or _FORM_ACTION.search(query.encode())
    if form:
        return form.group(1).decode()
    if service == "s3":
        if not path.strip("/"):
            return "ListBuckets"
        has_key = "/" in path.strip("/")
        if _S3_NO_SUBRESOURCE.match(query):
            return _S3.get((method, has_key), f"{method} {'object' if has_key else 'bucket'}")
        return f"{method} {'object' if has_key else 'bucket'}?{re.split('[=&]', query, maxsplit=1)[0]}"
    for pattern, name in _rest_operations(service, method):
        if pattern.match(path):
            return name
    return method


class Calls:
    """The counts since the start or the last reset."""

    def __init__(self) -> None:
        self._counts: collections.Counter[tuple[str, str]] = collections.Counter()
        self._lock = threading.Lock()

    def add(self, name: str, by: str) -> None:
        """Counts one call that was made with the access key `by`."""
        with self._lock:
            self._counts[name, by] += 1

    def counts(self, by: str | None = None) -> dict[str, int]:
        """All counts, or those of the access keys that begin so, by name."""
        counts: collections.Counter[str] = collections.Counter()
        with self._lock:
            for (name, key), count in self._counts.items():
                if by is None or key.startswith(by):
                    counts[name] += count
        return dict(sorted(counts.items()))

    def reset(self) -> None:
        """Starts again at none."""
        with self._lock:
            self._counts.clear()
