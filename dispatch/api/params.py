"""What routes take from path, query and headers, with its limits; and the shape of lists."""

from __future__ import annotations

import base64
import binascii
from datetime import UTC, datetime
from typing import Annotated, Any, Generic, TypeVar

from fastapi import Header, Path, Query
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

from dispatch.api.guard import Ask
from dispatch.api.problems import Problem
from dispatch.clock import LONGEST
from dispatch.entity import LARGEST_PAGE, PAGE_SIZE, Page
from dispatch.jobs.base import NAME
from dispatch.scope import Scope

T = TypeVar("T")
_SUFFIX = "[0-7][0-9a-hjkmnp-tv-z]{25}"
_NAME = NAME.pattern.strip("^$")
_MOST_FILTERS = 50

JobIDText = Annotated[str, Path(pattern=f"^job_{_SUFFIX}$", examples=["job_01k9ztq3e8f5v8k4y3v9h2m7xa"])]
RunIDText = Annotated[str, Path(pattern=f"^run_{_SUFFIX}$", examples=["run_01k9ztq3e8f5v8k4y3v9h2m7xa"])]
LetterIDText = Annotated[str, Path(pattern=f"^dlq_{_SUFFIX}$")]
EventIDText = Annotated[str, Path(pattern=f"^evt_{_SUFFIX}$")]
WorkerIDText = Annotated[str, Path(pattern=f"^wkr_{_SUFFIX}$")]
KeyIDText = Annotated[str, Path(pattern="^[0-9a-f]{16}$", description="The public id of a key.")]
QueueName = Annotated[str, Path(pattern=f"^{_NAME}$")]
CronKey = Annotated[str, Path(pattern=f"^{_NAME}$", description="The entry's id or its name.")]

Limit = Annotated[int, Query(ge=1, le=LARGEST_PAGE, description="Rows on a page.")]
Names = Annotated[
    list[Annotated[str, Field(pattern=f"^{_NAME}$")]],
    Query(alias="name", default_factory=list, max_length=_MOST_FILTERS),
]
Queues = Annotated[
    list[Annotated[str, Field(pattern=f"^{_NAME}$")]],
    Query(alias="queue", default_factory=list, max_length=_MOST_FILTERS),
]
Tags = Annotated[
    list[Annotated[str, Field(max_length=256)]],
    Query(alias="tag", default_factory=list, max_length=_MOST_FILTERS, description="Those that carry all of these."),
]
Cursor = Annotated[
    str | None, Query(max_length=400, pattern="^[A-Za-z0-9_=-]+$", description="`next_cursor` of the page before.")
]
IdempotencyKey = Annotated[
    str | None,
    Header(alias="Idempotency-Key", min_length=1, max_length=200, pattern="^[!-~]+$",
           description="The same key again makes nothing new, for a day."),
]  # fmt: skip


def _utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except (OverflowError, ValueError):
        raise ValueError("lies outside of the years 1 to 9999") from None


Moment = Annotated[AwareDatetime, AfterValidator(_utc)]
Since = Annotated[Moment | None, Query(description="Created at that moment or later (with a time zone).")]
Until = Annotated[Moment | None, Query(description="Created before that moment (with a time zone).")]
Seconds = Annotated[float, Field(ge=0, le=LONGEST, allow_inf_nan=False)]
Reason = Annotated[str, Field(max_length=500, pattern=r"^[^\x00]*$", description="Why, for the audit record.")]
WhyInURL = Annotated[str, Query(alias="reason", max_length=500, description="Why, for the audit record.")]
Text = Annotated[str, Field(max_length=500, pattern=r"^[^\x00]*$")]
NameText = Annotated[str, Field(pattern=f"^{_NAME}$")]
Priority = Annotated[int, Field(ge=-32768, le=32767)]
Version = Annotated[int, Field(ge=1, le=2**31 - 1)]
Tag = Annotated[str, Field(max_length=256, pattern=r"^[^\x00]*$")]
Payload = Annotated[
    dict[str, Any] | list[Any] | None, Field(description="The arguments: by name (an object) or by position (a list).")
]


TENANT = r"^([^/\x00]{1,200}/[^/\x00]{0,200}|/[^/\x00]{1,200})$"
"""app/org, one of which may be empty."""


def scope_named(tenant: str | None) -> Scope:
    """The scope that app/org names; the empty one for None."""
    app_id, _, org_id = (tenant or "/").partition("/")
    return Scope(app_id, org_id)


class Body(BaseModel):
    """A request's JSON object; what it does not know it refuses."""

    model_config = ConfigDict(extra="forbid", strict=False, arbitrary_types_allowed=False)


JobIDs = Annotated[list[Annotated[str, Field(pattern=f"^job_{_SUFFIX}$")]], Field(min_length=1, max_length=500)]
RunIDs = Annotated[list[Annotated[str, Field(pattern=f"^run_{_SUFFIX}$")]], Field(min_length=1, max_length=500)]
LetterIDs = Annotated[list[Annotated[str, Field(pattern=f"^dlq_{_SUFFIX}$")]], Field(min_length=1, max_length=500)]


class Why(Body):
    """Why something is done."""

    reason: Reason = ""


class Listed(TypedDict, Generic[T]):
    """A page of a list; without `next_cursor` it is the last one."""

    items: list[T]
    next_cursor: str | None


class Items(TypedDict, Generic[T]):
    """A whole list."""

    items: list[T]


def listed(page: Page[Any], documents: list[Any]) -> dict[str, Any]:
    """A page of a list."""
    return {"items": documents, "next_cursor": page.next_cursor}


def page_size(ask: Ask, limit: int) -> int:
    """Rows on a page, as far as the configuration allows."""
    return min(limit, ask.app.config.limits.page)


def hidden(cursor: str | None) -> str | None:
    """A store's cursor as it may stand in a URL."""
    return None if cursor is None else base64.urlsafe_b64encode(cursor.encode()).decode()


def revealed(cursor: str | None) -> str | None:
    """A store's cursor from a URL. Raises Problem (422)."""
    if cursor is None:
        return None
    try:
        return base64.urlsafe_b64decode(cursor).decode()
    except (binascii.Error, ValueError):
        raise wrong_cursor() from None


def id_cursor(prefix: str, cursor: str | None) -> str | None:
    """A cursor that is an id. Raises Problem (422)."""
    if cursor is not None and not (cursor.startswith(f"{prefix}_") and len(cursor) == len(prefix) + 27):
        raise wrong_cursor()
    return cursor


def wrong_cursor() -> Problem:
    """The answer to a cursor that no page gave."""
    return Problem(422, "wrong_cursor", "no page ended there; take `next_cursor` of the page before")


DEFAULT_LIMIT = PAGE_SIZE
