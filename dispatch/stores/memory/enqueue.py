"""Enqueue in two steps: `Plan.add` decides and may refuse, `Plan.apply` only writes. So all are inserted, or none."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from dispatch.errors import DataRejected, DuplicateJob, IdempotencyMismatch
from dispatch.ids import JobID
from dispatch.jobs.model import WAITING, Enqueued, JobState, NewJob, Unique, as_given
from dispatch.stores.memory.data import Data
from dispatch.stores.memory.expiry import expire, overdue
from dispatch.stores.memory.keys import IdempotencyKey, Remembered
from dispatch.stores.memory.rows import Row, checked_bytes, checked_json, checked_text, is_driver, later, utc
from dispatch.workflows.model import RunState


class Plan:
    """What an enqueue is going to do; members see those before them."""

    def __init__(self, data: Data, now: datetime) -> None:
        self._data = data
        self._now = now
        self.answers: list[Enqueued] = []
        self._inserts: dict[JobID, Row] = {}
        self._replacements: list[tuple[Row, Row]] = []
        self._holders: dict[str, Row] = {}
        self._successors: dict[JobID, Row] = {}
        self._expired: list[Row] = []
        self._remembered: dict[IdempotencyKey, Remembered] = {}
        self._maxima: dict[str, int] = {}
        """Of each concurrency key: what the last of its jobs brought."""

    def add(self, new: NewJob) -> None:
        """Decides about one job; raises DuplicateJob, IdempotencyMismatch, DataRejected."""
        row = new_row(new, self._now)
        if new.id in self._inserts or new.id in self._data.rows:
            self.answers.append(Enqueued(new.id, created=False))
            return
        if new.unique is None and new.idempotency is None:
            self._inserts[new.id] = row
            self._note_key(new)
            self.answers.append(Enqueued(new.id, created=True))
            return
        key = (new.scope.tenant, new.idempotency.key) if new.idempotency is not None else None
        if key is not None and new.idempotency is not None:
            known = self._remembered.get(key) or self._data.keys.remembered(key, self._now)
            if known is not None:
                if known.fingerprint != new.idempotency.fingerprint:
                    raise IdempotencyMismatch(
                        f"The idempotency key {as_given(new.idempotency.key)!r} was used by {known.job_id} for another "
                        f"name or other arguments; use a new key for {new.name}. Nothing was written"
                    )
                self.answers.append(Enqueued(known.job_id, created=False))
                return
        answer = self._resolve(new, row)
        if answer.created or answer.replaced:
            self._note_key(new)
        self.answers.append(answer)
        if key is not None and new.idempotency is not None:
            expires_at = later(self._now, new.idempotency.ttl, f"the idempotency key of {new.id}")
            self._remembered[key] = Remembered(answer.id, new.idempotency.fingerprint, expires_at)

    def apply(self) -> bool:
        """Writes; answers whether anything changed."""
        data, now = self._data, self._now
        left: list[str] = []
        for row in self._expired:
            expire(data, row, now)
        for row in self._inserts.values():
            keyed = row.concurrency_key is not None
            data.insert(row, now, block=keyed and row.behind is None and row.run_at <= now)
            if row.behind is not None:
                data.rows[row.behind].successors += (row.id,)
            elif row.unique_key is not None:
                data.keys.take(row)
        for target, source in self._replacements:
            if target.behind is None:
                data.queue(target.queue).ready.remove(target)
                target.blocked = False
            if target.concurrency_key is not None:
                data.concurrency.part(target)
                left.append(target.concurrency_key)
            _replace(target, source)
            data.concurrency.join(target)
            if target.behind is None:
                if target.concurrency_key is not None and not target.set_aside and target.run_at <= now:
                    data.concurrency.block(target)
                else:
                    data.queue(target.queue).ready.add(target, now)
        for name, most in self._maxima.items():
            data.concurrency.set_maximum(name, most)
        for name in (*self._maxima, *left):
            data.unblock(name, now)
        for key, made in self._remembered.items():
            data.keys.remember(key, made)
        data.keys.sweep(now)
        return bool(self._inserts or self._replacements or self._expired)

    def _note_key(self, new: NewJob) -> None:
        if new.concurrency_key is not None:
            self._maxima[new.concurrency_key] = new.concurrency_max or 1

    def _resolve(self, new: NewJob, row: Row) -> Enqueued:
        """What the unique key makes of the job."""
        unique = new.unique
        if unique is None:
            self._inserts[new.id] = row
            return Enqueued(new.id, created=True)
        before = len(self._expired)
        holder = self._holder(unique.key)
        answer = self._meet(new, row, unique, holder)
        answer.expired = tuple(old.id for old in self._expired[before:] if not is_driver(old))
        return answer

    def _meet(self, new: NewJob, row: Row, unique: Unique, holder: tuple[JobID, Row | None] | None) -> Enqueued:
        """What its `on_conflict` makes of the job beside the holder of its key."""
        if holder is None:
            self._inserts[new.id] = self._holders[unique.key] = row
            return Enqueued(new.id, created=True)
        holder_id, held_by = holder
        if unique.on_conflict == "raise":
            raise DuplicateJob(
                f"{new.name} was not enqueued: {holder_id} holds the unique key {unique.key!r}; wait for it, cancel it "
                'or choose another on_conflict ("return", "skip", "replace"). Nothing was written',
                existing=holder_id,
            )
        if unique.on_conflict != "replace" or held_by is None:
            return Enqueued(holder_id, created=False)
        successor = self._successor(held_by)
        if "workflow" in (row.kind, (successor or held_by).kind):
            # a run is never put into another's place: it lines up, unless one that has not begun stands for it
            run = self._data.runs.driven_by(held_by)
            unbegun = run is not None and run.state is RunState.PENDING
            lines_up = successor is None and not unbegun and not held_by.state.terminal
        else:
            target = successor or (held_by if held_by.state in WAITING else None)
            if target is not None:
                self._put_into(target, row)
                return Enqueued(target.id, created=False, replaced=True)
            lines_up = held_by.state is JobState.RUNNING
        if not lines_up:
            return Enqueued(holder_id, created=False)
        row.behind = held_by.id
        self._inserts[new.id] = self._successors[held_by.id] = row
        return Enqueued(new.id, created=True)

    def _holder(self, key: str) -> tuple[JobID, Row | None] | None:
        planned = self._holders.get(key)
        if planned is not None:
            return planned.id, planned
        expired = list(overdue(self._data, key, self._now))
        self._expired += expired
        if expired:
            successors = expired[-1].successors
            front = self._data.rows[successors[0]] if successors else None
            if front is not None:
                self._holders[key] = front
            return None if front is None else (front.id, front)
        hold = self._data.keys.holder(key, self._now)
        return None if hold is None else (hold.job_id, self._data.rows.get(hold.job_id))

    def _successor(self, holder: Row) -> Row | None:
        return self._data.rows[holder.successors[0]] if holder.successors else self._successors.get(holder.id)

    def _put_into(self, target: Row, source: Row) -> None:
        if target.id in self._inserts:
            _replace(target, source)
        else:
            self._replacements.append((target, source))


def enqueue(data: Data, jobs: Iterable[NewJob], now: datetime) -> list[Enqueued]:
    """All of `jobs` or none."""
    plan = Plan(data, now)
    for new in jobs:
        plan.add(new)
    if plan.apply():
        data.signal.bump()
    return plan.answers


def enqueue_followups(data: Data, jobs: Iterable[NewJob], now: datetime) -> dict[JobID, JobID]:
    """Each of `jobs` that meets no conflict; answers which job stands for it."""
    given = {}
    for new in jobs:
        plan = Plan(data, now)
        try:
            plan.add(new)
        except DuplicateJob as error:
            given[new.id] = JobID(error.existing)
            continue
        except IdempotencyMismatch:
            given[new.id] = made_before(data, new)
            continue
        given[new.id] = plan.answers[0].id
        plan.apply()
    return given


def made_before(data: Data, new: NewJob) -> JobID:
    """The job that the idempotency key of `new`, which was used before, has made."""
    assert new.idempotency is not None, "only a key can have been used before"
    return data.keys.idempotency[new.scope.tenant, new.idempotency.key].job_id


def new_row(new: NewJob, now: datetime) -> Row:
    """The row of a NewJob; DataRejected when a part of it cannot be stored."""
    what = f"job {new.id}"
    checked_bytes(new.payload, f"the payload of {what}")
    for text in (new.name, new.queue, new.lane, new.effect_key, new.step, new.concurrency_key, *new.tags, *new.scope):
        checked_text(text, what)
    unique, key = new.unique, new.idempotency
    if unique is not None:
        checked_text(unique.key, f"the unique key of {what}")
    if key is not None:
        checked_text(key.key, f"the idempotency key of {what}")
        later(now, key.ttl, f"the idempotency key of {what}")
    if new.delay is not None:
        run_at = later(now, new.delay, f"the delay of {what}")
    else:
        run_at = now if new.run_at is None else utc(new.run_at, f"the run_at of {what}")
    if not isinstance(new.priority, int):
        raise DataRejected(f"the priority of {what} is {new.priority!r}, not a whole number; nothing was written")
    return Row(
        id=new.id,
        created_at=now,
        updated_at=now,
        name=new.name,
        queue=new.queue,
        state=JobState.PENDING,
        payload=new.payload,
        run_at=run_at,
        kind=new.kind,
        lane=new.lane or (new.name if new.kind == "workflow" else ""),
        priority=new.priority,
        scheduled_at=None if new.scheduled_at is None else utc(new.scheduled_at, f"the scheduled_at of {what}"),
        expires_at=None if new.expires_in is None else later(now, new.expires_in, f"the expires_in of {what}"),
        max_retries=new.max_retries,
        timeout=new.timeout,
        backoff=None if new.backoff is None else checked_json(new.backoff, f"the backoff of {what}"),
        keep_result=new.keep_result,
        unique_key=None if unique is None else unique.key,
        effect_key=str(new.id) if new.effect_key is None else new.effect_key,
        metadata=checked_json(dict(new.metadata), f"the metadata of {what}") if new.metadata else {},
        tags=tuple(new.tags),
        scope=new.scope,
        replay_of=new.replay_of,
        concurrency_key=new.concurrency_key,
        concurrency_max=new.concurrency_max,
        run_id=new.run_id,
        step=new.step,
        lane_given=new.lane is not None or new.kind == "workflow",
        unique_until="finish" if unique is None else unique.until,
        hold_until=None
        if unique is None or unique.hold_for is None
        else later(now, unique.hold_for, f"the unique key of {what}"),
    )


def _replace(target: Row, source: Row) -> None:
    """Puts what on_conflict="replace" renews into a waiting row."""
    target.payload = source.payload
    target.run_at = source.run_at
    target.priority = source.priority
    target.metadata = source.metadata
    target.tags = source.tags
    target.max_retries = source.max_retries
    target.timeout = source.timeout
    target.backoff = source.backoff
    target.keep_result = source.keep_result
    target.expires_at = source.expires_at
    target.concurrency_key = source.concurrency_key
    target.concurrency_max = source.concurrency_max
    target.updated_at = source.updated_at
