"""The envelope of the wire protocol: one shape for requests, responses, events, errors, pings and pongs."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct

from dispatch.masking import MASK

MOST_CREDITS = 1_000_000
_NOTHING = ("", UNSET, None, 0)
_Text = Annotated[str, Meta(max_length=200)]


class FrameType(StrEnum):
    """What a frame is."""

    REQUEST = "request"
    RESPONSE = "response"
    EVENT = "event"
    ERROR = "error"
    PING = "ping"
    PONG = "pong"


class FrameError(Struct, omit_defaults=True):
    """What went wrong: a status as HTTP has them, and a sentence."""

    code: int
    message: str
    details: Any = None


class Frame(Struct, omit_defaults=True, kw_only=True):
    """One message, in either direction; fields that say nothing are left out.

    >>> Frame(type=FrameType.REQUEST, id="1", method="stats")
    Frame(type=<FrameType.REQUEST: 'request'>, id='1', method='stats')
    """

    type: FrameType
    id: _Text = ""
    """Chosen by the sender; answers bear it as `correl_id`."""
    method: _Text = ""
    correl_id: _Text = ""
    token: Annotated[str, Meta(max_length=1000)] = ""
    """An API key, in a request over RPC or in the first frame of a WebSocket."""
    app_id: _Text = ""
    org_id: _Text = ""
    """The tenant that the client believes itself to be; it is never more than what its key says."""
    data: Any = UNSET
    error: FrameError | None = None
    channel: Annotated[str, Meta(max_length=300)] = ""
    credits: Annotated[int, Meta(ge=0, le=MOST_CREDITS)] = 0
    """How many further events the sender of this frame is ready to take."""
    ts: Any = UNSET
    """When it was sent, RFC 3339; readers accept anything, or nothing."""

    def __repr__(self) -> str:
        shown = {name: value for name in self.__struct_fields__ if (value := getattr(self, name)) not in _NOTHING}
        if self.token:
            shown["token"] = MASK
        return f"Frame({', '.join(f'{name}={value!r}' for name, value in shown.items())})"

    @property
    def body(self) -> Any:
        """The data; None where there is none."""
        return None if self.data is UNSET else self.data
