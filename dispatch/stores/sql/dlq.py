"""The dead letters part of a SQL store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dispatch.clock import from_micros, micros
from dispatch.dlq.model import DLQEntry, DLQGroup, DLQState, ListOptions, Replayed
from dispatch.entity import Page, Reply
from dispatch.ids import DLQID, JobID
from dispatch.scope import Scope
from dispatch.stores.sql import holders, unique
from dispatch.stores.sql.listing import page_limit
from dispatch.stores.sql.plan import Do, Executor, Lock, Plan, Rows, first
from dispatch.stores.sql.rows import failure_of, optional_names, parsed, scope_of, scope_params, span

if TYPE_CHECKING:
    from builtins import list as List


class SQLDeadLetters:
    """DLQStore over any SQL executor."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    async def replay(
        self, entry_id: DLQID, new_id: JobID, *, scope: Scope | None = None, payload: bytes | None = None
    ) -> Replayed:
        return await self._executor.run(lambda: _replay(entry_id, new_id, scope, payload, self._executor.now()))

    async def discard(self, entry_id: DLQID, *, scope: Scope | None = None) -> Reply:
        def plan() -> Plan[Reply]:
            if not (yield Rows("get_entry", {"id": str(entry_id), **scope_params(scope)})):
                return Reply.MISSING
            changed = yield Do("decide_entry", _decision(entry_id, DLQState.DISCARDED, None, self._executor.now()))
            return Reply.APPLIED if changed else Reply.CONFLICT

        return await self._executor.run(plan)

    async def purge(
        self, *, older_than: float = 0.0, states: Sequence[DLQState] = (), scope: Scope | None = None, limit: int = 1000
    ) -> int:
        def plan() -> Plan[int]:
            # an entry of this very moment is "more than 0 seconds" old to whoever asks for all of them
            before = self._executor.now() - span(older_than) + (1 if older_than <= 0 else 0)
            params = {"before": before, "states": optional_names(states), "limit": limit, **scope_params(scope)}
            deleted: int = yield Do("purge_entries", params)
            return deleted

        return await self._executor.run(plan, single=True)

    async def get(self, entry_id: DLQID, *, scope: Scope | None = None) -> DLQEntry | None:
        def plan() -> Plan[DLQEntry | None]:
            row = first((yield Rows("get_entry", {"id": str(entry_id), **scope_params(scope)})))
            return None if row is None else entry_of(row)

        return await self._executor.run(plan, write=False, single=True)

    async def list(self, options: ListOptions) -> Page[DLQEntry]:
        def plan() -> Plan[Page[DLQEntry]]:
            limit = page_limit(options.limit)
            params = {**_filter(options), "cursor": options.cursor, "limit": limit + 1}
            rows = yield Rows("list_entries", params)
            items = [entry_of(row) for row in rows[:limit]]
            return Page(items, str(items[-1].id) if len(rows) > limit else None)

        return await self._executor.run(plan, write=False, single=True)

    async def groups(self, *, scope: Scope | None = None) -> List[DLQGroup]:
        def plan() -> Plan[List[DLQGroup]]:
            rows = yield Rows("entry_groups", scope_params(scope))
            return [
                DLQGroup(name, error, count, from_micros(oldest), from_micros(newest), DLQID(sample))
                for name, error, count, oldest, newest, sample in rows
            ]

        return await self._executor.run(plan, write=False, single=True)

    async def count(self, options: ListOptions) -> int:
        def plan() -> Plan[int]:
            rows = yield Rows("count_entries", _filter(options))
            total: int = rows[0][0]
            return total

        return await self._executor.run(plan, write=False, single=True)


def _replay(entry_id: DLQID, new_id: JobID, scope: Scope | None, payload: bytes | None, now: int) -> Plan[Replayed]:
    yield Lock("lock_entry", {"id": str(entry_id)})
    row = first((yield Rows("get_entry", {"id": str(entry_id), **scope_params(scope)})))
    if row is None:
        return Replayed(Reply.MISSING)
    entry = entry_of(row)
    if entry.state is not DLQState.OPEN:
        same = entry.replayed_as == new_id
        return Replayed(Reply.APPLIED if same else Reply.CONFLICT, entry.replayed_as, entry.state)
    if (yield Rows("entry_kind", {"id": str(entry_id)}))[0][0] == "workflow":
        return Replayed(Reply.CONFLICT, None, DLQState.OPEN)
    if entry.unique_key is not None:
        yield from unique.lock([entry.unique_key])
        holder = yield from holders.holder(entry.unique_key, now)
        if holder is not None and holder.live:
            return Replayed(Reply.CONFLICT, holder.job_id, DLQState.OPEN)
    params = {"id": str(entry_id), "new_id": str(new_id), "payload": payload, "now": now}
    added = yield Do("replay_job", params)
    if not added:
        return Replayed(Reply.CONFLICT, new_id, DLQState.OPEN)
    if entry.unique_key is not None:
        yield from unique.take(entry.unique_key, new_id, None)
    if entry.concurrency_key is not None:
        yield Do("set_missing_key", {"id": str(new_id)})
    yield Do("decide_entry", _decision(entry_id, DLQState.REPLAYED, new_id, now))
    return Replayed(Reply.APPLIED, new_id, DLQState.REPLAYED)


def _decision(entry_id: DLQID, state: DLQState, replayed_as: JobID | None, now: int) -> dict[str, Any]:
    return {
        "id": str(entry_id),
        "state": state.value,
        "replayed_as": None if replayed_as is None else str(replayed_as),
        "now": now,
    }


def _filter(options: ListOptions) -> dict[str, Any]:
    return {
        "states": optional_names(options.states),
        "queues": optional_names(options.queues),
        "names": optional_names(options.names),
        "error_types": optional_names(options.error_types),
        "created_before": None if options.created_before is None else micros(options.created_before),
        **scope_params(options.scope),
    }


def entry_of(row: tuple[Any, ...]) -> DLQEntry:
    """The dead letter in a row of `entry_columns`."""
    return DLQEntry(
        id=DLQID(row[0]),
        job_id=JobID(row[1]),
        job_name=row[2],
        queue=row[3],
        state=DLQState(row[4]),
        reason=row[5],
        error=failure_of(row[6], row[7], row[8]),
        payload=b"" if row[9] is None else row[9],
        failures=row[10],
        crashes=row[11],
        priority=row[12],
        max_retries=row[13],
        timeout=row[14],
        backoff=parsed(row[15], {}) or None,
        keep_result=None if row[16] is None else bool(row[16]),
        unique_key=row[17],
        effect_key=row[18],
        metadata=parsed(row[19], {}),
        tags=tuple(parsed(row[20], [])),
        scope=scope_of(row[21], row[22]),
        replayed_as=None if row[23] is None else JobID(row[23]),
        created_at=from_micros(row[24]),
        updated_at=from_micros(row[25]),
        concurrency_key=row[26],
        concurrency_max=row[27],
    )
