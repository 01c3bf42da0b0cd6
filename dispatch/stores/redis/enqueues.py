"""Enqueue: one script, or several in one transaction of which the first has checked everything."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, groupby
from typing import Any

from dispatch.errors import DuplicateJob, IdempotencyMismatch
from dispatch.ids import DLQID, JobID
from dispatch.jobs.alike import AlikeJobs, patterns
from dispatch.jobs.model import Enqueued, NewJob, as_given
from dispatch.stores.redis.client import RedisClient
from dispatch.stores.redis.rows import is_due_now, is_plain, likeness, new_job, payload_of, shared_fields


async def enqueue(client: RedisClient, jobs: Sequence[NewJob], *, at_once: int) -> list[Enqueued]:
    """All of `jobs` or none."""
    if not jobs:
        return []
    if len(jobs) <= at_once:
        return _answers(await client.run(*_request(jobs)), jobs)
    if all(map(is_due_now, patterns(jobs))):
        parts = [jobs[at : at + at_once] for at in range(0, len(jobs), at_once)]
        replies = await client.run_all("enqueue_now", [grouped(part) for part in parts], together=True)
        return [answer for reply, part in zip(replies, parts, strict=True) for answer in _answers(reply, part)]
    plain = all(is_plain(job) and not any(job.scope) for job in jobs)
    script, head = ("enqueue_plain", []) if plain else ("enqueue", ["part"])
    given = [new_job(job) for job in jobs]
    token = DLQID.new()
    calls: list[list[Any]] = []
    if any(job.unique is not None or job.idempotency is not None for job in jobs):
        calls.append(["check", token, *(part for job in given for part in (*job[:8], 0))])
    calls += (
        [*head, token, *(part for job in given[at : at + at_once] for part in job)]
        for at in range(0, len(given), at_once)
    )
    replies = await client.run_all(script, calls, together=True)
    return [answer for reply in replies for answer in enqueued(reply)]


def enqueue_here(client: RedisClient, jobs: Sequence[NewJob], *, at_once: int) -> list[Enqueued] | None:
    """The same in the calling thread; None, with nothing done, where that is not possible."""
    if not jobs:
        return []
    if len(jobs) > at_once or not client.serves_here:
        return None
    return _answers(client.run_here(*_request(jobs)), jobs)


def _request(jobs: Sequence[NewJob]) -> list[Any]:
    """The script for so few jobs that one will do, and its arguments."""
    if all(map(is_due_now, patterns(jobs))):
        return ["enqueue_now", *(alone(jobs[0]) if len(jobs) == 1 else grouped(jobs))]
    given = [part for job in jobs for part in new_job(job)]
    plain = all(is_plain(job) and not any(job.scope) for job in jobs)
    return ["enqueue_plain", "", *given] if plain else ["enqueue", "whole", "", *given]


def alone(job: NewJob) -> list[Any]:
    """One job that is due now as enqueue_now.lua takes it."""
    fields = shared_fields(job)
    return [job.queue, job.name, job.kind, job.priority, len(fields), *fields, 1, job.id, payload_of(job)]


def grouped(jobs: Sequence[NewJob]) -> list[Any]:
    """Jobs that are due now as enqueue_now.lua takes them."""
    found: list[Any] = []
    for alike in [jobs] if isinstance(jobs, AlikeJobs) else [list(group) for _, group in groupby(jobs, likeness)]:
        pattern = patterns(alike)[0]
        fields = shared_fields(pattern)
        found += (pattern.queue, pattern.name, pattern.kind, pattern.priority, len(fields), *fields, len(alike))
        if isinstance(alike, AlikeJobs):
            found += chain.from_iterable(zip(alike.ids, alike.payloads, strict=True))
        else:
            found += chain.from_iterable((job.id, payload_of(job)) for job in alike)
    return found


def _answers(reply: Sequence[bytes] | int, jobs: Sequence[NewJob]) -> list[Enqueued]:
    """The answers of a script that enqueued `jobs`, where a single new job may have been told in short."""
    return [Enqueued(jobs[0].id, True)] if isinstance(reply, int) else enqueued(reply)


def enqueued(reply: Sequence[bytes]) -> list[Enqueued]:
    """The answers of a script that enqueues; raises what it was refused for."""
    if reply and reply[0] == b"refused":
        _, why, key, holder, name = (part.decode() for part in reply)
        if why == "duplicate":
            raise DuplicateJob(
                f"{name} was not enqueued: {holder} holds the unique key {key!r}; wait for it, cancel it or choose "
                'another on_conflict ("return", "skip", "replace"). Nothing was written',
                existing=holder,
            )
        raise IdempotencyMismatch(
            f"The idempotency key {as_given(key)!r} was used by {holder} for another name or other arguments; "
            f"use a new key for {name}. Nothing was written"
        )
    return [_answer(one[:1], *one[1:].decode().split(" ")) for one in reply]


def _answer(mark: bytes, job_id: str, *expired: str) -> Enqueued:
    return Enqueued(JobID(job_id), mark == b"1", mark == b"R", tuple(map(JobID, expired)))
