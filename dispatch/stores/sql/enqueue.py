"""Enqueue: inserts all or none, resolving repeated ids, idempotency keys and unique keys one after another."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

from dispatch.clock import micros
from dispatch.errors import DuplicateJob, IdempotencyMismatch
from dispatch.ids import JobID
from dispatch.jobs.alike import ids_of, patterns, payloads_of
from dispatch.jobs.model import QUARANTINE_FROM, Enqueued, JobState, NewJob, Unique, as_given
from dispatch.scope import NO_SCOPE
from dispatch.stores.sql import concurrency, holders, unique
from dispatch.stores.sql.plan import Do, Lock, Many, Plan, Rows, first
from dispatch.stores.sql.rows import later, names_text, to_text
from dispatch.workflows.model import RunState

COLUMNS = (
    "id",
    "ready",
    "queue",
    "name",
    "kind",
    "lane",
    "priority",
    "run_at",
    "unique_key",
    "unique_until",
    "unique_hold_until",
    "now",
    "scheduled_at",
    "expires_at",
    "max_retries",
    "timeout",
    "backoff",
    "keep_result",
    "app_id",
    "org_id",
    "effect_key",
    "metadata",
    "tags",
    "behind",
    "replay_of",
    "concurrency_key",
    "concurrency_max",
    "blocked",
    "run_id",
    "step",
    "payload",
)

PLAIN_COLUMNS = (
    "id",
    "queue",
    "name",
    "kind",
    "lane",
    "priority",
    "run_at",
    "now",
    "app_id",
    "org_id",
    "metadata",
    "payload",
)
"""Binding a value costs about as much as storing it, so that jobs which leave their options open bind half as many."""
ALIKE_FROM = 10
"""So many rows that differ in id and payload only become one JSON object, whose members bind nothing."""
ALIKE_BYTES = 8 * 1024 * 1024
_shared = attrgetter("queue", "name", "kind", "lane", "priority", "run_at", "delay", "scope", "metadata_text")
"""All that a plain job's row is made of, but for id and payload."""


@dataclass(slots=True)
class Place:
    """Where new rows go."""

    by_tenant: set[str]
    """Queues whose lanes are tenants."""
    fits: set[str]
    """Concurrency keys whose new jobs need not be blocked."""
    now: int
    left: set[str] = field(default_factory=set)
    """Concurrency keys of jobs that were replaced."""


def enqueue(jobs: Sequence[NewJob], now: int, *, lenient: bool = False) -> Plan[list[Enqueued]]:
    """The plan of JobStore.enqueue; with `lenient` (follow-ups) a conflict drops its job instead of raising."""
    if all(map(is_free, patterns(jobs))):
        return (yield from _enqueue_plain(jobs, now))
    by_tenant = yield from _queues_by_tenant(jobs)
    yield from _lock_keys(jobs)
    keyed = any(job.concurrency_key is not None for job in jobs)
    fits = (yield from concurrency.fitting(jobs, [run_at(job, now) <= now for job in jobs])) if keyed else set[str]()
    place = Place(by_tenant, fits, now)
    if all(job.unique is None and job.idempotency is None for job in jobs):
        answers = yield from _enqueue_keyless(jobs, place)
    else:
        yield Do("prune_idempotency", {"now": now})
        yield Do("prune_unique", {"now": now})
        answers = yield from _enqueue_unheld(jobs, place)
        if not answers:
            for job in jobs:
                answers.append((yield from _enqueue_one(job, place, lenient)))
    if keyed or place.left:
        yield from concurrency.admit(jobs, answers, fits, place.left, now)
    return answers


def _lock_keys(jobs: Sequence[NewJob]) -> Plan[None]:
    if all(job.unique is None and job.idempotency is None for job in jobs):
        return
    pairs = {(job.scope.tenant, job.idempotency.key) for job in jobs if job.idempotency is not None}
    if pairs:
        yield Lock("lock_idempotency", {"pairs": json.dumps(sorted(pairs))})
    yield from unique.lock(job.unique.key for job in jobs if job.unique is not None)


def _queues_by_tenant(jobs: Sequence[NewJob]) -> Plan[set[str]]:
    """Queues whose lanes are tenants; nobody asks for them where no job belongs to a tenant."""
    if not any(job.scope and job.lane is None for job in jobs):
        return set()
    settings = yield Rows("queue_settings", {})
    return {row[0] for row in settings if row[4] or row[5] is not None}


def _enqueue_plain(jobs: Sequence[NewJob], now: int, by_tenant: Collection[str] = ()) -> Plan[list[Enqueued]]:
    alike = _alike(jobs, now, by_tenant)
    if alike is None:
        added = yield Many("insert_plain_job", PLAIN_COLUMNS, [plain_row(job, now, by_tenant) for job in jobs])
    else:
        added = yield Do("insert_alike_jobs", alike)
    return (yield from _answers(jobs, added))


