"""The jobs part of the Redis store: each verb is a script, or a few of the same where many rows are meant."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from dispatch.clock import from_micros, micros
from dispatch.entity import LARGEST_PAGE, Page, Reply
from dispatch.ids import DLQID, JobID, WorkerID
from dispatch.jobs.model import (
    Attempt,
    Changed,
    Claimed,
    CountOptions,
    Enqueued,
    Failure,
    Finished,
    Job,
    JobState,
    KeyHolders,
    ListOptions,
    NewJob,
    Renewed,
    Stolen,
    Transition,
    Verdict,
)
from dispatch.scope import Scope
from dispatch.stores.redis import claims, enqueues, finishes, prune
from dispatch.stores.redis.client import RedisClient
from dispatch.stores.redis.fleet import served_by
from dispatch.stores.redis.rows import (
    CODES,
    STATES,
    duration,
    filters,
    job_of,
    moment,
    scoped,
    span,
    text,
)

if TYPE_CHECKING:
    from builtins import list as List

AT_ONCE = 200
"""Rows that one script changes."""
_STRIDE = 9
_CANCELLED_AT_ONCE = 100


class RedisJobs:
    """JobStore and EnqueuesHere."""

    def __init__(self, client: RedisClient) -> None:
        self._client = client
        self._unblocked: bytes | str = ""
        """The key after which the next repair begins."""

    async def enqueue(self, jobs: Sequence[NewJob]) -> List[Enqueued]:
        return await enqueues.enqueue(self._client, jobs, at_once=AT_ONCE)

    def enqueue_here(self, jobs: Sequence[NewJob]) -> List[Enqueued] | None:
        """As `enqueue`, in the calling thread; None, with nothing done, where that is not possible now."""
        return enqueues.enqueue_here(self._client, jobs, at_once=AT_ONCE)

    async def claim(
        self,
        worker_id: WorkerID,
        *,
        queues: Mapping[str, int],
        names: Collection[str],
        limit: int,
        lease: float,
        alone: bool = False,
    ) -> Claimed:
        return await claims.claim(
            self._client, worker_id, queues, names, limit=limit, lease=span(lease), alone=alone, at_once=AT_ONCE
        )

    async def renew(self, worker_id: WorkerID, held: Sequence[tuple[JobID, int]], *, lease: float) -> Renewed:
        chunks = [held[at : at + AT_ONCE] for at in range(0, len(held), AT_ONCE)] or [()]
        calls = [
            (worker_id, span(lease), int(chunk is chunks[-1]), *(part for pair in chunk for part in pair))
            for chunk in chunks
        ]
        replies = await self._client.run_all("renew", calls)
        kept = [JobID(id_.decode()) for reply in replies for id_ in reply[0]]
        stopping = [JobID(id_.decode()) for reply in replies for id_ in reply[1]]
        known = set(kept)
        everything = replies[-1][2]
        running = zip(everything[::2], everything[1::2], strict=True)
        return Renewed(
            held=kept,
            lost=_without(held, kept),
            cancel_requested=stopping,
            unnamed=sorted((JobID(i.decode()), int(epoch)) for i, epoch in running if i.decode() not in known),
        )

    async def finish(self, worker_id: WorkerID, transitions: Sequence[Transition]) -> List[Finished]:
        return await finishes.finish(self._client, worker_id, transitions, at_once=AT_ONCE)

    async def release(self, worker_id: WorkerID, held: Sequence[tuple[JobID, int]]) -> List[Reply]:
        given = [Transition(job_id, epoch, Verdict.RELEASE) for job_id, epoch in held]
        return [answer.reply for answer in await self.finish(worker_id, given)]

    async def steal(self, *, limit: int, max_crashes: int, delays: Sequence[float]) -> List[Stolen]:
        waits = [duration(delay, "a delay of the steal") for delay in delays]
        stolen: List[Stolen] = []
        while len(stolen) < limit and await self._client.run("lapsed"):
            most = min(AT_ONCE, limit - len(stolen))
            letters = [DLQID.new() for _ in range(most)]
            found = await self._client.run("steal", most, max_crashes, len(waits), *waits, *letters)
            stolen += [
                Stolen(job_of(row), WorkerID(worker.decode()), DLQID(letter.decode()) if letter else None)
                for worker, letter, row in found
            ]
            if len(found) < most:
                break
        return stolen

    async def quarantined(self, *, queues: Collection[str], names: Collection[str], due_for: float) -> bool:
        return bool(await self._client.run("quarantined", span(due_for), len(queues), *queues, *names))

    async def unblock(self, *, limit: int) -> int:
        if limit <= 0:
            return 0
        count, after = await self._client.run("unblock", self._unblocked, min(limit, AT_ONCE))
        self._unblocked = after
        return int(count)

    async def holders(self, key: str, *, limit: int = 100) -> KeyHolders:
        most, running = await self._client.run("holders", key)
        found = sorted(JobID(id_.decode()) for id_ in running)
        return KeyHolders(None if most is None else int(most), found[:limit])

    async def set_aside(self, *, due_for: float, limit: int) -> int:
        while limit > 0:
            version, *waiting = await self._client.run("waiting_names")
            pairs = list(zip(waiting[::2], waiting[1::2], strict=True))
            served = served_by(await self._client.run("workers", "")) if pairs else set()
            unserved = [part for pair in pairs if (pair[0].decode(), pair[1].decode()) not in served for part in pair]
            if not unserved:
                return 0
            count: int = await self._client.run("set_aside", version, min(limit, AT_ONCE), span(due_for), *unserved)
            if count >= 0:
                return count
        return 0

    async def bury_unserved(self, *, due_for: float, limit: int) -> List[DLQID]:
        entries: List[DLQID] = []
        while len(entries) < limit:
            letters = [DLQID.new() for _ in range(min(AT_ONCE, limit - len(entries)))]
            used = await self._client.run("bury_unserved", span(due_for), *letters)
            entries += [DLQID(letter.decode()) for letter in used]
            if len(used) < len(letters):
                break
        return entries

    async def cancel(self, job_id: JobID, *, scope: Scope | None = None, reason: str = "cancelled") -> Changed:
        return (await self.cancel_many([job_id], scope=scope, reason=reason))[0]

    async def cancel_many(
        self, job_ids: Sequence[JobID], *, scope: Scope | None = None, reason: str = "cancelled"
    ) -> List[Changed]:
        answers: List[Changed] = []
        for start in range(0, len(job_ids), _CANCELLED_AT_ONCE):
            some = job_ids[start : start + _CANCELLED_AT_ONCE]
            answers += map(_changed, await self._client.run("cancel", *scoped(scope), reason, *some))
        return answers

    async def cancel_requests(self, worker_id: WorkerID) -> List[JobID]:
        found = await self._client.command("SMEMBERS", f"{self._client.prefix}hc:{worker_id}")
        return sorted(JobID(id_.decode()) for id_ in found)

    async def retry(self, job_id: JobID, *, scope: Scope | None = None) -> Changed:
        return _changed(await self._client.run("retry", job_id, *scoped(scope)))

    async def delete(
        self, job_id: JobID, *, scope: Scope | None = None, states: Collection[JobState] | None = None
    ) -> Reply:
        wanted = "" if states is None else "".join(CODES[state] for state in states) or "-"
        return Reply((await self._client.run("delete", job_id, *scoped(scope), wanted)).decode())

    async def prune(
        self,
        *,
        completed: float | None,
        failed: float | None,
        cancelled: float | None,
        limit: int,
        dry_run: bool = False,
    ) -> int:
        return await prune.prune(
            self._client,
            "prune",
            {"C": completed, "F": failed, "X": cancelled},
            limit=limit,
            at_once=AT_ONCE,
            dry_run=dry_run,
        )

    async def progress(
        self, worker_id: WorkerID, reports: Sequence[tuple[JobID, int, float, str | None]]
    ) -> List[Reply]:
        given = [
            part
            for job_id, epoch, share, note in reports
            for part in (job_id, epoch, repr(float(share)), "" if note is None else f"={note}")
        ]
        if not given:
            return []
        return [Reply(reply.decode()) for reply in await self._client.run("progress", worker_id, *given)]

    async def get(self, job_id: JobID, *, scope: Scope | None = None) -> Job | None:
        row = await self._client.run("get_job", job_id, *scoped(scope))
        return None if row is None else job_of(row)

    async def list(self, options: ListOptions) -> Page[Job]:
        limit = max(1, min(options.limit, LARGEST_PAGE))
        wanted = filters(
            options.scope,
            states=[CODES[JobState(state)] for state in dict.fromkeys(options.states or JobState)],
            kinds=options.kinds,
            queues=options.queues and list(dict.fromkeys(options.queues)),
            names=options.names,
            tags=options.tags,
            after=None if options.created_after is None else str(micros(options.created_after)),
            before=None if options.created_before is None else str(micros(options.created_before)),
        )
        items: List[Job] = []
        cursor = options.cursor or ""
        while len(items) <= limit:
            rows, after = await self._client.run("list_jobs", cursor, limit + 1 - len(items), wanted)
            items += map(job_of, rows)
            if not after:
                return Page(items[:limit], str(items[limit - 1].id) if len(items) > limit else None)
            cursor = after.decode()
        return Page(items[:limit], str(items[limit - 1].id))

    async def count(self, options: CountOptions) -> dict[JobState, int]:
        wanted = filters(
            options.scope,
            kinds=options.kinds,
            queues=options.queues and list(dict.fromkeys(options.queues)),
            names=options.names,
        )
        return dict(zip(STATES.values(), await self._client.run("count_jobs", wanted), strict=True))

    async def attempts(self, job_id: JobID) -> List[Attempt]:
        flat = await self._client.command("LRANGE", f"{self._client.prefix}a:{job_id}", 0, -1)
        return [_attempt(flat[at : at + _STRIDE]) for at in range(0, len(flat), _STRIDE)]

    async def ahead(self, job_id: JobID, *, limit: int = 10_000) -> int:
        count: int = await self._client.run("ahead", job_id, limit)
        return count


def _attempt(fields: Sequence[bytes]) -> Attempt:
    number, kind, error, message, traceback, worker, epoch, started_at, ended_at = fields
    return Attempt(
        number=int(number),
        kind="crashed" if kind == b"crashed" else "failed",
        failure=Failure(error.decode(), message.decode(), traceback[1:].decode() if traceback else None),
        worker_id=WorkerID(worker.decode()) if worker else None,
        epoch=int(epoch),
        started_at=moment(started_at or None),
        ended_at=from_micros(int(ended_at)),
    )


def _changed(reply: Sequence[bytes]) -> Changed:
    said, state, other, holder, *_ = (*reply, None, None, None)
    return Changed(
        Reply(str(text(said))),
        None if state is None else STATES[state],
        JobID(other.decode()) if other else None,
        JobID(holder.decode()) if holder else None,
    )


def _without(held: Sequence[tuple[JobID, int]], kept: Sequence[JobID]) -> List[JobID]:
    """The ids named that were not kept, as often as they were named in vain."""
    left: dict[str, int] = {}
    for job_id in kept:
        left[job_id] = left.get(job_id, 0) + 1
    lost = []
    for job_id, _ in held:
        if left.get(job_id, 0) > 0:
            left[job_id] -= 1
        else:
            lost.append(job_id)
    return lost
