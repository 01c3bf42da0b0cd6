"""The events part of a SQL store."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from dispatch.clock import from_micros
from dispatch.entity import Page
from dispatch.errors import RunEnded, RunNotFound
from dispatch.events.model import Event, ListOptions
from dispatch.ids import EventID, RunID
from dispatch.scope import Scope
from dispatch.stores.sql.listing import page_limit
from dispatch.stores.sql.plan import Do, Executor, Lock, Plan, Rows, first
from dispatch.stores.sql.prune import prune_old
from dispatch.stores.sql.rows import names_text, optional_names, scope_of, scope_params, span
from dispatch.stores.sql.workflow_rows import lock_runs
from dispatch.stores.sql.workflow_wakes import wake


class SQLEvents:
    """EventStore over any SQL executor."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    async def publish(self, event: Event) -> Event:
        def plan() -> Plan[Event]:
            now = self._executor.now()
            known = first((yield Rows("get_event", {"id": str(event.id), **scope_params(None)})))
            if known is not None:
                return event_of(known)
            scope = yield from _scope(event)
            added = yield Do(
                "publish_event",
                {
                    "id": str(event.id),
                    "name": event.name,
                    "key": event.key,
                    "run_id": None if event.run_id is None else str(event.run_id),
                    "app_id": scope.app_id,
                    "org_id": scope.org_id,
                    "now": now,
                    "payload": event.payload,
                },
            )
            if not added:
                rows = yield Rows("get_event", {"id": str(event.id), **scope_params(None)})
                return event_of(rows[0])
            yield from _wake_waiting(event, scope, now)
            return replace(event, created_at=from_micros(now), scope=scope)

        return await self._executor.run(plan)

    async def get(self, event_id: EventID, *, scope: Scope | None = None) -> Event | None:
        def plan() -> Plan[Event | None]:
            row = first((yield Rows("get_event", {"id": str(event_id), **scope_params(scope)})))
            return None if row is None else event_of(row)

        return await self._executor.run(plan, write=False, single=True)

    async def list(self, options: ListOptions) -> Page[Event]:
        def plan() -> Plan[Page[Event]]:
            limit = page_limit(options.limit)
            rows = yield Rows(
                "list_events",
                {
                    "names": optional_names(options.names),
                    "key": options.key,
                    "cursor": options.cursor,
                    "limit": limit + 1,
                    **scope_params(options.scope),
                },
            )
            items = [event_of(row) for row in rows[:limit]]
            return Page(items, str(items[-1].id) if len(rows) > limit else None)

        return await self._executor.run(plan, write=False, single=True)

    async def prune(self, *, older_than: float, limit: int = 1000, dry_run: bool = False) -> int:
        params = {"before": self._executor.now() - span(older_than)}
        return await prune_old(self._executor, "count_old_events", "prune_events", params, limit=limit, dry_run=dry_run)


def _scope(event: Event) -> Plan[Scope]:
    """The scope that the event is stored with; a signal's is that of its run, which must be live."""
    if event.run_id is None:
        return event.scope
    ids = {"ids": names_text([event.run_id])}
    yield Rows("lock_drivers_of", ids)
    run = (yield from lock_runs([event.run_id])).get(event.run_id)
    if run is None or (event.scope and event.scope != (run.app_id, run.org_id)):
        raise RunNotFound(f"There is no run {event.run_id} to signal {event.name!r} to; nothing was written")
    if run.ended:
        raise RunEnded(
            f"{run.id} is {run.state}: the signal {event.name!r} was not written. Retry the run first, or start "
            "another one"
        )
    return scope_of(run.app_id, run.org_id)


def _wake_waiting(event: Event, scope: Scope, now: int) -> Plan[None]:
    """Wakes the runs with an open wait that takes the event, each once."""
    if event.run_id is not None:
        signal = {"run_id": str(event.run_id), "name": event.name}
        waiting = [str(event.run_id)] if (yield Rows("waits_for_signal", signal)) else []
    else:
        channel = {"name": event.name, "key": event.key, "app_id": scope.app_id, "org_id": scope.org_id}
        yield Lock("lock_channel_shared", channel)
        waiting = [run_id for (run_id,) in (yield Rows("runs_waiting", {**channel, "now": now}))]
    if waiting:
        yield from wake(waiting, now)


def event_of(row: tuple[Any, ...]) -> Event:
    """The event in a row of `event_columns`."""
    id_, name, key, run_id, app_id, org_id, created_at, payload = row
    return Event(
        name=name,
        payload=b"" if payload is None else payload,
        key=key,
        id=EventID(id_),
        created_at=from_micros(created_at),
        run_id=None if run_id is None else RunID(run_id),
        scope=scope_of(app_id, org_id),
    )
