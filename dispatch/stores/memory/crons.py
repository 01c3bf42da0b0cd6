"""The crons part of the memory store: entries, what code announces, and ticks that fire once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import islice

from dispatch.cluster.model import WorkerState
from dispatch.crons.model import NEWER_TICK, CronEntry, CronSpec, Due, Fire, Fired, ListOptions, NewTick, Tick
from dispatch.crons.settle import Announced, Name, may_fire, named, settled, tick_of, winners
from dispatch.entity import LARGEST_PAGE, Page, Reply
from dispatch.ids import CronID, JobID, WorkerID
from dispatch.scope import Scope
from dispatch.stores.memory.aside import is_live
from dispatch.stores.memory.changes import cancel
from dispatch.stores.memory.data import Data, Session
from dispatch.stores.memory.enqueue import enqueue
from dispatch.stores.memory.feed import tell_tick
from dispatch.stores.memory.journal import create
from dispatch.stores.memory.rows import checked_text, in_scope
from dispatch.stores.memory.wakes import cancel_run


class MemoryCrons:
    """The verbs of CronStore."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def announce(self, worker_id: WorkerID, specs: Mapping[str, CronSpec]) -> None:
        with self._session as data:
            now = data.clock.now()
            for digest, spec in specs.items():
                data.cron_codes.setdefault(digest, Announced(digest, spec, now))
            data.cron_announced[worker_id] = set(specs)

    async def candidates(self) -> dict[str, CronSpec]:
        with self._session as data:
            entries = _by_name(data)
            return {
                one.digest: one.spec
                for name, one in _winning(data).items()
                if name not in entries or entries[name].code_hash not in (None, one.digest)
            }

    async def settle(self, *, next_fire_at: Mapping[str, datetime | None]) -> list[CronEntry]:
        with self._session as data:
            changed = settled(_by_name(data), _winning(data), next_fire_at=next_fire_at, now=data.clock.now())
            for entry in changed:
                data.crons[entry.id] = entry
            if changed:
                _forget_the_dead(data)
                data.signal.bump()
            return [replace(entry) for entry in changed]

    async def create(self, spec: CronSpec, *, entry_id: CronID, next_fire_at: datetime | None) -> CronEntry | None:
        for text in (spec.name, spec.target, *spec.scope):
            checked_text(text, f"cron entry {spec.name}")
        with self._session as data:
            known = data.crons.get(entry_id)
            if known is not None:
                return replace(known)
            if (spec.scope.tenant, spec.name) in _by_name(data):
                return None
            now = data.clock.now()
            entry = CronEntry(entry_id, now, now, spec, anchor=now, next_fire_at=next_fire_at)
            data.crons[entry_id] = entry
            data.signal.bump()
            return replace(entry)

    async def edit(self, entry_id: CronID, spec: CronSpec, *, revision: int, next_fire_at: datetime | None) -> Reply:
        with self._session as data:
            entry = data.crons.get(entry_id)
            if entry is None:
                return Reply.MISSING
            if entry.revision != revision or entry.code_hash is not None:
                return Reply.CONFLICT
            now = data.clock.now()
            timed_anew = (entry.spec.schedule, entry.spec.timezone) != (spec.schedule, spec.timezone)
            spec = replace(spec, name=entry.spec.name, scope=entry.spec.scope)
            anchor = now if timed_anew else entry.anchor
            data.crons[entry_id] = replace(
                entry, spec=spec, revision=revision + 1, updated_at=now, anchor=anchor, next_fire_at=next_fire_at
            )
            data.signal.bump()
            return Reply.APPLIED

    async def enable(self, name: str, *, next_fire_at: datetime | None, scope: Scope | None = None) -> Reply:
        with self._session as data:
            entry = named(_entries(data), name, scope)
            if entry is None:
                return Reply.MISSING
            if entry.enabled:
                return Reply.CONFLICT
            data.crons[entry.id] = replace(
                entry,
                enabled=True,
                disabled_until=None,
                disabled_reason="",
                disabled_by="",
                revision=entry.revision + 1,
                updated_at=data.clock.now(),
                next_fire_at=next_fire_at,
            )
            data.signal.bump()
            return Reply.APPLIED

    async def disable(
        self, name: str, *, until: datetime | None = None, reason: str = "", by: str = "", scope: Scope | None = None
    ) -> Reply:
        for text in (reason, by):
            checked_text(text, f"why cron entry {name} is disabled")
        with self._session as data:
            entry = named(_entries(data), name, scope)
            if entry is None:
                return Reply.MISSING
            data.crons[entry.id] = replace(
                entry,
                enabled=False,
                disabled_until=until,
                disabled_reason=reason,
                disabled_by=by,
                revision=entry.revision + 1,
                updated_at=data.clock.now(),
            )
            data.signal.bump()
            return Reply.APPLIED

    async def due(self, *, limit: int = 100) -> Due:
        with self._session as data:
            now = data.clock.now()
            waiting: list[tuple[datetime, CronEntry]] = []
            for entry in data.crons.values():
                if entry.next_fire_at is not None and not entry.orphaned:
                    if entry.enabled:
                        waiting.append((entry.next_fire_at, entry))
                    elif entry.disabled_until is not None:
                        waiting.append((max(entry.next_fire_at, entry.disabled_until), entry))
            waiting.sort(key=lambda pair: (pair[0], pair[1].id))
            found = [replace(entry) for moment, entry in waiting if moment <= now][: max(0, limit)]
            later = [moment for moment, _ in waiting[len(found) :]]
            return Due(found, later[0] if later else None, now)

    async def fire(self, fires: Sequence[Fire]) -> list[Fired]:
        with self._session as data:
            return [_fire(data, fire, data.clock.now()) for fire in fires]

    async def trigger(self, name: str, tick: NewTick, *, scope: Scope | None = None) -> Fired:
        with self._session as data:
            entry = named(_entries(data), name, scope)
            if entry is None:
                return Fired(Reply.MISSING)
            return Fired(Reply.APPLIED, [_write(data, entry, tick, data.clock.now())])

    async def delete(self, name: str, *, scope: Scope | None = None) -> Reply:
        with self._session as data:
            entry = named(_entries(data), name, scope)
            if entry is None:
                return Reply.MISSING
            if entry.code_hash is not None and (entry.spec.scope.tenant, name) in _winning(data):
                return Reply.CONFLICT
            del data.crons[entry.id]
            data.ticks.pop(entry.id, None)
            return Reply.APPLIED

    async def get(self, name: str, *, scope: Scope | None = None) -> CronEntry | None:
        with self._session as data:
            entry = named(_entries(data), name, scope)
            return None if entry is None else replace(entry)

    async def history(self, entry_id: CronID, *, limit: int = 50) -> Sequence[Tick]:
        with self._session as data:
            ticks = data.ticks.get(entry_id, {})
            latest = sorted(ticks.values(), key=lambda tick: tick.scheduled_at, reverse=True)
            return list(islice(latest, max(0, limit)))

    async def list(self, options: ListOptions) -> Page[CronEntry]:
        with self._session as data:
            limit = max(1, min(options.limit, LARGEST_PAGE))
            found = sorted((_place(entry), entry) for entry in data.crons.values() if _matches(entry, options))
            after = [pair for pair in found if options.cursor is None or pair[0] > options.cursor]
            page = after[:limit]
            return Page([replace(entry) for _, entry in page], page[-1][0] if len(after) > limit else None)

    async def prune(self, *, older_than: float, limit: int = 1000, dry_run: bool = False) -> int:
        with self._session as data:
            before = data.clock.now() - timedelta(seconds=older_than)
            old = sorted(
                (tick.fired_at, tick.scheduled_at, entry_id)
                for entry_id, ticks in data.ticks.items()
                for tick in ticks.values()
                if tick.fired_at < before
            )[: max(0, limit)]
            if not dry_run:
                for _, scheduled_at, entry_id in old:
                    del data.ticks[entry_id][scheduled_at]
            return len(old)


