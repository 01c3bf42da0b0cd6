"""The cron entries of a server elsewhere."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from dispatch.clock import Duration, seconds
from dispatch.cluster.model import Announcement
from dispatch.crons.model import CronEntry, ListOptions, Misfire, Overlap, Tick
from dispatch.entity import LARGEST_PAGE, Page
from dispatch.jobs.options import EnqueueOptions
from dispatch.scope import NO_SCOPE, Scope
from dispatch.services.crons import not_found
from dispatch.text import iso
from dispatch_cli.remote.link import Link, given, part, words
from dispatch_cli.remote.reading import cron_of, tick_of


class RemoteCrons:
    """As CronService.

    Args:
        definitions: asks what apps have announced.
    """

    def __init__(self, link: Link, *, definitions: Callable[[], Awaitable[Sequence[Announcement]]]) -> None:
        self._link = link
        self._definitions = definitions

    async def get(self, name: str, *, scope: Scope | None = None) -> CronEntry:
        if scope is None:
            return await self._link.get(f"/v1/crons/{part(name)}", cron_of)
        page = await self.list(ListOptions(names=[name], scope=scope, limit=1))
        if not page.items:
            theirs = await self.list(ListOptions(scope=scope, limit=LARGEST_PAGE))
            raise not_found(name, scope, {entry.name for entry in theirs.items})
        return await self._link.get(f"/v1/crons/{page.items[0].id}", cron_of)

    async def list(self, options: ListOptions | None = None) -> Page[CronEntry]:
        chosen = options or ListOptions()
        return await self._link.page(
            "/v1/crons",
            cron_of,
            enabled=chosen.enabled,
            orphaned=chosen.orphaned,
            name=words(chosen.names),
            tenant=_tenant(chosen.scope),
            limit=chosen.limit,
            cursor=chosen.cursor,
        )

    async def history(self, name: str, *, limit: int = 50, scope: Scope | None = None) -> Sequence[Tick]:
        entry = await self.get(name, scope=scope)
        return await self._link.all(f"/v1/crons/{entry.id}/history", lambda one: tick_of(one, entry.id), limit=limit)

    async def next(self, name: str, *, count: int = 10, scope: Scope | None = None) -> Sequence[datetime]:
        path = await self._path(name, scope)
        return await self._link.all(f"{path}/next", lambda one: datetime.fromisoformat(one["at"]), count=count)

    async def enable(self, name: str, *, scope: Scope | None = None) -> bool:
        entry = await self.get(name, scope=scope)
        if entry.enabled:
            return False
        await self._link.post(f"/v1/crons/{entry.id}/enable", dict, {"reason": self._link.reason})
        return True

    async def disable(
        self, name: str, *, until: datetime | None = None, reason: str = "", by: str = "", scope: Scope | None = None
    ) -> None:
        path = await self._path(name, scope)
        await self._link.post(f"{path}/disable", dict, {"until": iso(until), "reason": reason})

    async def trigger(self, name: str, *, scope: Scope | None = None) -> Tick:
        entry = await self.get(name, scope=scope)
        body = {"reason": self._link.reason}
        return await self._link.post(f"/v1/crons/{entry.id}/trigger", lambda found: tick_of(found, entry.id), body)

    async def create_named(
        self,
        name: str,
        schedule: str,
        target: str,
        arguments: Any = None,
        options: EnqueueOptions | None = None,
        *,
        timezone: str | None = None,
        overlap: Overlap = "skip",
        misfire: Misfire | None = None,
        misfire_window: Duration | None = None,
        jitter: Duration | None = None,
        scope: Scope | None = None,
        dry_run: bool = False,
    ) -> CronEntry:
        chosen = options or EnqueueOptions()
        body = given(
            name=name,
            schedule=schedule,
            target=target,
            payload=arguments,
            queue=chosen.queue,
            priority=chosen.priority,
            tags=None if chosen.tags is None else [*chosen.tags],
            tenant=_tenant(scope or None),
            dry_run=dry_run,
            reason=self._link.reason,
            timezone=timezone,
            overlap=overlap,
            misfire=misfire,
            misfire_window=None if misfire_window is None else seconds(misfire_window),
            jitter=None if jitter is None else seconds(jitter),
        )
        return await self._link.post("/v1/crons", cron_of, body)

    async def edit(self, name: str, *, scope: Scope | None = None, dry_run: bool = False, **changes: Any) -> CronEntry:
        body = {**changes, "dry_run": dry_run, "reason": self._link.reason}
        if "payload" in changes:
            body["payload"] = json.loads(changes["payload"])
        return await self._link.post(await self._path(name, scope), cron_of, body, method="PATCH")

    async def announced(self, target: str) -> Announcement | None:
        found = [one for one in await self._definitions() if one.name == target]
        return max(found, key=lambda one: (one.kind == "job", one.version), default=None)

    async def delete(self, name: str, *, scope: Scope | None = None) -> None:
        await self._link.delete(await self._path(name, scope))

    async def orphans(self) -> Sequence[CronEntry]:
        found: list[CronEntry] = []
        options = ListOptions(orphaned=True, limit=LARGEST_PAGE)
        while True:
            page = await self.list(options)
            found += page.items
            if page.next_cursor is None:
                return found
            options = replace(options, cursor=page.next_cursor)

    async def prune_orphans(self) -> Sequence[str]:
        def read(found: Any) -> Sequence[str]:
            return [one["name"] for one in found["items"]]

        return await self._link.post("/v1/crons/prune", read, {"reason": self._link.reason})

    async def _path(self, name: str, scope: Scope | None) -> str:
        """The entry's own path: by its name, or by its id where a tenant is named."""
        return f"/v1/crons/{part(name) if scope is None else (await self.get(name, scope=scope)).id}"


def _tenant(scope: Scope | None) -> str | None:
    return None if scope is None or scope == NO_SCOPE else scope.tenant
