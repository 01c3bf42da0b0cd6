"""What a client is told when something goes wrong: a status, a sentence, nothing of the inside."""

from __future__ import annotations

from typing import Any

from dispatch import errors
from dispatch.errors import code_of
from dispatch.wire.codecs import BadFrame, Codec
from dispatch.wire.frames import Frame, FrameError, FrameType

_STATUSES: tuple[tuple[type[Exception], int], ...] = (
    (errors.NotFound, 404),
    (errors.JobPurged, 404),
    (errors.PayloadTooLarge, 413),
    (errors.NoOpenApp, 500),
    (errors.UsageError, 400),
    (errors.DataRejected, 400),
    (errors.Conflict, 409),
    (errors.ResultError, 409),
    (errors.LeadershipLost, 409),
)
UNAUTHENTICATED = "show a valid API key"


class Refusal(Exception):
    """An answer that is not a success."""

    def __init__(self, status: int, message: str, *, details: Any = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.details = details


def refusal_of(error: Exception) -> Refusal:
    """What an error is to whoever asked; status 500 for what is no fault of theirs."""
    if isinstance(error, Refusal):
        return error
    if isinstance(error, BadFrame):
        return Refusal(413 if error.too_large else 400, str(error))
    status = next((status for kind, status in _STATUSES if isinstance(error, kind)), 500)
    if status != 500:
        return Refusal(status, str(error), details={"code": code_of(type(error))})
    if isinstance(error, errors.StoreError):
        return Refusal(500, "the store cannot do that now; try again in a moment", details={"code": "store"})
    return Refusal(500, "something went wrong inside; the server's log has it", details={"code": "internal"})


def encoded(codec: Codec, frame: Frame) -> bytes:
    """The frame as bytes; an error for one that the format cannot hold, such as long integers in msgpack."""
    try:
        return codec.encode(frame)
    except (OverflowError, TypeError, ValueError) as error:
        why = Refusal(500, f"the answer cannot be written as {codec.name}: {error}; json can hold it")
        return codec.encode(refused(why, frame.correl_id))


def refused(refusal: Refusal, to: str) -> Frame:
    """The error frame that answers the request of that id."""
    return Frame(
        type=FrameType.ERROR,
        correl_id=to,
        error=FrameError(refusal.status, refusal.message, refusal.details),
    )