def _entries(data: Data) -> list[CronEntry]:
    return list(data.crons.values())


def _by_name(data: Data) -> dict[Name, CronEntry]:
    return {(entry.spec.scope.tenant, entry.name): entry for entry in data.crons.values()}


def _winning(data: Data) -> dict[Name, Announced]:
    """Who wins among what live workers announce."""
    now = data.clock.now()
    live = [
        digest
        for worker_id, digests in data.cron_announced.items()
        if (worker := data.workers.get(worker_id)) is not None and is_live(worker, now)
        for digest in digests
    ]
    return winners(data.cron_codes[digest] for digest in live)


def _forget_the_dead(data: Data) -> None:
    """Forgets what retired workers announced, and code that nobody has and no entry comes from."""
    for worker_id in list(data.cron_announced):
        worker = data.workers.get(worker_id)
        if worker is None or worker.state is WorkerState.STOPPED:
            del data.cron_announced[worker_id]
    used = {entry.code_hash for entry in data.crons.values()}.union(*data.cron_announced.values())
    data.cron_codes = {digest: one for digest, one in data.cron_codes.items() if digest in used}


def _place(entry: CronEntry) -> str:
    return f"{entry.name}\0{entry.spec.scope.tenant}"


def _matches(entry: CronEntry, options: ListOptions) -> bool:
    return (
        (options.enabled is None or entry.enabled == options.enabled)
        and (options.orphaned is None or entry.orphaned == options.orphaned)
        and (not options.names or entry.name in options.names)
        and in_scope(entry.spec.scope, options.scope)
    )


