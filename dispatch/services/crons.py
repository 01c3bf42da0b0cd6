"""The verbs on cron entries."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import islice
from typing import Any, cast

from dispatch.crons.definition import CronDefinition, check_options
from dispatch.crons.model import CronEntry, CronSpec, Fired, ListOptions, Misfire, NewTick, Overlap, Tick
from dispatch.crons.plan import first_fire, job_of, options_of, schedule_of
from dispatch.crons.schedule import ticks
from dispatch.entity import LARGEST_PAGE, Page, Reply
from dispatch.errors import Conflict, CronNotFound, DuplicateName
from dispatch.ids import CronID
from dispatch.jobs.definition import Call, JobDefinition
from dispatch.scope import NO_SCOPE, Scope
from dispatch.services.audit import AuditService
from dispatch.store import Store

_AHEAD = 10


class CronService:
    """Look at, make, change, switch and trigger cron entries."""

    def __init__(self, store: Store, *, audit: AuditService | None = None) -> None:
        self._store = store
        self._audit = audit or AuditService(store)

    async def create(
        self,
        name: str,
        schedule: str,
        call: Call[Any],
        *,
        timezone: str = "UTC",
        overlap: Overlap = "skip",
        misfire: Misfire = "once",
        misfire_window: float | None = None,
        jitter: float = 0.0,
        scope: Scope | None = None,
    ) -> CronEntry:
        """Adds an entry at run time, for one tenant (`scope`) or none.

        Args:
            name: unique in its tenant. schedule: five or six cron fields, a word such as "@daily", or "@every 30s".
            call: what each tick calls, `digest.call(42)`. timezone: the IANA zone whose wall clock the fields mean.
            misfire_window, jitter: seconds.

        Raises:
            InvalidDefinition: the schedule or an option says nothing. DuplicateName: there is such an entry.
        """
        check_options(name, schedule, timezone, overlap, misfire)
        owner = call.options.scope or scope or NO_SCOPE
        made = call.new_job(scope=owner, idempotency_ttl=1.0)
        spec = CronSpec(
            name=name,
            schedule=schedule,
            target=made.name,
            payload=made.payload,
            timezone=timezone,
            overlap=overlap,
            misfire=misfire,
            misfire_window=misfire_window,
            jitter=jitter,
            options=options_of(made),
            scope=owner,
        )
        return await self.add(spec)

    async def add(self, spec: CronSpec) -> CronEntry:
        """Adds an entry that says `spec`. Raises DuplicateName."""
        moment = first_fire(spec, await self._now())
        async with self._audit.act("cron.create", [spec.name], detail=spec.schedule):
            entry = await self._store.crons.create(spec, entry_id=CronID.new(), next_fire_at=moment)
            if entry is None:
                raise DuplicateName(
                    f"there is a cron entry {spec.name!r} already; edit or delete it, or choose another name"
                )
            return entry

    async def edit(self, name: str, *, scope: Scope | None = None, **changes: Any) -> CronEntry:
        """Changes what an entry made at run time says (schedule, timezone, overlap, misfire, jitter …).

        Raises CronNotFound; Conflict for an entry that code announces, or when somebody else changed it meanwhile.
        """
        entry = await self.get(name, scope=scope)
        if entry.code_hash is not None:
            raise Conflict(f"{name} is announced by code: change its @cron(...) and restart the workers, or disable it")
        spec = replace(entry.spec, **changes)
        check_options(name, spec.schedule, spec.timezone, spec.overlap, spec.misfire)
        timed_anew = (spec.schedule, spec.timezone) != (entry.spec.schedule, entry.spec.timezone)
        moment = first_fire(spec, await self._now()) if timed_anew else entry.next_fire_at
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
            return self._found(name, await self._store.crons.enable(name, next_fire_at=moment, scope=scope))

    async def disable(
        self, name: str, *, until: datetime | None = None, reason: str = "", by: str = "", scope: Scope | None = None
    ) -> None:
        """Keeps it from firing, for good or until then; deploys do not change that. Raises CronNotFound."""
        detail = "" if until is None else f"until {until.isoformat()}"
        async with self._audit.act("cron.disable", [name], who=by, reason=reason, detail=detail):
            self._found(name, await self._store.crons.disable(name, until=until, reason=reason, by=by, scope=scope))

    async def delete(self, name: str, *, scope: Scope | None = None) -> None:
        """Removes the entry with its history. Raises CronNotFound; Conflict while code announces it."""
        async with self._audit.act("cron.delete", [name]):
            if not self._found(name, await self._store.crons.delete(name, scope=scope)):
                raise Conflict(f"{name} is announced by the code of live workers, which would add it again: disable it")

    async def trigger(self, name: str, *, scope: Scope | None = None) -> Tick:
        """Makes the entry's call now, enabled or not; its schedule goes on as before. Raises CronNotFound."""
        entry = await self.get(name, scope=scope)
        now = await self._now()
        job = replace(job_of(entry, now), unique=None)
        async with self._audit.act("cron.trigger", [name]):
            fired: Fired = await self._store.crons.trigger(name, NewTick(now, "manual", job=job), scope=scope)
            self._found(name, fired.reply)
            return fired.ticks[0]

    async def get(self, name: str, *, scope: Scope | None = None) -> CronEntry:
        """The entry. Raises CronNotFound."""
        entry = await self._store.crons.get(name, scope=scope)
        if entry is None:
            raise CronNotFound(f"there is no cron entry {name!r}; `dispatch cron list` shows those there are")
        return entry

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

    async def prune_orphans(self) -> Sequence[str]:
        """Deletes entries whose code no live worker has; answers their names."""
        orphans: list[CronEntry] = []
        cursor: str | None = None
        while True:
            page = await self._store.crons.list(ListOptions(orphaned=True, limit=LARGEST_PAGE, cursor=cursor))
            orphans += page.items
            cursor = page.next_cursor
            if cursor is None:
                break
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

    def _found(self, name: str, reply: Reply) -> bool:
        if reply is Reply.MISSING:
            raise CronNotFound(f"there is no cron entry {name!r}; `dispatch cron list` shows those there are")
        return reply is Reply.APPLIED


def specs_of(definitions: Iterable[CronDefinition]) -> dict[str, CronSpec]:
    """What code says of its cron entries, by hash; each call is made now."""
    found = {}
    for definition in definitions:
        target = cast("JobDefinition[..., Any]", definition.target)
        call = definition.make_call() if definition.make_call is not None else target.call()
        made = call.new_job(scope=call.options.scope or NO_SCOPE, idempotency_ttl=1.0)
        spec = CronSpec(
            name=definition.name,
            schedule=definition.schedule,
            target=made.name,
            payload=made.payload,
            timezone=definition.timezone,
            overlap=definition.overlap,
            misfire=definition.misfire,
            misfire_window=definition.misfire_window,
            jitter=definition.jitter,
            options=options_of(made),
            scope=made.scope,
        )
        found[spec.digest] = spec
    return found