def _enqueue_keyless(jobs: Sequence[NewJob], place: Place) -> Plan[list[Enqueued]]:
    if all(map(is_plain, patterns(jobs))):
        return (yield from _enqueue_plain(jobs, place.now, place.by_tenant))
    added = yield Many("insert_job", COLUMNS, [_row(job, place) for job in jobs])
    return (yield from _answers(jobs, added))


def _answers(jobs: Sequence[NewJob], added: int) -> Plan[list[Enqueued]]:
    if added == len(jobs):
        return [Enqueued(id_, True) for id_ in ids_of(jobs)]
    known = yield Rows("jobs_before", {"ids": names_text([job.id for job in jobs]), "added": added})
    seen = {id_ for (id_,) in known}
    answers = []
    for job in jobs:
        answers.append(Enqueued(job.id, job.id not in seen))
        seen.add(job.id)
    return answers


def _alike(jobs: Sequence[NewJob], now: int, by_tenant: Collection[str]) -> dict[str, Any] | None:
    """The parameters that insert many plain jobs at once, when they differ in id and payload only; else None."""
    if len(jobs) < ALIKE_FROM:
        return None
    pattern, *others = patterns(jobs)
    shared = _shared(pattern)
    if any(_shared(job) != shared for job in others):
        return None
    payloads = payloads_of(jobs)
    together = b"".join(payloads)
    if len(together) > ALIKE_BYTES or b"\0" in together:
        return None
    try:
        texts = {str(id_): payload.decode() for id_, payload in zip(ids_of(jobs), payloads, strict=True)}
    except UnicodeDecodeError:
        return None
    if len(texts) < len(jobs):
        return None
    row = plain_row(pattern, now, by_tenant)
    return {"payloads": to_text(texts), **dict(zip(PLAIN_COLUMNS[1:-1], row[1:-1], strict=True))}


def _enqueue_unheld(jobs: Sequence[NewJob], place: Place) -> Plan[list[Enqueued]]:
    """The short way for several jobs whose keys nobody holds; answers nothing, having written nothing, where there may
    be a conflict."""
    keys = [job.unique.key for job in jobs if job.unique is not None]
    ids = {job.id for job in jobs}
    alone = len(jobs) < 2 or any(job.idempotency is not None for job in jobs)
    if alone or len({*keys}) < len(keys) or len(ids) < len(jobs):
        return []
    if (yield Rows("keys_taken", {"keys": names_text(keys)})) or (yield Rows("jobs_known", {"ids": names_text(ids)})):
        return []
    yield Many("insert_job", COLUMNS, [_row(job, place) for job in jobs])
    yield from unique.take_all(
        [(job.unique.key, str(job.id), hold_until(job.unique, place.now)) for job in jobs if job.unique is not None]
    )
    return [Enqueued(job.id, True) for job in jobs]


def _enqueue_one(job: NewJob, place: Place, lenient: bool) -> Plan[Enqueued]:
    now = place.now
    if first((yield Rows("job_state", {"id": str(job.id)}))):
        return Enqueued(job.id, False)
    key = job.idempotency
    if key is not None:
        kept = first((yield Rows("idempotent", {"tenant": job.scope.tenant, "key": key.key, "now": now})))
        if kept is not None:
            if kept[1] != key.fingerprint and not lenient:
                raise IdempotencyMismatch(
                    f"idempotency key {as_given(key.key)!r} was used before, for job {kept[0]}, with another name or "
                    "other arguments; use a new key for a new request"
                )
            return Enqueued(JobID(kept[0]), False)
    expired: list[JobID] = []
    answer = yield from _insert_unique(job, job.unique, place, lenient, expired)
    answer.expired = tuple(expired)
    if key is not None:
        yield Do(
            "keep_idempotent",
            {
                "tenant": job.scope.tenant,
                "key": key.key,
                "job_id": str(answer.id),
                "fingerprint": key.fingerprint,
                "expires_at": later(now, key.ttl),
            },
        )
    return answer