def _fire(data: Data, fire: Fire, now: datetime) -> Fired:
    entry = data.crons.get(fire.entry_id)
    if entry is None:
        return Fired(Reply.MISSING)
    if entry.revision != fire.revision or entry.next_fire_at != fire.expected or not may_fire(entry, now):
        return Fired(Reply.CONFLICT)
    ticks = [_write(data, entry, new, now) for new in fire.ticks]
    fired = [tick.scheduled_at for tick in ticks if tick.outcome == "fired"]
    data.crons[entry.id] = replace(
        entry,
        enabled=True,
        disabled_until=None,
        disabled_reason="",
        disabled_by="",
        updated_at=now,
        next_fire_at=fire.next_fire_at,
        last_fired_at=max([*fired, *([entry.last_fired_at] if entry.last_fired_at else [])], default=None),
    )
    data.signal.bump()
    return Fired(Reply.APPLIED, ticks)


def _write(data: Data, entry: CronEntry, new: NewTick, now: datetime) -> Tick:
    """The tick as it stands: an earlier one of the same moment, or the new one with what it made."""
    known = data.ticks.setdefault(entry.id, {}).get(new.scheduled_at)
    if known is None:
        made = _made(data, new, now)
        known = data.ticks[entry.id][new.scheduled_at] = tick_of(entry.id, new, made, now)
        tell_tick(data.stream, entry, known, now)
    return known


def _made(data: Data, new: NewTick, now: datetime) -> JobID | None:
    """The job or driver that the tick makes; None when it makes none, or the overlap rule keeps it out."""
    if new.cancel_old:
        _cancel_old(data, new, now)
    if new.run is not None:
        (run,) = create(data, [new.run], now, line_up=True)
        return new.run.driver.id if run.created else None
    if new.job is None:
        return None
    (answer,) = enqueue(data, [new.job], now)
    return answer.id if answer.created else None


def _cancel_old(data: Data, new: NewTick, now: datetime) -> None:
    """Asks the job or run that holds the entry's key to stop."""
    made = new.job if new.run is None else new.run.driver
    hold = None if made is None or made.unique is None else data.keys.holder(made.unique.key, now)
    if hold is None or not hold.live:
        return
    run = data.runs.driven_by(data.rows[hold.job_id])
    if run is None:
        cancel(data, hold.job_id, None, NEWER_TICK, now)
    else:
        cancel_run(data, run, NEWER_TICK, now)
