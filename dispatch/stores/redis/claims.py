"""Claim: scripts of a bounded number of rows each, until as many are taken as were asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from dispatch.clock import from_micros
from dispatch.ids import WorkerID
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
        claimed, overdue, next_due, now = await client.run(
            "claim", worker_id, max(0, most), lease, int(alone), len(left), *shares, *names
        )
        moment, lease_until = from_micros(int(now)), from_micros(int(now) + lease)
        taken = [_started(id_, epoch, row, worker_id, moment, lease_until) for id_, epoch, row in claimed]
        jobs += taken
        expired += map(job_of, overdue)
        if len(taken) < at_once or len(jobs) >= limit:
            return Claimed(jobs, expired, from_micros(int(next_due)) if next_due else None, moment)
        for queue, count in Counter(job.queue for job in taken).items():
            left[queue] -= count
        left = {queue: most for queue, most in left.items() if most > 0}
        alone = False


def _started(
    id_: bytes, epoch: int, flat: Sequence[bytes], worker_id: WorkerID, now: datetime, lease_until: datetime
) -> Job:
    """The row as it was, and what the claim has made of it."""
    job = job_of([*flat, b"id", id_])
    job.state = JobState.RUNNING
    job.worker_id = worker_id
    job.epoch = epoch
    job.started_at = job.updated_at = now
    job.lease_until = lease_until
    return job
