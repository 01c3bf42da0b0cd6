"""The crons part of a SQL store: entries, what code announces, and ticks that fire once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from dispatch.crons.model import CronEntry, CronSpec, Due, Fire, Fired, ListOptions, NewTick, Tick
from dispatch.crons.settle import named, settled, winners
from dispatch.entity import Page, Reply
from dispatch.ids import CronID, WorkerID
from dispatch.scope import Scope
from dispatch.stores.sql.cron_fires import fire_all, in_batches, write_ticks
from dispatch.stores.sql.cron_rows import (
    ANNOUNCE,
    CODE,
    announced_of,
    code_row,
    columns_of,
    disabled,
    edited,
    enabled,
    entry_of,
    tick_from,
)
from dispatch.stores.sql.listing import page_limit
from dispatch.stores.sql.plan import Do, Executor, Lock, Many, Plan, Rows, first
from dispatch.stores.sql.prune import prune_old
from dispatch.stores.sql.rows import moment, optional_names, scope_params, span

if TYPE_CHECKING:
    from builtins import list as List


class SQLCrons:
    """CronStore over any SQL executor."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    async def announce(self, worker_id: WorkerID, specs: Mapping[str, CronSpec]) -> None:
        def plan() -> Plan[None]:
            now = self._executor.now()
            yield Lock("lock_fleet", {})
            yield Many("keep_cron_code", CODE, [code_row(digest, spec, now) for digest, spec in specs.items()])
            yield Do("forget_cron_announcer", {"worker_id": str(worker_id)})
            yield Many("announce_cron", ANNOUNCE, [(str(worker_id), digest) for digest in specs])

        await self._executor.run(plan)

    async def candidates(self) -> dict[str, CronSpec]:
        def plan() -> Plan[dict[str, CronSpec]]:
            entries = {(e.spec.scope.tenant, e.name): e for e in (yield from _entries(None))}
            winning = winners([announced_of(row) for row in (yield Rows("live_cron_codes", self._now()))])
            return {
                one.digest: one.spec
                for name, one in winning.items()
                if name not in entries or entries[name].code_hash not in (None, one.digest)
            }

        return await self._executor.run(plan, write=False)

    async def settle(self, *, next_fire_at: Mapping[str, datetime | None]) -> List[CronEntry]:
        def decide() -> Plan[List[CronEntry]]:
            now = self._executor.now()
            entries = yield from _entries(None)
            winning = winners([announced_of(row) for row in (yield Rows("live_cron_codes", self._now()))])
            by_name = {(entry.spec.scope.tenant, entry.name): entry for entry in entries}
            present = moment(now)
            assert present is not None
            return settled(by_name, winning, next_fire_at=next_fire_at, now=present)

        def act() -> Plan[List[CronEntry]]:
            changed = []
            yield Lock("lock_fleet", {})
            for entry in (yield from decide()):
                name = "insert_cron" if entry.revision == 1 else "settle_cron"
                if (yield Do(name, columns_of(entry))):
                    changed.append(entry)
            yield Do("forget_dead_announcers", {})
            yield Do("forget_cron_codes", {})
            return changed

        # mostly nothing changed, and a look is cheaper than a write
        return await self._executor.run(act) if await self._executor.run(decide, write=False) else []

    async def create(self, spec: CronSpec, *, entry_id: CronID, next_fire_at: datetime | None) -> CronEntry | None:
        def plan() -> Plan[CronEntry | None]:
            now = moment(self._executor.now())
            assert now is not None
            entry = CronEntry(entry_id, now, now, spec, anchor=now, next_fire_at=next_fire_at)
            if (yield Do("insert_cron", columns_of(entry))):
                return entry
            row = first((yield Rows("cron_by_id", {"id": str(entry_id)})))
            return None if row is None else entry_of(row)

        return await self._executor.run(plan)

    async def edit(self, entry_id: CronID, spec: CronSpec, *, revision: int, next_fire_at: datetime | None) -> Reply:
        def plan() -> Plan[Reply]:
            yield Lock("lock_cron", {"id": str(entry_id)})
            row = first((yield Rows("cron_by_id", {"id": str(entry_id)})))
            if row is None:
                return Reply.MISSING
            entry = entry_of(row)
            if entry.revision != revision or entry.code_hash is not None:
                return Reply.CONFLICT
            changed = edited(entry, spec, next_fire_at, self._executor.now())
            return Reply.APPLIED if (yield Do("settle_cron", columns_of(changed))) else Reply.CONFLICT

        return await self._executor.run(plan)

    async def enable(self, name: str, *, next_fire_at: datetime | None, scope: Scope | None = None) -> Reply:
        def plan() -> Plan[Reply]:
            yield Lock("lock_crons", {"name": name})
            entry = named((yield from _entries([name])), name, scope)
            if entry is None:
                return Reply.MISSING
            if entry.enabled:
                return Reply.CONFLICT
            yield Do("settle_cron", columns_of(enabled(entry, next_fire_at, self._executor.now())))
            return Reply.APPLIED

        return await self._executor.run(plan)

    async def disable(
        self, name: str, *, until: datetime | None = None, reason: str = "", by: str = "", scope: Scope | None = None
    ) -> Reply:
        def plan() -> Plan[Reply]:
            yield Lock("lock_crons", {"name": name})
            entry = named((yield from _entries([name])), name, scope)
            if entry is None:
                return Reply.MISSING
            changed = disabled(entry, until=until, reason=reason, by=by, now=self._executor.now())
            yield Do("settle_cron", columns_of(changed))
            return Reply.APPLIED

        return await self._executor.run(plan)

    async def due(self, *, limit: int = 100) -> Due:
        def plan() -> Plan[Due]:
            now = self._executor.now()
            present = moment(now)
            assert present is not None
            rows = yield Rows("due_crons", {"now": now, "limit": max(0, limit)})
            after = first((yield Rows("next_cron", {"now": now})))
            entries = [entry_of(row) for row in rows]
            more = len(rows) == limit
            return Due(entries, present if more else moment(after[0] if after else None), present)

        return await self._executor.run(plan, write=False)

    async def fire(self, fires: Sequence[Fire]) -> List[Fired]:
        answers: List[Fired] = []
        for together in in_batches(fires):
            answers += await self._executor.run(partial(self._fire, together))
        return answers

    async def trigger(self, name: str, tick: NewTick, *, scope: Scope | None = None) -> Fired:
        def plan() -> Plan[Fired]:
            yield Lock("lock_crons", {"name": name})
            entry = named((yield from _entries([name])), name, scope)
            if entry is None:
                return Fired(Reply.MISSING)
            return Fired(Reply.APPLIED, (yield from write_ticks([(entry.id, tick)], self._executor.now())))

        return await self._executor.run(plan)

    async def delete(self, name: str, *, scope: Scope | None = None) -> Reply:
        def plan() -> Plan[Reply]:
            yield Lock("lock_crons", {"name": name})
            entry = named((yield from _entries([name])), name, scope)
            if entry is None:
                return Reply.MISSING
            live = winners([announced_of(row) for row in (yield Rows("live_cron_codes", self._now()))])
            if entry.code_hash is not None and (entry.spec.scope.tenant, name) in live:
                return Reply.CONFLICT
            yield Do("delete_cron_ticks", {"id": str(entry.id)})
            yield Do("delete_cron", {"id": str(entry.id)})
            return Reply.APPLIED

        return await self._executor.run(plan)

    async def get(self, name: str, *, scope: Scope | None = None) -> CronEntry | None:
        def plan() -> Plan[CronEntry | None]:
            return named((yield from _entries([name])), name, scope)

        return await self._executor.run(plan, write=False)

    async def history(self, entry_id: CronID, *, limit: int = 50) -> Sequence[Tick]:
        def plan() -> Plan[Sequence[Tick]]:
            rows = yield Rows("cron_history", {"id": str(entry_id), "limit": max(0, limit)})
            return [tick_from(row) for row in rows]

        return await self._executor.run(plan, write=False)

    async def list(self, options: ListOptions) -> Page[CronEntry]:
        def plan() -> Plan[Page[CronEntry]]:
            limit = page_limit(options.limit)
            name, _, tenant = (options.cursor or "").partition("\0")
            rows = yield Rows(
                "list_crons",
                {
                    "names": optional_names(options.names),
                    "enabled": None if options.enabled is None else int(options.enabled),
                    "orphaned": None if options.orphaned is None else int(options.orphaned),
                    "after_name": name,
                    "after_tenant": tenant if options.cursor else None,
                    "limit": limit + 1,
                    **scope_params(options.scope),
                },
            )
            items = [entry_of(row) for row in rows[:limit]]
            more = len(rows) > limit
            return Page(items, f"{items[-1].name}\0{items[-1].spec.scope.tenant}" if more else None)

        return await self._executor.run(plan, write=False)

    async def prune(self, *, older_than: float, limit: int = 1000, dry_run: bool = False) -> int:
        params = {"before": self._executor.now() - span(older_than)}
        return await prune_old(self._executor, "count_old_ticks", "prune_ticks", params, limit=limit, dry_run=dry_run)

    def _now(self) -> dict[str, int]:
        return {"now": self._executor.now()}

    def _fire(self, fires: Sequence[Fire]) -> Plan[List[Fired]]:
        return fire_all(fires, self._executor.now())


def _entries(names: Sequence[str] | None) -> Plan[list[CronEntry]]:
    return [entry_of(row) for row in (yield Rows("crons_named", {"names": optional_names(names or ())}))]
