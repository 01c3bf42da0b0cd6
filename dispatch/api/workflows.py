"""Routes about workflows and their runs."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Annotated, Any

from fastapi import Query
from pydantic import Field
from starlette.responses import Response
from typing_extensions import TypedDict

from dispatch.access import EVENT_WRITE, WORKFLOW_READ, WORKFLOW_WRITE
from dispatch.api.bulk import BulkDocument, one_by_one
from dispatch.api.idempotency import once
from dispatch.api.params import (
    DEFAULT_LIMIT,
    Body,
    Cursor,
    IdempotencyKey,
    Items,
    Limit,
    Listed,
    Moment,
    Names,
    NameText,
    Payload,
    Priority,
    Reason,
    RunIDs,
    RunIDText,
    Seconds,
    Since,
    Tag,
    Text,
    Until,
    Version,
    Why,
    id_cursor,
    listed,
    page_size,
)
from dispatch.api.problems import reply
from dispatch.api.routing import Asked, Route
from dispatch.documents.base import ErrorDocument, error_document, plain
from dispatch.documents.fleet import DefinitionDocument, definition_document
from dispatch.documents.runs import (
    CheckpointDocument,
    DifferenceDocument,
    EventDocument,
    RunDocument,
    RunSummary,
    StartedRun,
    checkpoint_document,
    difference_documents,
    event_document,
    run_document,
    run_summary,
    started_run,
)
from dispatch.errors import WaitTimeout
from dispatch.ids import RunID
from dispatch.jobs.options import EnqueueOptions
from dispatch.services.audit import acting_as
from dispatch.workflows.model import ListOptions, RunState


class StartBody(Body):
    """A run to start."""

    name: NameText
    input: Payload = None
    version: Version | None = Field(None, description="Default: the newest that was announced.")
    queue: NameText | None = None
    priority: Priority | None = None
    delay: Seconds | None = None
    run_at: Moment | None = None
    unique: Annotated[str, Field(min_length=1, max_length=500)] | bool | None = None
    idempotency_key: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    tags: list[Tag] | None = Field(None, max_length=50)

    def options(self, key: str | None) -> EnqueueOptions:
        """As the services take them; `key` is the Idempotency-Key header."""
        given = self.model_dump(exclude={"name", "input", "version", "idempotency_key"})
        return EnqueueOptions(**given, idempotency_key=self.idempotency_key or key)


class SignalBody(Body):
    """An event for one run."""

    name: NameText
    payload: Any = None


class ForkBody(Body):
    """A new run from an old one."""

    before: Text = Field(description="The step that the new run goes on with: a recorded one, or the one that failed.")
    edits: dict[str, Any] = Field({}, description='Other results to begin with: {"charge.amount": 5}.')
    force: bool = Field(False, description="Let edits add fields that the recorded results do not have.")
    undo_inherited: bool = Field(False, description="Take back the copied steps, too, when the new run fails.")


class MigrateBody(Body):
    """To another version."""

    version: Version
    reason: Reason = ""


class ManyRuns(Body):
    """Runs to change."""

    ids: RunIDs
    reason: Reason = ""


class RunResultDocument(TypedDict):
    """What a run came to, so far."""

    id: str
    state: str
    finished: bool
    result: Any
    error: ErrorDocument | None
    reason: str | None


class ChangedRun(TypedDict):
    """A run whose state was changed."""

    id: str
    state: str


async def definitions(ask: Asked) -> Response:
    """List the workflows that apps have announced, each version."""
    found = await ask.app.workers.definitions()
    return reply({"items": [definition_document(one) for one in found if one.kind == "workflow"]})


async def list_runs(
    ask: Asked,
    state: Annotated[list[RunState], Query(default_factory=list, max_length=8)],
    name: Names,
    version: Annotated[Version | None, Query()] = None,
    parent: Annotated[RunIDText | None, Query()] = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Response:
    """List runs, newest first."""
    options = ListOptions(
        states=state,
        names=name,
        version=version,
        parent=None if parent is None else RunID(parent),
        scope=ask.scope,
        created_after=since,
        created_before=until,
        limit=page_size(ask, limit),
        cursor=id_cursor("run", cursor),
    )
    page = await ask.app.workflows.list(options)
    return reply(listed(page, [run_summary(run) for run in page.items]))


async def start(ask: Asked, body: StartBody, key: IdempotencyKey = None) -> Response:
    """Start a run by its workflow's name; the code need not be here, but announced by a worker."""
    async with AsyncExitStack() as stack:
        if ask.by_session:
            await stack.enter_async_context(ask.app.audit.act("workflow.start", detail=body.name))
        answer = await ask.app.workflows.start_named(body.name, body.input, body.options(key), version=body.version)
    run = await ask.app.workflows.get(answer.id, scope=ask.scope)
    return reply(started_run(run, created=answer.created), status=201)


