"""The verbs on cron entries."""

from __future__ import annotations

import difflib
from collections.abc import Sequence, Set
from dataclasses import replace
from datetime import datetime
from itertools import islice
from typing import Any

from dispatch.clock import Duration
from dispatch.cluster.model import Announcement
from dispatch.crons.definition import CronCall, span
from dispatch.crons.model import CronEntry, CronSpec, Fired, ListOptions, Misfire, Overlap, Tick
from dispatch.crons.plan import carrying, first_fire, manual_tick, schedule_of
from dispatch.crons.schedule import ticks
from dispatch.entity import LARGEST_PAGE, Page, Reply
from dispatch.errors import Conflict, CronNotFound, DuplicateName
from dispatch.ids import CronID
from dispatch.jobs.options import EnqueueOptions
from dispatch.plugins import PluginManager
from dispatch.scope import Scope, capture
from dispatch.services.audit import AuditService
from dispatch.services.cron_specs import CronDefaults, Timing, changed, spec_of_call, spec_of_name
from dispatch.store import Store
from dispatch.telemetry import OFF, Telemetry

_AHEAD = 10


class CronService:
    """Look at, make, change, switch and trigger cron entries."""

    def __init__(
        self,
        store: Store,
        *,
        audit: AuditService | None = None,
        defaults: CronDefaults | None = None,
        telemetry: Telemetry = OFF,
        plugins: PluginManager | None = None,
    ) -> None:
        self._plugins = plugins or PluginManager()
        self._store = store
        self._telemetry = telemetry
        self._defaults = defaults or CronDefaults()
        self._audit = audit or AuditService(store)

    async def create(
        self,
        name: str,
        schedule: str,
        call: CronCall,
        *,
        timezone: str | None = None,
        overlap: Overlap = "skip",
        misfire: Misfire | None = None,
        misfire_window: Duration | None = None,
        jitter: Duration | None = None,
        scope: Scope | None = None,
    ) -> CronEntry:
        """Adds an entry at run time, for one tenant (`scope`; default: that of the code running now) or none.

        Args:
            name: unique in its tenant. schedule: five or six cron fields, a word such as "@daily", or "@every 30s".
            call: what each tick calls, `digest.call(42)`, of a job or a workflow.
            timezone: the IANA zone whose wall clock the fields mean. overlap, misfire: as for `@cron`.
            misfire_window, jitter: seconds, timedelta or "30s". What is None is as `[cron]` says.

        Raises:
            InvalidDefinition: the schedule or an option says nothing. DuplicateName: there is such an entry.
        """
        timing = _timing(name, schedule, timezone, overlap, misfire, misfire_window, jitter)
        owner = capture() if scope is None else scope
        return await self.add(spec_of_call(name, timing, call, scope=owner, defaults=self._defaults))

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
        """As `create`, for a job or workflow by name, without the user's module: queue, schema and version are those
        that its app announced.

        Args:
            target: the job's or workflow's name. arguments: an object (by parameter name), a list or None.
            options: as for `.options(...)`. dry_run: answer the entry as it would be, and write nothing.

        Raises InvalidDefinition, InvalidArguments, DuplicateName.
        """
        timing = _timing(name, schedule, timezone, overlap, misfire, misfire_window, jitter)
        owner = capture() if scope is None else scope
        spec = spec_of_name(
            name,
            timing,
            target,
            {} if arguments is None else arguments,
            options or EnqueueOptions(),
            announced=await self.announced(target),
            scope=owner,
            defaults=self._defaults,
        )
        if not dry_run:
            return await self.add(spec)
        if await self._store.crons.get(name, scope=owner) is not None:
            raise _taken(name)
        now = await self._now()
        return CronEntry(CronID.new(), now, now, spec, anchor=now, next_fire_at=first_fire(spec, now))

    async def announced(self, target: str) -> Announcement | None:
        """What apps have announced under a name: the job, else the newest version of the workflow."""
        found = [one for one in await self._store.cluster.definitions() if one.name == target]
        return max(found, key=lambda one: (one.kind == "job", one.version), default=None)

    async def add(self, spec: CronSpec) -> CronEntry:
        """Adds an entry that says `spec`. Raises DuplicateName."""
        moment = first_fire(spec, await self._now())
        async with self._audit.act("cron.create", [spec.name], detail=spec.schedule):
            entry = await self._store.crons.create(spec, entry_id=CronID.new(), next_fire_at=moment)
            if entry is None:
                raise _taken(spec.name)
            return entry

    async def edit(self, name: str, *, scope: Scope | None = None, dry_run: bool = False, **changes: Any) -> CronEntry:
        """Changes what an entry made at run time says: `schedule`, `timezone`, `overlap`, `misfire`, `misfire_window`
        and `jitter` (seconds), `payload` (JSON as bytes), `options`; answers it as it is then.

        Raises InvalidDefinition; CronNotFound; Conflict for an entry that code announces, or when somebody else changed
        it meanwhile.
        """
        entry = await self.get(name, scope=scope)
        if entry.code_hash is not None:
            raise Conflict(f"{name} is announced by code: change its @cron(...) and restart the workers, or disable it")
        spec = changed(entry.spec, changes)
        timed_anew = (spec.schedule, spec.timezone) != (entry.spec.schedule, entry.spec.timezone)
        moment = first_fire(spec, await self._now()) if timed_anew else entry.next_fire_at
        if dry_run:
            return replace(entry, spec=spec, next_fire_at=moment)
        async with self._audit.act("cron.edit", [name], detail=", ".join(f"{k}={v}" for k, v in changes.items())):
            reply = await self._store.crons.edit(entry.id, spec, revision=entry.revision, next_fire_at=moment)
            if reply is not Reply.APPLIED:
                raise Conflict(f"{name} was changed by somebody else just now; look at it and try again")
        return await self.get(name, scope=scope)

    async def enable(self, name: str, *, scope: Scope | None = None) -> bool:
        """Lets it fire again, from its next tick on; False when it was enabled. Raises CronNotFound."""
        entry = await self.get(name, scope=scope)
        moment = schedule_of(entry).after(await self._now())
        async with self._audit.act("cron.enable", [name]):
            reply = await self._store.crons.enable(name, next_fire_at=moment, scope=scope)
            return await self._found(name, reply, scope)

    async def disable(
        self, name: str, *, until: datetime | None = None, reason: str = "", by: str = "", scope: Scope | None = None
    ) -> None:
        """Keeps it from firing, for good or until then; deploys do not change that. Raises CronNotFound."""
        detail = "" if until is None else f"until {until.isoformat()}"
        async with self._audit.act("cron.disable", [name], who=by, reason=reason, detail=detail):
            reply = await self._store.crons.disable(name, until=until, reason=reason, by=by, scope=scope)
            await self._found(name, reply, scope)

    async def delete(self, name: str, *, scope: Scope | None = None) -> None:
        """Removes the entry with its history. Raises CronNotFound; Conflict while code announces it."""
        async with self._audit.act("cron.delete", [name]):
            if not await self._found(name, await self._store.crons.delete(name, scope=scope), scope):
                raise Conflict(f"{name} is announced by the code of live workers, which would add it again: disable it")

    async def trigger(self, name: str, *, scope: Scope | None = None) -> Tick:
        """Makes the entry's call now, enabled or not; its schedule goes on as before. Raises CronNotFound."""
        entry = await self.get(name, scope=scope)
        tick = manual_tick(entry, await self._now())
        async with self._audit.act("cron.trigger", [name]):
            spans = self._telemetry.spans
            if spans is None:
                fired: Fired = await self._store.crons.trigger(name, tick, scope=scope)
            else:
                with spans.firing(name, entry.spec.scope) as carrier:
                    fired = await self._store.crons.trigger(name, carrying(tick, carrier), scope=scope)
            await self._found(name, fired.reply, scope)
            made = fired.ticks[0]
            if made.job_id is not None:
                if tick.job is not None and self._plugins.has("job_enqueued"):
                    self._plugins.background("job_enqueued", job=tick.job)
                if self._plugins.has("cron_fired"):
                    self._plugins.background("cron_fired", entry=entry, job_id=made.job_id)
            return made

    async def get(self, name: str, *, scope: Scope | None = None) -> CronEntry:
        """The entry. Raises CronNotFound."""
        entry = await self._store.crons.get(name, scope=scope)
        if entry is None:
            raise await self._not_found(name, scope)
        return entry

    async def find(self, key: str, *, scope: Scope | None = None) -> CronEntry:
        """The entry with that id or name. Raises CronNotFound."""
        if not key.startswith(f"{CronID.prefix}_"):
            return await self.get(key, scope=scope)
        options = ListOptions(scope=scope, limit=LARGEST_PAGE)
        while True:
            page = await self._store.crons.list(options)
            for entry in page.items:
                if entry.id == key:
                    return entry
            if page.next_cursor is None:
                return await self.get(key, scope=scope)
            options = replace(options, cursor=page.next_cursor)

    async def list(self, options: ListOptions | None = None) -> Page[CronEntry]:
        """Entries by name."""
        return await self._store.crons.list(options or ListOptions())

    async def history(self, name: str, *, limit: int = 50, scope: Scope | None = None) -> Sequence[Tick]:
        """Its latest ticks, newest first. Raises CronNotFound."""
        return await self._store.crons.history((await self.get(name, scope=scope)).id, limit=limit)

    async def next(self, name: str, *, count: int = _AHEAD, scope: Scope | None = None) -> Sequence[datetime]:
        """When it will tick next, were it enabled. Raises CronNotFound."""
        entry = await self.get(name, scope=scope)
        now = await self._now()
        far = now.replace(year=min(now.year + 60, 9999))
        return list(islice(ticks(schedule_of(entry), now, far), count))

    async def orphans(self) -> Sequence[CronEntry]:
        """The entries whose code no live worker has."""
        found: list[CronEntry] = []
        cursor: str | None = None
        while True:
            page = await self._store.crons.list(ListOptions(orphaned=True, limit=LARGEST_PAGE, cursor=cursor))
            found += page.items
            cursor = page.next_cursor
            if cursor is None:
                return found

    async def prune_orphans(self) -> Sequence[str]:
        """Deletes entries whose code no live worker has; answers their names."""
        orphans = await self.orphans()
        async with self._audit.act("cron.prune", [entry.name for entry in orphans]) as act:
            gone = [
                entry.name
                for entry in orphans
                if await self._store.crons.delete(entry.name, scope=entry.spec.scope) is Reply.APPLIED
            ]
            act.settle(gone)
            return gone

    async def _now(self) -> datetime:
        """The store's clock."""
        return (await self._store.crons.due(limit=0)).now

    async def _found(self, name: str, reply: Reply, scope: Scope | None) -> bool:
        if reply is Reply.MISSING:
            raise await self._not_found(name, scope)
        return reply is Reply.APPLIED

    async def _not_found(self, name: str, scope: Scope | None) -> CronNotFound:
        page = await self._store.crons.list(ListOptions(scope=scope, limit=LARGEST_PAGE))
        return not_found(name, scope, {entry.name for entry in page.items})


def not_found(name: str, scope: Scope | None, known: Set[str]) -> CronNotFound:
    """What to raise where no entry, or no single one, has the name; `known` are those of the scope."""
    if name in known and scope is None:
        return CronNotFound(f"several tenants have a cron entry {name!r}: name the tenant")
    near = difflib.get_close_matches(name, known - {name}, 1)
    whose = f" of tenant {scope.tenant!r}" if scope else ""
    hint = f"did you mean {near[0]!r}?" if near else "`dispatch cron list` shows those there are"
    return CronNotFound(f"there is no cron entry {name!r}{whose}; {hint}")


def _timing(
    name: str,
    schedule: str,
    timezone: str | None,
    overlap: Overlap,
    misfire: Misfire | None,
    misfire_window: Duration | None,
    jitter: Duration | None,
) -> Timing:
    return Timing(
        schedule=schedule,
        timezone=timezone,
        overlap=overlap,
        misfire=misfire,
        misfire_window=span(name, "misfire_window", misfire_window),
        jitter=span(name, "jitter", jitter),
    )


def _taken(name: str) -> DuplicateName:
    return DuplicateName(f"there is a cron entry {name!r} already; edit or delete it, or choose another name")
