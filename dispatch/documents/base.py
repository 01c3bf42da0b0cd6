"""What documents share: stored JSON with its secrets masked, tenants, failures."""

from __future__ import annotations

import json
from typing import Any

from typing_extensions import TypedDict

from dispatch.jobs.model import Failure
from dispatch.masking import mask_value
from dispatch.scope import Scope
from dispatch.text import safe


class ScopeDocument(TypedDict):
    """A tenant."""

    app_id: str
    org_id: str


class ShortError(TypedDict):
    """What went wrong, without the traceback."""

    type: str
    message: str


class ErrorDocument(ShortError):
    """What went wrong."""

    traceback: str | None


def short_error(failure: Failure | None) -> ShortError | None:
    """What went wrong in a line, or None."""
    return None if failure is None else {"type": failure.type, "message": failure.message}


def error_document(failure: Failure | None) -> ErrorDocument | None:
    """What went wrong, or None."""
    if failure is None:
        return None
    return {"type": failure.type, "message": failure.message, "traceback": failure.traceback}


def scope_document(scope: Scope) -> ScopeDocument | None:
    """The tenant, or None when the work is nobody's in particular."""
    return {"app_id": scope.app_id, "org_id": scope.org_id} if scope else None


def readable(data: bytes | None) -> tuple[Any, str | None]:
    """Stored bytes as (JSON value, None), or as (None, escaped text) when they are no JSON."""
    if data is None:
        return None, None
    try:
        return mask_value("", json.loads(data, parse_constant=_refused)), None
    except (ValueError, RecursionError):
        return None, safe(data.decode("utf-8", "backslashreplace"))


def plain(data: bytes | None) -> Any:
    """Stored bytes as a JSON value, as they are; None when they are no JSON."""
    try:
        return None if data is None else json.loads(data, parse_constant=_refused)
    except (ValueError, RecursionError):
        return None


def _refused(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")
