"""Claim: scripts of a bounded number of rows each, until as many are taken as were asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from dispatch.clock import from_micros
from dispatch.ids import JobID, WorkerID
from dispatch.jobs.model import Claimed, Job, JobState
from dispatch.stores.redis.client import RedisClient
from dispatch.stores.redis.rows import job_of


async def claim(
    client: RedisClient,
    worker_id: WorkerID,
    queues: Mapping[str, int],
    names: Collection[str],
    *,
    limit: int,
    lease: int,
    alone: bool,
    at_once: int,
) -> Claimed:
    """The verb; `lease` in microseconds."""
    left = {queue: most for queue, most in queues.items() if most > 0}
    jobs: list[Job] = []
    expired: list[Job] = []
    while True:
        most = min(at_once, limit - len(jobs)) if names and left else 0
        shares = [part for share in left.items() for part in share]
        answer = await client.run("claim", worker_id, max(0, most), lease, int(alone), len(left), *shares, *names)
        taken, moment = _started(answer, worker_id, lease)
        overdue, next_due = answer[1], answer[2]
        jobs += taken
        expired += map(job_of, overdue)
        if len(taken) < at_once or len(jobs) >= limit:
            return Claimed(jobs, expired, from_micros(int(next_due)) if next_due else None, moment)
        for queue, count in Counter(job.queue for job in taken).items():
            left[queue] -= count
        left = {queue: most for queue, most in left.items() if most > 0}
        alone = False


def _started(answer: Sequence[Any], worker_id: WorkerID, lease: int) -> tuple[list[Job], datetime]:
    """The rows that a script took, with what it has made of them; and when."""
    rows, _, _, at, queue_, name_, first_epoch = answer
    now, lease_until = from_micros(int(at)), from_micros(int(at) + lease)
    queue, name = queue_.decode(), name_.decode()
    parts, jobs = iter(rows), []
    for id_, this, row in zip(parts, parts, parts, strict=True):
        if type(row) is bytes:
            job_id, created_at = JobID(id_.decode()), from_micros(int(this))
            job = Job(job_id, created_at, now, name, queue, JobState.RUNNING, row, created_at, effect_key=job_id)
            job.epoch = first_epoch
        else:
            job = job_of([*row, b"id", id_])
            job.state = JobState.RUNNING
            job.epoch = this
            job.updated_at = now
        job.worker_id = worker_id
        job.started_at = now
        job.lease_until = lease_until
        jobs.append(job)
    return jobs, now
