"""The jobs of a server elsewhere."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from dispatch.client.errors import refusal_of
from dispatch.clock import boot_seconds
from dispatch.documents.jobs import watched_job
from dispatch.entity import Page
from dispatch.errors import DispatchError, JobNotFound, JobPurged, WaitTimeout
from dispatch.ids import JobID
from dispatch.jobs.model import Attempt, CountOptions, Enqueued, Job, JobState, ListOptions
from dispatch.jobs.options import EnqueueOptions
from dispatch.services import Explanation, JobStats
from dispatch.text import iso
from dispatch_cli.remote.link import Link, given, words
from dispatch_cli.remote.reading import Document, attempts_of, built, explanation_of, job_of, stats_of

MOST_WAIT = 30.0
"""Seconds that one request waits for an end."""
_LOOK = 0.5


class RemoteJobs:
    """As JobService."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def get(self, job_id: JobID) -> Job:
        document: Document = await self._link.get(f"/v1/jobs/{job_id}", dict)
        result = None
        if document.get("result_kept"):  # it is masked there, and as it is here
            result = await self._link.get(f"/v1/jobs/{job_id}/result", partial(result_of, document))
        return self._link.read(document, partial(job_of, result=result))

    async def list(self, options: ListOptions) -> Page[Job]:
        return await self._link.page(
            "/v1/jobs",
            job_of,
            state=words(options.states),
            queue=words(options.queues),
            name=words(options.names),
            tag=words(options.tags),
            since=iso(options.created_after),
            until=iso(options.created_before),
            limit=options.limit,
            cursor=options.cursor,
        )

    async def count(self, options: CountOptions) -> dict[JobState, int]:
        def read(found: Document) -> dict[JobState, int]:
            return {state: found[state] for state in JobState}

        return await self._link.get("/v1/jobs/counts", read, queue=words(options.queues), name=words(options.names))

    async def attempts(self, job_id: JobID) -> Sequence[Attempt]:
        return await self._link.get(f"/v1/jobs/{job_id}", attempts_of)

    async def explain(self, job_id: JobID) -> Explanation:
        return await self._link.get(f"/v1/jobs/{job_id}/explain", explanation_of)

    async def stats(self, *, names: Sequence[str] = (), since: datetime | None = None, limit: int = 5000) -> JobStats:
        return await self._link.get("/v1/jobs/stats", stats_of, name=words(names), since=iso(since), limit=limit)

    async def enqueue_named(self, name: str, arguments: Any = None, options: EnqueueOptions | None = None) -> Enqueued:
        body = given(name=name, payload=arguments, **call_options(options or EnqueueOptions()))

        def read(found: Document) -> Enqueued:
            return built(Enqueued, found, id=JobID(found["id"]), hint=found["hint"] or "")

        return await self._link.post("/v1/jobs", read, body)

    async def wait(self, job_id: JobID, *, timeout: float | None = None) -> Job:
        deadline = None if timeout is None else boot_seconds() + timeout
        seen_before = False
        while True:
            left = MOST_WAIT if deadline is None else max(0.0, min(MOST_WAIT, deadline - boot_seconds()))
            try:
                path = f"/v1/jobs/{job_id}/result"
                finished = await self._link.get(path, lambda found: bool(found["finished"]), wait=left)
                job = await self.get(job_id) if finished or not left else None
            except JobNotFound:
                if seen_before:
                    raise _purged(job_id) from None
                raise
            if job is not None and job.state.terminal:
                return job
            if job is not None:
                raise _still(job, timeout)
            seen_before = True

    async def watch(self, job_id: JobID, *, timeout: float | None = None) -> AsyncIterator[Job]:
        deadline = None if timeout is None else boot_seconds() + timeout
        job = await self.get(job_id)
        yield job
        shown = _visible(job)
        while not job.state.terminal:
            left = _LOOK if deadline is None else min(_LOOK, deadline - boot_seconds())
            if left <= 0:
                raise _still(job, timeout)
            await asyncio.sleep(left)
            try:
                job = await self.get(job_id)
            except JobNotFound:
                raise _purged(job_id) from None
            if _visible(job) != shown:
                shown = _visible(job)
                yield job

    async def retry(self, job_id: JobID) -> JobState:
        return await self._link.post(f"/v1/jobs/{job_id}/retry", _state, {"reason": self._link.reason})

    async def cancel(self, job_id: JobID, *, reason: str = "cancelled") -> JobState:
        return await self._link.post(f"/v1/jobs/{job_id}/cancel", _state, {"reason": reason})

    async def cancel_many(
        self, job_ids: Sequence[JobID], *, reason: str = "cancelled"
    ) -> Sequence[JobState | DispatchError]:
        def read(found: Document) -> list[JobState | DispatchError]:
            by_id = {one["id"]: refused(one) or JobState(one["state"]) for one in found["items"]}
            return [by_id[job_id] for job_id in job_ids]

        return await self._link.post("/v1/jobs/cancel", read, {"ids": [*job_ids], "reason": reason})

    async def delete(self, job_id: JobID, *, states: Sequence[JobState] | None = None) -> None:
        body = {"ids": [job_id], "states": None if states is None else words(states), "reason": self._link.reason}
        error = await self._link.post("/v1/jobs/delete", lambda found: refused(found["items"][0]), body)
        if error is not None:
            raise error


def refused(outcome: Document) -> DispatchError | None:
    """What refused one of several things; None when it was done."""
    problem = outcome["error"]
    return None if problem is None else refusal_of(409, problem["code"], problem["message"])


def call_options(options: EnqueueOptions) -> dict[str, Any]:
    """What the command line can say of an enqueue or a start, as bodies have it."""
    return {
        "queue": options.queue,
        "priority": options.priority,
        "delay": options.delay,
        "run_at": iso(options.run_at),
        "unique": options.unique,
        "idempotency_key": options.idempotency_key,
        "tags": None if options.tags is None else [*options.tags],
    }


def result_of(shown: Document, found: Document) -> bytes:
    """A result as it was stored: JSON, or the text of what is none."""
    text = shown["result_text"]
    return json.dumps(found["result"]).encode() if text is None else str(text).encode()


def _state(found: Document) -> JobState:
    return JobState(found["state"])


def _visible(job: Job) -> dict[str, Any]:
    return {**watched_job(job), "updated_at": ""}


def _still(job: Job, timeout: float | None) -> WaitTimeout:
    return WaitTimeout(f"{job.name} ({job.id}) is still {job.state} after {timeout:g} s; it goes on")


def _purged(job_id: JobID) -> JobPurged:
    return JobPurged(f"{job_id} is gone: retention or an operator removed it")
