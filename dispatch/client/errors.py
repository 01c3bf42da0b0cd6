"""What goes wrong between a client and its server; what the server itself refuses has the names it has in-process."""

from __future__ import annotations

from inspect import isfunction
from typing import Any

from dispatch.errors import Conflict, DispatchError, DuplicateJob, InvalidArguments, NotFound, PayloadTooLarge, code_of


class ClientError(DispatchError):
    """A request came to nothing."""


class ConnectionLost(ClientError, ConnectionError):
    """The server is not there, or went away before it answered: what was asked for may or may not have been done."""


class RequestTimeout(ClientError, TimeoutError):
    """No answer in time: what was asked for may or may not have been done."""


class Unauthenticated(ClientError):
    """The server does not know the key (any more)."""


class Forbidden(ClientError):
    """The key is not allowed that."""


class TooManyRequests(ClientError):
    """The server asks to wait."""


class ServerFailed(ClientError):
    """The server could not do it, through no fault of the request."""


_KINDS: dict[int, type[DispatchError]] = {
    400: InvalidArguments,
    401: Unauthenticated,
    403: Forbidden,
    404: NotFound,
    405: InvalidArguments,
    409: Conflict,
    413: PayloadTooLarge,
    422: InvalidArguments,
    429: TooManyRequests,
}


def error_of(status: int, message: str, details: Any = None) -> DispatchError:
    """The error that a server's refusal is here; `details` hang on it."""
    error = _KINDS.get(status, ServerFailed)(message)
    if details is not None:
        error.add_note(f"details: {details}")
    return error


def refusal_of(status: int, code: str, message: str) -> DispatchError:
    """The error that the HTTP API's refusal is in-process, by its code, else by its status."""
    if code == code_of(DuplicateJob):
        return DuplicateJob(message, existing="")
    kinds = [DispatchError]
    for kind in kinds:
        kinds += kind.__subclasses__()
    known = next((kind for kind in kinds if code_of(kind) == code and not isfunction(kind.__init__)), None)
    return error_of(status, message) if known is None else known(message)
