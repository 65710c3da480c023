"""Who calls: the access key of the request that this thread or task is in, and what AWS would call its owner."""

from __future__ import annotations

import contextvars
import re

# Access keys that the metadata service hands out tell the instance: `ASIA` and the 17 digits of its id.
_INSTANCE_KEY = re.compile(r"^ASIA([0-9A-F]{17})$")
_CREDENTIAL = re.compile(r"Credential=([^/,\s]+)/")

RUNNER_ROLE_ID = "AROALAPTOPRUNNERROLE1"
OTHER = "AIDALAPTOPCALLER"

_access_key: contextvars.ContextVar[str] = contextvars.ContextVar("access_key", default="")


def enter(authorization: str) -> contextvars.Token[str]:
    """Notes the caller of the request whose `Authorization` header this is."""
    found = _CREDENTIAL.search(authorization)
    return _access_key.set(found.group(1) if found else "")


def leave(token: contextvars.Token[str]) -> None:
    """Ends what `enter` began."""
    _access_key.reset(token)


def sender_id(access_key: str) -> str:
    """The user id of an access key: `<role id>:<instance id>` for an instance profile, as `aws:userid` has it."""
    instance = _INSTANCE_KEY.match(access_key)
    return f"{RUNNER_ROLE_ID}:i-{instance.group(1).lower()}" if instance else OTHER


def access_key() -> str:
    """The access key of the request at hand."""
    return _access_key.get()


def current_sender_id() -> str:
    """The user id of whoever made the request at hand."""
    return sender_id(_access_key.get())


def is_instance() -> bool:
    """Whether an instance made the request at hand."""
    return _INSTANCE_KEY.match(_access_key.get()) is not None
