"""Breaks off long answers to instances, as a connection does that goes away in the middle."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator

import caller


class Cut:
    """How many answers of which operation are still to be broken off, and after how many bytes. Functions are spared."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._left: dict[str, tuple[int, int]] = {}

    def set(self, operation: str, size: int, times: int) -> None:
        """Breaks the next `times` answers of `operation`, such as `s3.GetObject`, off that have more than `size` bytes."""
        with self._lock:
            self._left[operation] = (size, times)

    def shortened(self, operation: str, answer: list[bytes]) -> Iterable[bytes]:
        """What is to go out of `answer`, whose head has been given to the server already."""
        if not caller.is_instance():
            return answer
        with self._lock:
            size, times = self._left.get(operation, (0, 0))
            if times == 0 or sum(map(len, answer)) <= size:
                return answer
            self._left[operation] = (size, times - 1)
        return _broken_off(b"".join(answer)[:size])


def _broken_off(part: bytes) -> Iterator[bytes]:
    yield part
    # The server then closes the connection, though it has promised more, and says nothing of it.
    raise ConnectionResetError
