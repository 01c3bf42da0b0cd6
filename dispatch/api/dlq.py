"""Routes about dead letters."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query
from pydantic import Field
from starlette.responses import Response
from typing_extensions import TypedDict

from dispatch.access import DLQ_READ, DLQ_WRITE
from dispatch.api.bulk import MOST, BulkDocument, one_by_one
from dispatch.api.guard import Ask
from dispatch.api.params import (
    DEFAULT_LIMIT,
    Body,
    Cursor,
    Items,
    LetterIDs,
    LetterIDText,
    Limit,
    Listed,
    Names,
    NameText,
    Payload,
    Queues,
    Reason,
    Seconds,
    Text,
    Until,
    Why,
    id_cursor,
    listed,
    page_size,
)
from dispatch.api.problems import Problem, reply
from dispatch.api.routing import Asked, Route
from dispatch.dlq.model import DLQState, ListOptions
from dispatch.documents.letters import (
    GroupDocument,
    LetterDocument,
    LetterSummary,
    entry_document,
    entry_summary,
    group_document,
)
from dispatch.ids import DLQID
from dispatch.services.audit import acting_as
from dispatch.services.edits import Edit

States = Annotated[
    list[DLQState], Query(alias="state", default_factory=list, max_length=4, description="Default: open ones.")
]
ErrorTypes = Annotated[
    list[Annotated[str, Field(max_length=256)]], Query(alias="error", default_factory=list, max_length=50)
]


class GroupBody(Body):
    """Open dead letters that look alike."""

    job_name: NameText
    error_type: Text | None = None


class ReplayBody(Body):
    """Dead letters to replay: those named, or the newest 500 open ones that look alike (ask again for more)."""

    ids: LetterIDs | None = None
    group: GroupBody | None = None
    reason: Reason = ""


class ReplayOneBody(Body):
    """Other arguments for the new job, if it is to have others; the dead letter keeps its own."""

    payload: Payload = Field(
        None, description="All arguments, null for the dead letter's; a secret that was shown as *** and left so stays."
    )
    set: dict[Text, Any] = Field({}, description='Some of them: {"customer.email": "ada@example.com"}.')
    force: bool = Field(False, description="Whether `set` may add fields that are not there.")
    dry_run: bool = Field(False, description="Answer with job_id null whether it could be done, and write nothing.")
    reason: Reason = ""

    @property
    def edit(self) -> Edit | None:
        """What is to be edited, if anything."""
        return Edit(self.payload, self.set, self.force) if self.payload is not None or self.set else None


class DiscardBody(Body):
    """Dead letters to discard."""

    ids: LetterIDs
    reason: Reason = ""


class PurgeBody(Body):
    """Dead letters to delete for good."""

    older_than: Seconds = Field(0.0, description="Seconds since they died.")
    states: list[DLQState] = Field([], max_length=4, description="Default: in any state.")
    reason: Reason = ""


class CountDocument(TypedDict):
    """How many."""

    count: int


class ReplayedDocument(TypedDict):
    """What a dead letter was replayed as."""

    id: str
    job_id: str | None


class LetterState(TypedDict):
    """A dead letter that was decided."""

    id: str
    state: str


class PurgedDocument(TypedDict):
    """How many were deleted."""

    purged: int


async def list_entries(
    ask: Asked,
    state: States,
    queue: Queues,
    name: Names,
    error: ErrorTypes,
    until: Until = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Response:
    """List dead letters, newest first; by default those that wait for a decision."""
    options = ListOptions(
        states=state or (DLQState.OPEN,),
        queues=queue,
        names=name,
        error_types=error,
        scope=ask.scope,
        created_before=until,
        limit=page_size(ask, limit),
        cursor=id_cursor("dlq", cursor),
    )
    page = await ask.app.dlq.list(options)
    return reply(listed(page, [entry_summary(entry) for entry in page.items]))


async def groups(ask: Asked) -> Response:
    """Count open dead letters by job and error type, largest group first."""
    return reply({"items": [group_document(group) for group in await ask.app.dlq.groups(scope=ask.scope)]})


async def count(
    ask: Asked, state: States, queue: Queues, name: Names, error: ErrorTypes, until: Until = None
) -> Response:
    """Count dead letters; by default those that wait for a decision."""
    options = ListOptions(
        states=state or (DLQState.OPEN,),
        queues=queue,
        names=name,
        error_types=error,
        scope=ask.scope,
        created_before=until,
    )
    return reply({"count": await ask.app.dlq.count(options)})


async def show(ask: Asked, entry_id: LetterIDText) -> Response:
    """Show a dead letter: what the job carried, and how its attempts failed."""
    entry = await ask.app.dlq.get(DLQID(entry_id), scope=ask.scope)
    return reply(entry_document(entry, await ask.app.dlq.attempts(entry.id)))


async def replay(ask: Asked, entry_id: LetterIDText, body: ReplayOneBody | None = None) -> Response:
    """Make a new job from a dead letter, once, with its arguments or with others."""
    given = body or ReplayOneBody(payload=None, set={}, force=False, dry_run=False)
    if given.dry_run:
        await ask.app.dlq.rehearse(DLQID(entry_id), scope=ask.scope, edit=given.edit)
        return reply({"id": entry_id, "job_id": None})
    with acting_as(ask.identity.who, given.reason):
        job_id = await ask.app.dlq.replay(DLQID(entry_id), scope=ask.scope, edit=given.edit)
    return reply({"id": entry_id, "job_id": job_id}, status=201)


async def discard(ask: Asked, entry_id: LetterIDText, body: Why | None = None) -> Response:
    """Decide that nothing happens with a dead letter; it stays visible until it is purged."""
    with acting_as(ask.identity.who, "" if body is None else body.reason):
        await ask.app.dlq.discard(DLQID(entry_id), scope=ask.scope)
    return reply({"id": entry_id, "state": DLQState.DISCARDED})


async def replay_many(ask: Asked, body: ReplayBody) -> Response:
    """Make new jobs from dead letters, by their ids or as a group; one that is refused stops no other."""
    if (body.ids is None) == (body.group is None):
        raise Problem(422, "invalid_request", "give ids, or a group")
    ids = body.ids if body.ids is not None else await _of_group(ask, body.group) if body.group is not None else []

    async def one(entry_id: str) -> str:
        await ask.app.dlq.replay(DLQID(entry_id), scope=ask.scope)
        return DLQState.REPLAYED

    return reply(await one_by_one(ask, "dlq.replay", ids, one, reason=body.reason))


async def discard_many(ask: Asked, body: DiscardBody) -> Response:
    """Decide that nothing happens with dead letters, by their ids."""

    async def one(entry_id: str) -> str:
        await ask.app.dlq.discard(DLQID(entry_id), scope=ask.scope)
        return DLQState.DISCARDED

    return reply(await one_by_one(ask, "dlq.discard", body.ids, one, reason=body.reason))


async def purge(ask: Asked, body: PurgeBody) -> Response:
    """Delete dead letters for good, at most 1,000 at once; ask again until it answers 0."""
    with acting_as(ask.identity.who, body.reason):
        purged = await ask.app.dlq.purge(older_than=body.older_than, states=body.states, scope=ask.scope)
    return reply({"purged": purged})


async def _of_group(ask: Ask, group: GroupBody) -> list[str]:
    types = () if group.error_type is None else (group.error_type,)
    options = ListOptions(names=(group.job_name,), error_types=types, scope=ask.scope, limit=MOST)
    return [entry.id for entry in (await ask.app.dlq.list(options)).items]


_COULD = {200: "A dry run: it could be done."}
ROUTES = (
    Route("GET", "/v1/dlq", list_entries, DLQ_READ, Listed[LetterSummary]),
    Route("GET", "/v1/dlq/groups", groups, DLQ_READ, Items[GroupDocument]),
    Route("GET", "/v1/dlq/count", count, DLQ_READ, CountDocument),
    Route("POST", "/v1/dlq/replay", replay_many, DLQ_WRITE, BulkDocument),
    Route("POST", "/v1/dlq/discard", discard_many, DLQ_WRITE, BulkDocument),
    Route("POST", "/v1/dlq/purge", purge, DLQ_WRITE, PurgedDocument),
    Route("GET", "/v1/dlq/{entry_id}", show, DLQ_READ, LetterDocument),
    Route("POST", "/v1/dlq/{entry_id}/replay", replay, DLQ_WRITE, ReplayedDocument, status=201, also=_COULD),
    Route("POST", "/v1/dlq/{entry_id}/discard", discard, DLQ_WRITE, LetterState),
)
