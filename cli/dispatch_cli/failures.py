"""From an error to an exit code and a line on stderr; never a traceback, unless DISPATCH_TRACEBACK=1 asks for it."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
import traceback

import typer
from typer.exceptions import TyperException

from dispatch import errors
from dispatch.client.errors import ConnectionLost, Forbidden, RequestTimeout, TooManyRequests, Unauthenticated
from dispatch.text import safe

FAILED, USAGE, AUTHENTICATION, NOT_FOUND, CONFLICT = 1, 2, 3, 4, 5
STORE, DISCOVERY, TIMED_OUT, CHECK, PARTLY, INTERRUPTED = 6, 7, 8, 9, 75, 130

CODES: tuple[tuple[type[BaseException], int], ...] = (
    (KeyboardInterrupt, INTERRUPTED),
    (asyncio.CancelledError, INTERRUPTED),
    (Unauthenticated, AUTHENTICATION),
    (Forbidden, AUTHENTICATION),
    (TooManyRequests, AUTHENTICATION),
    (ConnectionLost, STORE),
    (RequestTimeout, STORE),
    (errors.SchemaMismatch, CHECK),
    (errors.DataRejected, USAGE),
    (errors.StoreError, STORE),
    (errors.DiscoveryError, DISCOVERY),
    (errors.DuplicateName, CONFLICT),
    (errors.UsageError, USAGE),
    (errors.NotFound, NOT_FOUND),
    (errors.JobPurged, NOT_FOUND),
    (errors.Conflict, CONFLICT),
    (errors.LeadershipLost, CONFLICT),
    (errors.WaitTimeout, TIMED_OUT),
    (errors.DispatchError, FAILED),
)
"""The first class that fits decides."""


class CommandError(Exception):
    """What a command itself has to complain about; `hint` says what to do next."""

    def __init__(self, message: str, *, code: str = "usage", exit_code: int = USAGE, hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.exit_code = exit_code
        self.hint = hint


def exit_code(error: BaseException) -> int:
    """The exit code that an error leads to."""
    if isinstance(error, CommandError):
        return error.exit_code
    if isinstance(error, TyperException):
        return int(error.exit_code)
    return next((code for kind, code in CODES if isinstance(error, kind)), FAILED)


def error_code(error: BaseException) -> str:
    """The stable name of an error: "job_not_found" for JobNotFound; "usage" for a wrong command line."""
    match error:
        case CommandError():
            return error.code
        case TyperException():
            return "usage"
        case KeyboardInterrupt() | asyncio.CancelledError() | typer.Abort():
            return "interrupted"
        case errors.DispatchError():
            return errors.code_of(type(error))
        case _:
            return "internal"


def describe(error: BaseException) -> tuple[str, str]:
    """The message and the hint of an error, ready to be shown."""
    match error:
        case CommandError():
            return str(error), error.hint
        case TyperException():
            return _as_ours(error.format_message()), _help_of(error)
        case KeyboardInterrupt() | asyncio.CancelledError() | typer.Abort():
            return "interrupted", ""
        case errors.DispatchError():
            return str(error) or (type(error).__doc__ or type(error).__name__), ""
        case _:
            text = f"{type(error).__name__}: {error}"
            return f"internal error: {text}", "this is a bug in Dispatch; DISPATCH_TRACEBACK=1 shows where it happened"


def report(error: BaseException, *, as_json: bool) -> int:
    """Writes the error to stderr and answers the exit code."""
    if os.environ.get("DISPATCH_TRACEBACK") == "1":
        traceback.print_exception(error, file=sys.stderr)
    message, hint = describe(error)
    if as_json:
        document = {"code": error_code(error), "message": message, **({"hint": hint} if hint else {})}
        print(json.dumps({"error": document}), file=sys.stderr)
    else:
        print(f"error: {safe(message)}", file=sys.stderr)
        if hint:
            print(f"hint: {safe(hint)}", file=sys.stderr)
    return INTERRUPTED if isinstance(error, typer.Abort) else exit_code(error)


def _as_ours(message: str) -> str:
    """Typer's sentences in the manner of ours: no capital, no full stop, the nearest name as a question."""
    message = re.sub(r" \(Possible options: ([^)]*)\)", lambda found: f"; did you mean {found[1]}?", message)
    message = re.sub(r", unable to parse string as an? \w+", "", message.replace("Input should be", "it should be"))
    message = message.replace("\n\t", " ").rstrip(".")
    return message[:1].lower() + message[1:]


def _help_of(error: TyperException) -> str:
    context = getattr(error, "ctx", None)
    return f"`{context.command_path} --help` shows how it is used" if context is not None else ""