async def count(ask: Asked, name: Names) -> Response:
    """Count runs by state."""
    found = await ask.app.workflows.count(names=name, scope=ask.scope)
    counts = {str(state): found.get(state, 0) for state in RunState}
    return reply({**counts, "total": sum(counts.values())})


async def show(ask: Asked, run_id: RunIDText) -> Response:
    """Show a run: where it stands, what it waits for, its input, result and children."""
    run = await ask.app.workflows.get(RunID(run_id), scope=ask.scope)
    workflows = ask.app.workflows
    checkpoints = await workflows.timeline(run.id, scope=ask.scope)
    waits, children = await workflows.waits(run.id), await workflows.children(run.id)
    held_up = await workflows.held_up(run, scope=ask.scope)
    return reply(run_document(run, checkpoints, waits, children, held_up=held_up))


async def timeline(ask: Asked, run_id: RunIDText) -> Response:
    """List what a run has recorded: steps, waits, children and undos, in order."""
    checkpoints = await ask.app.workflows.timeline(RunID(run_id), scope=ask.scope)
    children = {child.step: child for child in await ask.app.workflows.children(RunID(run_id))}
    return reply({"items": [checkpoint_document(found, children.get(found.name)) for found in checkpoints]})


async def diff(
    ask: Asked, run_id: RunIDText, other: Annotated[RunIDText, Query(description="The run to compare with.")]
) -> Response:
    """Show where the records of two runs differ."""
    left = await ask.app.workflows.timeline(RunID(run_id), scope=ask.scope)
    right = await ask.app.workflows.timeline(RunID(other), scope=ask.scope)
    return reply({"items": difference_documents(left, right)})


async def result(
    ask: Asked,
    run_id: RunIDText,
    wait: Annotated[float, Query(ge=0, le=30.0, description="Seconds to wait for its end.")] = 0.0,
) -> Response:
    """Say what a run came to; `finished` is false while it has not ended."""
    run = await ask.app.workflows.get(RunID(run_id), scope=ask.scope)
    if wait and not run.state.terminal:
        try:
            run = await ask.app.workflows.wait(run.id, timeout=wait)
        except WaitTimeout:
            run = await ask.app.workflows.get(run.id, scope=ask.scope)
    document: RunResultDocument = {
        "id": str(run.id),
        "state": str(run.state),
        "finished": run.state.terminal,
        "result": plain(run.result),
        "error": error_document(run.error),
        "reason": run.reason,
    }
    return reply(document)


async def signal(ask: Asked, run_id: RunIDText, body: SignalBody, key: IdempotencyKey = None) -> Response:
    """Send an event to this run alone."""

    async def act() -> Response:
        run = await ask.app.workflows.get(RunID(run_id), scope=ask.scope)
        async with AsyncExitStack() as stack:
            if ask.by_session:
                await stack.enter_async_context(ask.app.audit.act("workflow.signal", [run.id], detail=body.name))
            event = await ask.app.workflows.signal(run.id, body.name, body.payload, scope=ask.scope)
        return reply(event_document(event), status=201)

    return await once(ask, key, f"workflow.signal {run_id}", body, act)


async def cancel(ask: Asked, run_id: RunIDText, body: Why | None = None) -> Response:
    """Cancel a run, which takes back what it did before it ends."""
    reason = "" if body is None else body.reason
    with acting_as(ask.identity.who, reason):
        state = await ask.app.workflows.cancel(RunID(run_id), scope=ask.scope, reason=reason or "cancelled")
    return reply({"id": run_id, "state": state})


