"""The events part of a SQL store."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from dispatch.clock import from_micros
from dispatch.entity import Page
from dispatch.events.model import Event, ListOptions
from dispatch.ids import EventID, RunID
from dispatch.scope import Scope
from dispatch.stores.sql.listing import page_limit
from dispatch.stores.sql.plan import Do, Executor, Plan, Rows, first
from dispatch.stores.sql.prune import prune_old
from dispatch.stores.sql.rows import optional_names, scope_of, scope_params, span


class SQLEvents:
    """EventStore over any SQL executor."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    async def publish(self, event: Event) -> Event:
        def plan() -> Plan[Event]:
            now = self._executor.now()
            added = yield Do(
                "publish_event",
                {
                    "id": str(event.id),
                    "name": event.name,
                    "key": event.key,
                    "run_id": None if event.run_id is None else str(event.run_id),
                    "app_id": event.scope.app_id,
                    "org_id": event.scope.org_id,
                    "now": now,
                    "payload": event.payload,
                },
            )
            if added:
                return replace(event, created_at=from_micros(now))
            rows = yield Rows("get_event", {"id": str(event.id), **scope_params(None)})
            return event_of(rows[0])

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
