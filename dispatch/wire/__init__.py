"""The wire protocol: frames over WebSocket, server-sent events and plain HTTP. Names are imported when first used."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dispatch.access import Identity
    from dispatch.wire.authenticator import APIKeyAuthenticator, APIKeyEntry, Authenticator, StoredKeys
    from dispatch.wire.codecs import BadFrame, Codec, JSONCodec, MsgpackCodec
    from dispatch.wire.frames import Frame, FrameError, FrameType
    from dispatch.wire.handler import WireHandler
    from dispatch.wire.server import WireServer

_HOMES = {
    "APIKeyAuthenticator": "dispatch.wire.authenticator",
    "APIKeyEntry": "dispatch.wire.authenticator",
    "Authenticator": "dispatch.wire.authenticator",
    "BadFrame": "dispatch.wire.codecs",
    "Codec": "dispatch.wire.codecs",
    "Frame": "dispatch.wire.frames",
    "FrameError": "dispatch.wire.frames",
    "FrameType": "dispatch.wire.frames",
    "Identity": "dispatch.access",
    "JSONCodec": "dispatch.wire.codecs",
    "MsgpackCodec": "dispatch.wire.codecs",
    "StoredKeys": "dispatch.wire.authenticator",
    "WireHandler": "dispatch.wire.handler",
    "WireServer": "dispatch.wire.server",
}
__all__ = [
    "APIKeyAuthenticator",
    "APIKeyEntry",
    "Authenticator",
    "BadFrame",
    "Codec",
    "Frame",
    "FrameError",
    "FrameType",
    "Identity",
    "JSONCodec",
    "MsgpackCodec",
    "StoredKeys",
    "WireHandler",
    "WireServer",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(home), name)
