"""Frames as bytes and back: JSON in text messages, msgpack in binary ones; limited, and nothing but what JSON knows."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Protocol

import msgspec

from dispatch.wire.frames import Frame

DEEPEST = 64
LARGEST = 1024 * 1024


class BadFrame(ValueError):
    """What came is no frame; the text says why, for whoever sent it."""

    def __init__(self, message: str, *, too_large: bool = False) -> None:
        super().__init__(message)
        self.too_large = too_large


class Codec(Protocol):
    """How frames are written."""

    name: ClassVar[str]
    binary: ClassVar[bool]
    """Whether they travel in binary messages."""

    def encode(self, frame: Frame) -> bytes:
        """The frame as bytes."""
        ...

    def decode(self, data: bytes | str) -> Frame:
        """The frame in the bytes. Raises BadFrame."""
        ...


class JSONCodec:
    """Frames as JSON objects.

    >>> JSONCodec().encode(Frame(type="ping", id="7"))
    b'{"type":"ping","id":"7"}'
    """

    name: ClassVar[str] = "json"
    binary: ClassVar[bool] = False

    def __init__(self, *, largest: int = LARGEST, deepest: int = DEEPEST) -> None:
        self._limits = (largest, deepest)
        self._encoder = msgspec.json.Encoder(enc_hook=_plain)
        self._decoder = msgspec.json.Decoder(Frame)

    def encode(self, frame: Frame) -> bytes:
        return self._encoder.encode(frame)

    def decode(self, data: bytes | str) -> Frame:
        raw = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
        return _read(self._decoder, raw, *self._limits)


class MsgpackCodec:
    """Frames as msgpack maps, without extension types, bytes, or keys that are no texts."""

    name: ClassVar[str] = "msgpack"
    binary: ClassVar[bool] = True

    def __init__(self, *, largest: int = LARGEST, deepest: int = DEEPEST) -> None:
        self._limits = (largest, deepest)
        self._encoder = msgspec.msgpack.Encoder(enc_hook=_plain)
        self._decoder = msgspec.msgpack.Decoder(Frame)

    def encode(self, frame: Frame) -> bytes:
        return self._encoder.encode(frame)

    def decode(self, data: bytes | str) -> Frame:
        raw = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
        return _read(self._decoder, raw, *self._limits)


CODECS: dict[str, type[JSONCodec | MsgpackCodec]] = {"json": JSONCodec, "msgpack": MsgpackCodec}


def _plain(value: Any) -> Any:
    """Ids are texts."""
    if isinstance(value, str):
        return str(value)
    raise TypeError(f"a {type(value).__name__} is no JSON value")


def _read(decoder: Any, raw: bytes, largest: int, deepest: int) -> Frame:
    if len(raw) > largest:
        raise BadFrame(f"the frame takes {len(raw):,} bytes, more than {largest:,}", too_large=True)
    try:
        frame: Frame = decoder.decode(raw)
    except RecursionError:
        raise BadFrame(f"the frame nests deeper than {deepest} levels", too_large=True) from None
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError) as error:
        raise BadFrame(f"that is no frame: {error}") from None
    frame.ts = msgspec.UNSET
    _check(frame.data, deepest)
    if frame.error is not None:
        _check(frame.error.details, deepest)
    return frame


def _check(data: Any, deepest: int) -> None:
    """BadFrame unless the data are what JSON can hold, and not too deep."""
    level = [data]
    for _ in range(deepest + 1):
        below: list[Any] = []
        for value in level:
            match value:
                case None | msgspec.UNSET | bool() | str() | int():
                    continue
                case float():
                    if not math.isfinite(value):
                        raise BadFrame("NaN and infinity are no JSON values")
                case list():
                    below += value
                case dict():
                    if not all(isinstance(key, str) for key in value):
                        raise BadFrame("the keys of an object are texts")
                    below += value.values()
                case _:
                    raise BadFrame(f"a {type(value).__name__} is no JSON value")
        if not below:
            return
        level = below
    raise BadFrame(f"the frame nests deeper than {deepest} levels", too_large=True)