async def retry(ask: Asked, run_id: RunIDText, body: Why | None = None) -> Response:
    """Let a failed, cancelled or blocked run go on from what it recorded."""
    with acting_as(ask.identity.who, "" if body is None else body.reason):
        state = await ask.app.workflows.retry(RunID(run_id), scope=ask.scope)
    return reply({"id": run_id, "state": state})


async def migrate(ask: Asked, run_id: RunIDText, body: MigrateBody) -> Response:
    """Move an unfinished run to another version of its workflow."""
    with acting_as(ask.identity.who, body.reason):
        state = await ask.app.workflows.migrate(RunID(run_id), version=body.version, scope=ask.scope)
    return reply({"id": run_id, "state": state})


async def fork(ask: Asked, run_id: RunIDText, body: ForkBody, key: IdempotencyKey = None) -> Response:
    """Start a new run with what this one recorded before a step."""

    async def act() -> Response:
        made = await ask.app.workflows.fork(
            RunID(run_id),
            before=body.before,
            edits=body.edits,
            force=body.force,
            undo_inherited=body.undo_inherited,
            scope=ask.scope,
        )
        return reply(run_summary(await ask.app.workflows.get(made.id, scope=ask.scope)), status=201)

    return await once(ask, key, f"workflow.fork {run_id}", body, act)


async def cancel_many(ask: Asked, body: ManyRuns) -> Response:
    """Cancel runs by their ids; one that is refused stops no other."""

    async def one(run_id: str) -> str:
        return await ask.app.workflows.cancel(RunID(run_id), scope=ask.scope, reason=body.reason or "cancelled")

    return reply(await one_by_one(ask, "workflow.cancel", body.ids, one, reason=body.reason))


async def retry_many(ask: Asked, body: ManyRuns) -> Response:
    """Let failed, cancelled or blocked runs go on, by their ids."""

    async def one(run_id: str) -> str:
        return await ask.app.workflows.retry(RunID(run_id), scope=ask.scope)

    return reply(await one_by_one(ask, "workflow.retry", body.ids, one, reason=body.reason))


_RUNS = "/v1/workflows/runs"
ROUTES = (
    Route("GET", "/v1/workflows", definitions, WORKFLOW_READ, Items[DefinitionDocument]),
    Route("GET", _RUNS, list_runs, WORKFLOW_READ, Listed[RunSummary]),
    Route("POST", _RUNS, start, WORKFLOW_WRITE, StartedRun, status=201),
    Route("GET", f"{_RUNS}/counts", count, WORKFLOW_READ, dict[str, int]),
    Route("POST", f"{_RUNS}/cancel", cancel_many, WORKFLOW_WRITE, BulkDocument),
    Route("POST", f"{_RUNS}/retry", retry_many, WORKFLOW_WRITE, BulkDocument),
    Route("GET", f"{_RUNS}/{{run_id}}", show, WORKFLOW_READ, RunDocument),
    Route("GET", f"{_RUNS}/{{run_id}}/timeline", timeline, WORKFLOW_READ, Items[CheckpointDocument]),
    Route("GET", f"{_RUNS}/{{run_id}}/diff", diff, WORKFLOW_READ, Items[DifferenceDocument]),
    Route("GET", f"{_RUNS}/{{run_id}}/result", result, WORKFLOW_READ, RunResultDocument),
    Route("POST", f"{_RUNS}/{{run_id}}/signal", signal, EVENT_WRITE, EventDocument, status=201),
    Route("POST", f"{_RUNS}/{{run_id}}/cancel", cancel, WORKFLOW_WRITE, ChangedRun),
    Route("POST", f"{_RUNS}/{{run_id}}/retry", retry, WORKFLOW_WRITE, ChangedRun),
    Route("POST", f"{_RUNS}/{{run_id}}/migrate", migrate, WORKFLOW_WRITE, ChangedRun),
    Route("POST", f"{_RUNS}/{{run_id}}/fork", fork, WORKFLOW_WRITE, RunSummary, status=201),
)