def _insert_unique(
    job: NewJob, wanted: Unique | None, place: Place, lenient: bool, expired: list[JobID]
) -> Plan[Enqueued]:
    now = place.now
    if wanted is None:
        yield from _insert(job, place)
        return Enqueued(job.id, True)
    holder = yield from holders.holder(wanted.key, now, expired)
    if holder is None:
        yield from _insert(job, place)
        yield from unique.take(wanted.key, job.id, hold_until(wanted, now))
        return Enqueued(job.id, True)
    if wanted.on_conflict == "raise" and not lenient:
        raise DuplicateJob(
            f"job {holder.job_id} already holds the unique key {wanted.key!r}; wait for it, "
            'or enqueue with on_conflict="return", "skip" or "replace"',
            existing=str(holder.job_id),
        )
    if wanted.on_conflict != "replace":
        return Enqueued(holder.job_id, False)
    # a run is never put into another's place: it lines up, unless one that has not begun stands for it
    yield Lock("lock_job_at_once", {"id": str(holder.job_id)})
    yield Lock("lock_successors", {"behind": str(holder.job_id)})
    successor = first((yield Rows("successors", {"behind": str(holder.job_id)})))
    target = JobID(successor[0]) if successor else holder.job_id
    driven = first((yield Rows("state_of_driven", {"id": str(target)})))
    if job.kind == "workflow" or driven is not None:
        if successor or not holder.live or (driven is not None and driven[0] == RunState.PENDING):
            return Enqueued(holder.job_id, False)
        yield from _insert(job, place, behind=holder.job_id)
        return Enqueued(job.id, True)
    left = yield from concurrency.key_of(target)
    if (yield Do("replace_job", {**_fields(job, place), "id": str(target), "quarantine": QUARANTINE_FROM})):
        place.left |= left
        return Enqueued(target, False, replaced=True)
    state = first((yield Rows("job_state", {"id": str(holder.job_id)})))
    if state is None or state[0] != JobState.RUNNING:
        return Enqueued(holder.job_id, False)
    yield from _insert(job, place, behind=holder.job_id)
    return Enqueued(job.id, True)


def _insert(job: NewJob, place: Place, behind: JobID | None = None) -> Plan[None]:
    yield Many("insert_job", COLUMNS, [_row(job, place, behind)])


def hold_until(wanted: Unique, now: int) -> int | None:
    return None if wanted.hold_for is None else later(now, wanted.hold_for)


def run_at(job: NewJob, now: int) -> int:
    """When a new job is due."""
    if job.delay is not None:
        return later(now, job.delay)
    return now if job.run_at is None else micros(job.run_at)


def _fields(job: NewJob, place: Place) -> dict[str, Any]:
    return dict(zip(COLUMNS, _row(job, place), strict=True))


def _lane(job: NewJob, by_tenant: Collection[str]) -> str:
    if job.lane is not None:
        return job.lane
    if job.kind == "workflow":
        return job.name
    return job.scope.tenant if job.queue in by_tenant else ""


def is_plain(job: NewJob) -> bool:
    """Whether a job without keys leaves its options open."""
    return (
        job.expires_in is None
        and job.max_retries is None
        and job.timeout is None
        and job.backoff is None
        and job.keep_result is None
        and job.effect_key is None
        and job.scheduled_at is None
        and job.replay_of is None
        and job.concurrency_key is None
        and job.run_id is None
        and not job.tags
    )


def is_free(job: NewJob) -> bool:
    """Whether nothing that is stored bears upon the job."""
    return (
        job.unique is None
        and job.idempotency is None
        and (job.lane is not None or job.scope == NO_SCOPE)
        and is_plain(job)
    )


def plain_row(job: NewJob, now: int, by_tenant: Collection[str] = ()) -> tuple[Any, ...]:
    """A plain job's values for PLAIN_COLUMNS; the one row that `enqueue` of a free job alone comes to."""
    app_id, org_id = job.scope
    return (
        # sqlite3 binds exact str many times faster than its subclasses
        str(job.id),
        job.queue,
        job.name,
        job.kind,
        _lane(job, by_tenant),
        job.priority,
        now if job.delay is None and job.run_at is None else run_at(job, now),
        now,
        app_id,
        org_id,
        to_text(job.metadata) if job.metadata else None,
        job.payload,
    )


def _row(job: NewJob, place: Place, behind: JobID | None = None) -> tuple[Any, ...]:
    wanted, now = job.unique, place.now
    app_id, org_id = job.scope
    due_at = now if job.delay is None and job.run_at is None else run_at(job, now)
    blocked = (
        job.concurrency_key is not None and job.concurrency_key not in place.fits and behind is None and due_at <= now
    )
    return (
        str(job.id),
        0 if behind or blocked else 1,
        job.queue,
        job.name,
        job.kind,
        _lane(job, place.by_tenant),
        job.priority,
        due_at,
        None if wanted is None else wanted.key,
        None if wanted is None else wanted.until,
        None if wanted is None else hold_until(wanted, now),
        now,
        None if job.scheduled_at is None else micros(job.scheduled_at),
        None if job.expires_in is None else later(now, job.expires_in),
        job.max_retries,
        job.timeout,
        to_text(job.backoff),
        job.keep_result,
        app_id,
        org_id,
        job.effect_key,
        to_text(job.metadata),
        to_text(job.tags),
        None if behind is None else str(behind),
        None if job.replay_of is None else str(job.replay_of),
        job.concurrency_key,
        job.concurrency_max,
        int(blocked),
        None if job.run_id is None else str(job.run_id),
        job.step,
        job.payload,
    )
