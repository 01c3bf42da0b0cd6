"""What is sent: from an entry of the store's feed to the bytes of a webhook's body."""

from __future__ import annotations

import hashlib
import inspect
import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar, overload

from pydantic import ValidationError
from pydantic_core import from_json

from dispatch.ids import JobID, encode_suffix
from dispatch_relay.errors import InvalidEndpoint
from dispatch_relay.events import DEFINITIONS, PREFIX

_PLAIN_ID = re.compile(r"[A-Za-z0-9_:-]{1,128}")
_VERSION_AND_VARIANT = (0x7 << 76) | (0x2 << 62)
_HASHED_BITS = ((1 << 12) - 1) << 64 | ((1 << 62) - 1)


@dataclass(frozen=True, slots=True)
class RelayEvent:
    """One state change, as it is kept until every endpoint has it."""

    id: str
    """The `webhook-id`: the same for all endpoints and on all attempts."""
    type: str
    """Such as "dispatch.job.failed"."""
    at: datetime
    """When it happened, by the store's clock."""
    data: dict[str, Any]
    tenant: str = ""
    """`app_id/org_id` of its scope; "" for none."""


PayloadFunc = Callable[[RelayEvent], Any | Awaitable[Any]]
"""Makes another `data` of an event: any JSON value; may be `async`."""
F = TypeVar("F", bound=PayloadFunc)
_shared: dict[str, PayloadFunc] = {}


@overload
def payload_func(event_type: str, fn: F) -> F: ...
@overload
def payload_func(event_type: str, fn: None = None) -> Callable[[F], F]: ...
def payload_func(event_type: str, fn: PayloadFunc | None = None) -> Any:
    """Chooses what webhooks of one type carry as `data`, in this process; `RelayExtension(payload_funcs=)` goes before.

    It runs where the webhook is delivered, at each attempt. What it raises fails the attempt: nothing else is sent.

    Args:
        event_type: such as EVENT_JOB_FAILED. fn: takes a RelayEvent and returns any JSON value; may be `async`.

    Returns:
        The function; without `fn`, a decorator.

    Raises:
        InvalidEndpoint: there is no such event type.

    >>> @payload_func("dispatch.job.failed")  # doctest: +SKIP
    ... def only_the_id(event):
    ...     return {"job_id": event.data["job_id"]}
    """
    checked_event_type(event_type)
    if fn is None:
        return lambda function: payload_func(event_type, function)
    _shared[event_type] = fn
    return fn


def shared_payload_funcs() -> dict[str, PayloadFunc]:
    """Those that `payload_func` chose."""
    return _shared


def checked_event_type(event_type: str) -> str:
    """The name of an event type; InvalidEndpoint tells which there are."""
    if event_type not in DEFINITIONS:
        raise InvalidEndpoint(f"there is no event type {event_type!r}; there are {', '.join(DEFINITIONS)}")
    return event_type


def event_of(*, id: str, feed_type: str, at: datetime, tenant: str, data: bytes) -> RelayEvent:
    """The event of a feed entry; ValueError when its data are no JSON object.

    An id that does not fit a header is replaced by a digest of it.
    """
    name = f"{PREFIX}{feed_type}"
    plain = id if _PLAIN_ID.fullmatch(id) else f"msg_{hashlib.sha256(id.encode()).hexdigest()[:32]}"
    held = from_json(data, allow_inf_nan=False)
    if not isinstance(held, dict):
        raise ValueError("its data are no JSON object")
    return RelayEvent(plain, name, at, _documented(name, held), tenant)


def delivery_id(event: RelayEvent, endpoint: str) -> JobID:
    """The id of the job that delivers the event to that endpoint: the same whoever makes it, however often."""
    digest = hashlib.sha256(f"{event.id}\0{endpoint}".encode()).digest()
    milliseconds = int(event.at.timestamp() * 1000) & ((1 << 48) - 1)
    value = milliseconds << 80 | _VERSION_AND_VARIANT | int.from_bytes(digest[:16], "big") & _HASHED_BITS
    return JobID(f"{JobID.prefix}_{encode_suffix(value)}")


async def body_of(event: RelayEvent, change: PayloadFunc | None = None) -> bytes:
    """The bytes that are signed and sent."""
    data: Any = event.data
    if change is not None:
        data = change(event)
        if inspect.isawaitable(data):
            data = await data
    stamp = event.at.isoformat().replace("+00:00", "Z")
    document = {"type": event.type, "timestamp": stamp, "data": data}
    return json.dumps(document, separators=(",", ":"), allow_nan=False).encode()


def _documented(name: str, data: dict[str, Any]) -> dict[str, Any]:
    """The data as the event's model has them; as they are where they do not fit it: better odd than lost."""
    try:
        model = DEFINITIONS[name].payload.model_validate(data)
    except ValidationError:
        return data
    return model.model_dump(mode="json", exclude_none=True)
