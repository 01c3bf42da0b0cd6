"""What the documents of several kinds have in common: errors, open moments, ids and numbers."""

from __future__ import annotations

from datetime import datetime

from dispatch.clock import from_micros, micros
from dispatch.jobs.model import Failure
from dispatch.transfer import Document


def error_fields(failure: Failure | None) -> dict[str, str | None]:
    if failure is None:
        return {"error_type": None, "error_message": None, "error_traceback": None}
    return {"error_type": failure.type, "error_message": failure.message, "error_traceback": failure.traceback}


def failure_of(document: Document) -> Failure | None:
    kind = document["error_type"]
    return None if kind is None else Failure(kind, document["error_message"] or "", document["error_traceback"])


def text(id_: str | None) -> str | None:
    return None if id_ is None else str(id_)


def real(value: float | None) -> float | None:
    return None if value is None else float(value)


def micros_of(moment: datetime | None) -> int | None:
    return None if moment is None else micros(moment)


def moment(value: int | None) -> datetime | None:
    return None if value is None else from_micros(value)
