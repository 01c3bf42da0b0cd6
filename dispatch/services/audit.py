"""Who did what: a record is stored before an act begins and completed when it has ended, so a crash loses none."""

from __future__ import annotations

import asyncio
import getpass
import json
import logging
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from dispatch.entity import LARGEST_PAGE
from dispatch.errors import DispatchError, StoreError, StoreFull
from dispatch.ids import EventID
from dispatch.records import Record
from dispatch.store import Store

NAMESPACE = "audit"
KEPT = 365 * 86400.0
IDS_KEPT = 500
_recorded: ContextVar[bool] = ContextVar("dispatch_act_recorded", default=False)
_actor: ContextVar[tuple[str, str]] = ContextVar("dispatch_actor", default=("", ""))


class Outcome(StrEnum):
    """How an act ended."""

    STARTED = "started"
    """It goes on, or whoever did it died before it ended: some or all of it may have been done."""
    DONE = "done"
    PARTLY = "partly"
    REFUSED = "refused"
    """Nothing was changed."""
    INTERRUPTED = "interrupted"
    UNKNOWN = "unknown"
    """The store failed while it was done."""


@dataclass(slots=True)
class Act:
    """An act under way; say what became of it by `settle`, or leave it: then all of it was done."""

    verb: str
    who: str
    ids: list[str]
    count: int
    reason: str = ""
    detail: str = ""
    outcome: Outcome = Outcome.STARTED
    settled: bool = field(default=False, repr=False)

    def settle(self, ids: Sequence[str], *, count: int | None = None, refused: int = 0) -> None:
        """Notes what was done to how many (default: as many as there are ids), and how many were refused.

        Without ids those stay that it was asked for.
        """
        self.ids = list(ids[:IDS_KEPT]) or self.ids
        self.count = len(ids) if count is None else count
        self.outcome = Outcome.DONE if not refused else Outcome.PARTLY if self.count else Outcome.REFUSED
        self.settled = True

    def document(self) -> bytes:
        """As it is stored."""
        facts = {name: getattr(self, name) for name in ("who", "verb", "ids", "count", "reason", "detail", "outcome")}
        return json.dumps(facts).encode()


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """An act as it is remembered for a year."""

    id: str
    created_at: datetime
    ended_at: datetime | None
    """None: it goes on, or nobody could tell any more how it ended."""
    who: str
    verb: str
    """Such as "queue.pause"."""
    ids: tuple[str, ...]
    """What it was done to, or, where `count` is 0, asked for (ids, names of queues): the first 500."""
    count: int
    """How many in all."""
    reason: str
    detail: str
    outcome: Outcome


class AuditService:
    """Leave and read audit records."""

    def __init__(self, store: Store, *, logger: logging.Logger | None = None) -> None:
        self._store = store
        self._logger = logger or logging.getLogger("dispatch.audit")

    @asynccontextmanager
    async def act(
        self,
        verb: str,
        ids: Sequence[str] = (),
        *,
        who: str = "",
        count: int | None = None,
        reason: str = "",
        detail: str = "",
    ) -> AsyncIterator[Act]:
        """Records what is done inside: its intent before, its outcome after. An act inside another leaves no record.

        Args:
            verb: noun and verb, such as "job.cancel".
            ids: what it is done to, as far as it is known beforehand. count: how many these are, if not `len(ids)`.
            who: default: whom `acting_as` names, else the user of this process. reason: default: as told there.

        Raises StoreError when the intent cannot be stored; only a store that is full stops nobody from making room.
        """
        held = self._begun(verb, ids, who=who, count=count, reason=reason, detail=detail)
        if _recorded.get():
            yield held
            return
        key = str(EventID.new())
        try:
            await self._put(key, held)
        except StoreFull:
            self._logger.warning("the store is full: %s by %s leaves no audit record", verb, held.who)
        token = _recorded.set(True)
        try:
            yield held
        except BaseException as error:
            self._blame(held, error)
            raise
        else:
            if not held.settled:
                held.outcome = Outcome.DONE
        finally:
            _recorded.reset(token)
            try:
                await self._put(key, held)
            except StoreError as error:
                self._logger.warning("the audit record of %s by %s was not completed: %s", verb, held.who, error)

    async def note(
        self, verb: str, ids: Sequence[str], *, count: int | None = None, reason: str = "", detail: str = ""
    ) -> None:
        """Records what was done already, where a record before it was not possible."""
        held = self._begun(verb, ids, who="", count=count, reason=reason, detail=detail)
        held.outcome = Outcome.DONE
        await self._put(str(EventID.new()), held)

    async def list(self, *, limit: int = 50) -> Sequence[AuditRecord]:
        """The newest records, newest first."""
        found: list[AuditRecord] = []
        cursor = None
        while len(found) < limit:
            page = await self._store.records.list(
                NAMESPACE, limit=min(LARGEST_PAGE, limit - len(found)), cursor=cursor, descending=True
            )
            found += map(_remembered, page.items)
            if (cursor := page.next_cursor) is None:
                break
        return found

    async def _put(self, key: str, act: Act) -> None:
        await self._store.records.put(NAMESPACE, key, act.document(), expires_in=KEPT)

    @staticmethod
    def _begun(verb: str, ids: Sequence[str], *, who: str, count: int | None, reason: str, detail: str) -> Act:
        actor, why = _actor.get()
        many = len(ids) if count is None else count
        return Act(verb, who or actor or whoami(), list(ids[:IDS_KEPT]), many, why or reason, detail)

    @staticmethod
    def _blame(act: Act, error: BaseException) -> None:
        if isinstance(error, asyncio.CancelledError | KeyboardInterrupt):
            act.outcome = Outcome.INTERRUPTED
        elif isinstance(error, DispatchError) and not isinstance(error, StoreError):
            act.outcome = Outcome.PARTLY if act.settled and act.count else Outcome.REFUSED
            act.count = act.count if act.settled else 0
        else:
            act.outcome = Outcome.UNKNOWN
        act.detail = "; ".join(filter(None, (act.detail, f"{type(error).__name__}: {error}".rstrip(": "))))


@contextmanager
def unrecorded() -> Iterator[None]:
    """Inside, acts leave no record: what a program does as a part of its work."""
    token = _recorded.set(True)
    try:
        yield
    finally:
        _recorded.reset(token)


@contextmanager
def acting_as(who: str, reason: str = "") -> Iterator[None]:
    """Inside, acts are those of `who` (such as "key deploy"), for that reason, not those of this process's user."""
    token = _actor.set((who, reason))
    try:
        yield
    finally:
        _actor.reset(token)


def whoami() -> str:
    """The person at this machine, as audit records and pauses name them."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def _remembered(record: Record) -> AuditRecord:
    held = json.loads(record.value)
    outcome = Outcome(held.get("outcome", Outcome.DONE))
    return AuditRecord(
        id=record.key,
        created_at=record.created_at,
        ended_at=None if outcome is Outcome.STARTED else record.updated_at,
        who=held["who"],
        verb=held["verb"],
        ids=tuple(held["ids"]),
        count=held["count"],
        reason=held["reason"],
        detail=held.get("detail", ""),
        outcome=outcome,
    )
