"""Routes about jobs."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Annotated, Any

from fastapi import Query
from pydantic import Field
from starlette.responses import Response
from typing_extensions import TypedDict

from dispatch.access import JOB_READ, JOB_WRITE, STATS_READ
from dispatch.api.bulk import BulkDocument, one_by_one
from dispatch.api.params import (
    DEFAULT_LIMIT,
    Body,
    Cursor,
    IdempotencyKey,
    JobIDs,
    JobIDText,
    Limit,
    Listed,
    Moment,
    Names,
    NameText,
    Payload,
    Priority,
    Queues,
    Reason,
    Seconds,
    Since,
    Tag,
    Tags,
    Until,
    Why,
    id_cursor,
    listed,
    page_size,
)
from dispatch.api.problems import reply
from dispatch.api.routing import Asked, Route
from dispatch.documents.base import ErrorDocument, error_document, plain
from dispatch.documents.jobs import (
    EnqueuedJob,
    ExplanationDocument,
    JobDocument,
    JobSummary,
    enqueued_job,
    explanation_document,
    job_document,
    job_summary,
)
from dispatch.documents.overview import JobStatsDocument, stats_document
from dispatch.errors import WaitTimeout
from dispatch.ids import JobID
from dispatch.jobs.model import CountOptions, Job, JobState, ListOptions, OnConflict, UniqueUntil
from dispatch.jobs.options import EnqueueOptions
from dispatch.services.audit import acting_as

MOST_WAIT = 30.0


class EnqueueBody(Body):
    """A job to enqueue."""

    name: NameText
    payload: Payload = None
    queue: NameText | None = None
    priority: Priority | None = None
    delay: Seconds | None = Field(None, description="Seconds from now; or give run_at.")
    run_at: Moment | None = None
    expires_in: Seconds | None = None
    timeout: Seconds | None = None
    max_retries: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    unique: Annotated[str, Field(min_length=1, max_length=500)] | bool | None = Field(
        None, description="One live job of that name and key; true: by its arguments."
    )
    on_conflict: OnConflict | None = None
    unique_for: Seconds | None = None
    unique_until: UniqueUntil | None = None
    idempotency_key: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    tags: list[Tag] | None = Field(None, max_length=50)
    metadata: dict[str, Any] | None = None
    keep_result: bool | None = None

    def options(self, key: str | None) -> EnqueueOptions:
        """As the services take them; `key` is the Idempotency-Key header."""
        given = self.model_dump(exclude={"name", "payload", "idempotency_key"})
        return EnqueueOptions(**given, idempotency_key=self.idempotency_key or key)


class EnqueuedAnswer(EnqueuedJob):
    """A job that was enqueued; `hint` says so when no app has announced its name, with the nearest one."""

    hint: str | None


class CountsDocument(TypedDict):
    """How many jobs there are, by state."""

    pending: int
    running: int
    completed: int
    failed: int
    cancelled: int
    retrying: int
    total: int


class JobResultDocument(TypedDict):
    """What a job came to, so far."""

    id: str
    state: str
    finished: bool
    result: Any
    result_kept: bool
    error: ErrorDocument | None
    reason: str | None


class ChangedDocument(TypedDict):
    """A thing whose state was changed."""

    id: str
    state: str


async def list_jobs(
    ask: Asked,
    state: Annotated[list[JobState], Query(default_factory=list, max_length=6)],
    queue: Queues,
    name: Names,
    tag: Tags,
    since: Since = None,
    until: Until = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Response:
    """List jobs, newest first."""
    options = ListOptions(
        states=state,
        queues=queue,
        names=name,
        tags=tag,
        scope=ask.scope,
        created_after=since,
        created_before=until,
        limit=page_size(ask, limit),
        cursor=id_cursor("job", cursor),
    )
    page = await ask.app.jobs.list(options)
    return reply(listed(page, [job_summary(job) for job in page.items]))


async def enqueue(ask: Asked, body: EnqueueBody, key: IdempotencyKey = None) -> Response:
    """Enqueue a job by its name; the code that runs it need not be here."""
    async with AsyncExitStack() as stack:
        if ask.by_session:
            await stack.enter_async_context(ask.app.audit.act("job.enqueue", detail=body.name))
        answer = await ask.app.jobs.enqueue_named(body.name, body.payload, body.options(key))
    job = await ask.app.jobs.get(answer.id, scope=ask.scope)
    return reply({**enqueued_job(job, answer), "hint": answer.hint or None}, status=201)


async def count(ask: Asked, queue: Queues, name: Names) -> Response:
    """Count jobs by state."""
    found = await ask.app.jobs.count(CountOptions(queues=queue, names=name, scope=ask.scope))
    counts = {str(state): found.get(state, 0) for state in JobState}
    return reply({**counts, "total": sum(counts.values())})


async def stats(
    ask: Asked,
    name: Names,
    since: Since = None,
    limit: Annotated[int, Query(ge=1, le=100_000, description="Look at the newest that ended.")] = 5000,
) -> Response:
    """Say how long jobs waited and ran, and how many failed, by name."""
    found = await ask.app.jobs.stats(names=name, since=since, limit=limit, scope=ask.scope)
    return reply(stats_document(found, limit))


async def show(ask: Asked, job_id: JobIDText) -> Response:
    """Show a job with its arguments, its result and its failed attempts."""
    job = await ask.app.jobs.get(JobID(job_id), scope=ask.scope)
    return reply(job_document(job, await ask.app.jobs.attempts(job.id)))


async def explain(ask: Asked, job_id: JobIDText) -> Response:
    """Say why a job does or does not run: each gate it has to pass, with evidence."""
    return reply(explanation_document(await ask.app.jobs.explain(JobID(job_id), scope=ask.scope)))


async def result(
    ask: Asked,
    job_id: JobIDText,
    wait: Annotated[float, Query(ge=0, le=MOST_WAIT, description="Seconds to wait for its end.")] = 0.0,
) -> Response:
    """Say what a job came to; `finished` is false while it has not ended."""
    job = await ask.app.jobs.get(JobID(job_id), scope=ask.scope)
    if wait and not job.state.terminal:
        try:
            job = await ask.app.jobs.wait(job.id, timeout=wait)
        except WaitTimeout:
            job = await ask.app.jobs.get(job.id, scope=ask.scope)
    return reply(_result(job))


def _result(job: Job) -> JobResultDocument:
    return {
        "id": str(job.id),
        "state": str(job.state),
        "finished": job.state.terminal,
        "result": plain(job.result),
        "result_kept": job.result is not None,
        "error": error_document(job.error),
        "reason": job.reason,
    }


async def cancel(ask: Asked, job_id: JobIDText, body: Why | None = None) -> Response:
    """Cancel a job: at once when it waits, by request when it runs."""
    reason = "" if body is None else body.reason
    with acting_as(ask.identity.who, reason):
        state = await ask.app.jobs.cancel(JobID(job_id), scope=ask.scope, reason=reason or "cancelled")
    return reply({"id": job_id, "state": state})


async def retry(ask: Asked, job_id: JobIDText, body: Why | None = None) -> Response:
    """Run a failed or cancelled job again, from a fresh count; a waiting retry is due now."""
    with acting_as(ask.identity.who, "" if body is None else body.reason):
        state = await ask.app.jobs.retry(JobID(job_id), scope=ask.scope)
    return reply({"id": job_id, "state": state})


async def delete(ask: Asked, job_id: JobIDText) -> Response:
    """Remove a job that does not run, with its attempts and its result, for good."""
    await ask.app.jobs.delete(JobID(job_id), scope=ask.scope)
    return Response(status_code=204)


class ManyJobs(Body):
    """Jobs to change."""

    ids: JobIDs
    reason: Reason = ""


class DeleteJobs(ManyJobs):
    """Jobs to remove."""

    states: list[JobState] | None = Field(None, max_length=6, description="Only while they are in one of these.")


async def cancel_many(ask: Asked, body: ManyJobs) -> Response:
    """Cancel jobs by their ids; one that is refused stops no other."""

    async def one(job_id: str) -> str:
        return await ask.app.jobs.cancel(JobID(job_id), scope=ask.scope, reason=body.reason or "cancelled")

    return reply(await one_by_one(ask, "job.cancel", body.ids, one, reason=body.reason))


async def retry_many(ask: Asked, body: ManyJobs) -> Response:
    """Run failed or cancelled jobs again, by their ids."""

    async def one(job_id: str) -> str:
        return await ask.app.jobs.retry(JobID(job_id), scope=ask.scope)

    return reply(await one_by_one(ask, "job.retry", body.ids, one, reason=body.reason))


async def delete_many(ask: Asked, body: DeleteJobs) -> Response:
    """Remove jobs that do not run, by their ids, for good."""

    async def one(job_id: str) -> None:
        await ask.app.jobs.delete(JobID(job_id), scope=ask.scope, states=body.states)

    return reply(await one_by_one(ask, "job.delete", body.ids, one, reason=body.reason))


ROUTES = (
    Route("GET", "/v1/jobs", list_jobs, JOB_READ, Listed[JobSummary]),
    Route("POST", "/v1/jobs", enqueue, JOB_WRITE, EnqueuedAnswer, status=201),
    Route("GET", "/v1/jobs/counts", count, JOB_READ, CountsDocument),
    Route("GET", "/v1/jobs/stats", stats, STATS_READ, JobStatsDocument),
    Route("POST", "/v1/jobs/cancel", cancel_many, JOB_WRITE, BulkDocument),
    Route("POST", "/v1/jobs/retry", retry_many, JOB_WRITE, BulkDocument),
    Route("POST", "/v1/jobs/delete", delete_many, JOB_WRITE, BulkDocument),
    Route("GET", "/v1/jobs/{job_id}", show, JOB_READ, JobDocument),
    Route("DELETE", "/v1/jobs/{job_id}", delete, JOB_WRITE, status=204),
    Route("GET", "/v1/jobs/{job_id}/explain", explain, JOB_READ, ExplanationDocument),
    Route("GET", "/v1/jobs/{job_id}/result", result, JOB_READ, JobResultDocument),
    Route("POST", "/v1/jobs/{job_id}/cancel", cancel, JOB_WRITE, ChangedDocument),
    Route("POST", "/v1/jobs/{job_id}/retry", retry, JOB_WRITE, ChangedDocument),
)
