"""The crons part of the Redis store. Entries are few: a verb reads them, decides, and writes unless anything about them
has changed meanwhile; a firing is one script."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from dispatch.clock import from_micros, micros
from dispatch.crons.model import CronEntry, CronSpec, Due, Fire, Fired, ListOptions, NewTick
from dispatch.crons.settle import named, settled
from dispatch.entity import LARGEST_PAGE, Page, Reply
from dispatch.errors import StoreBusy
from dispatch.ids import CronID, WorkerID
from dispatch.scope import Scope
from dispatch.stores.redis import cron_rows
from dispatch.stores.redis.client import RedisClient
from dispatch.stores.redis.cron_rows import Board, board_of, drop, entry_of, put
from dispatch.stores.redis.rows import span

if TYPE_CHECKING:
    from builtins import list as List

T = TypeVar("T")

_AT_ONCE = 200
_ATTEMPTS = 50


class RedisCrons:
    """The verbs of CronStore."""

    def __init__(self, client: RedisClient) -> None:
        self._client = client

    async def announce(self, worker_id: WorkerID, specs: Mapping[str, CronSpec]) -> None:
        given = [part for digest, spec in specs.items() for part in (digest, cron_rows.spec_text(spec))]
        await self._client.run("cron_announce", worker_id, json.dumps(list(specs)), *given)

    async def candidates(self) -> dict[str, CronSpec]:
        board = await self._board()
        entries = board.by_name()
        return {
            one.digest: one.spec
            for name, one in board.winning().items()
            if name not in entries or entries[name].code_hash not in (None, one.digest)
        }

    async def settle(self, *, next_fire_at: Mapping[str, datetime | None]) -> List[CronEntry]:
        def decide(board: Board) -> tuple[List[Any], List[CronEntry]]:
            changed = settled(board.by_name(), board.winning(), next_fire_at=next_fire_at, now=board.now)
            acts = [part for entry in changed for part in put(entry)]
            return acts + _forgotten(board, changed) if changed else [], changed

        return await self._decided(decide)

    async def create(self, spec: CronSpec, *, entry_id: CronID, next_fire_at: datetime | None) -> CronEntry | None:
        def decide(board: Board) -> tuple[List[Any], CronEntry | None]:
            known = next((entry for entry in board.entries if entry.id == entry_id), None)
            if known is not None or (spec.scope.tenant, spec.name) in board.by_name():
                return [], known
            entry = CronEntry(entry_id, board.now, board.now, spec, anchor=board.now, next_fire_at=next_fire_at)
            return put(entry), entry

        return await self._decided(decide)

    async def edit(self, entry_id: CronID, spec: CronSpec, *, revision: int, next_fire_at: datetime | None) -> Reply:
        def decide(board: Board) -> tuple[List[Any], Reply]:
            entry = next((entry for entry in board.entries if entry.id == entry_id), None)
            if entry is None:
                return [], Reply.MISSING
            if entry.revision != revision or entry.code_hash is not None:
                return [], Reply.CONFLICT
            return put(cron_rows.edited(entry, spec, next_fire_at, board.now)), Reply.APPLIED

        return await self._decided(decide)

    async def enable(self, name: str, *, next_fire_at: datetime | None, scope: Scope | None = None) -> Reply:
        def decide(board: Board) -> tuple[List[Any], Reply]:
            entry = named(board.entries, name, scope)
            if entry is None:
                return [], Reply.MISSING
            if entry.enabled:
                return [], Reply.CONFLICT
            return put(cron_rows.enabled(entry, next_fire_at, board.now)), Reply.APPLIED

        return await self._decided(decide)

    async def disable(
        self, name: str, *, until: datetime | None = None, reason: str = "", by: str = "", scope: Scope | None = None
    ) -> Reply:
        def decide(board: Board) -> tuple[List[Any], Reply]:
            entry = named(board.entries, name, scope)
            if entry is None:
                return [], Reply.MISSING
            changed = replace(
                entry,
                enabled=False,
                disabled_until=until,
                disabled_reason=reason,
                disabled_by=by,
                revision=entry.revision + 1,
                updated_at=board.now,
            )
            return put(changed), Reply.APPLIED

        return await self._decided(decide)

    async def due(self, *, limit: int = 100) -> Due:
        now, entries, after = await self._client.run("cron_due", max(0, limit))
        return Due(
            [entry_of(id_, flat) for id_, flat in entries],
            from_micros(int(float(after))) if after else None,
            from_micros(int(now)),
        )

    async def fire(self, fires: Sequence[Fire]) -> List[Fired]:
        answers = []
        for fire in fires:
            expected = "" if fire.expected is None else micros(fire.expected)
            following = "" if fire.next_fire_at is None else micros(fire.next_fire_at)
            answers.append(await self._fire(fire.entry_id, fire.revision, expected, following, fire.ticks))
        return answers

    async def trigger(self, name: str, tick: NewTick, *, scope: Scope | None = None) -> Fired:
        entry = named((await self._board("entries")).entries, name, scope)
        return Fired(Reply.MISSING) if entry is None else await self._fire(entry.id, "", "", "", [tick])

    async def delete(self, name: str, *, scope: Scope | None = None) -> Reply:
        def decide(board: Board) -> tuple[List[Any], Reply]:
            entry = named(board.entries, name, scope)
            if entry is None:
                return [], Reply.MISSING
            if entry.code_hash is not None and (entry.spec.scope.tenant, name) in board.winning():
                return [], Reply.CONFLICT
            return drop(entry), Reply.APPLIED

        return await self._decided(decide)

    async def get(self, name: str, *, scope: Scope | None = None) -> CronEntry | None:
        return named((await self._board("entries")).entries, name, scope)

    async def history(self, entry_id: CronID, *, limit: int = 50) -> Sequence[Any]:
        return cron_rows.ticks_of(entry_id, await self._client.run("cron_history", entry_id, max(0, limit)))

    async def list(self, options: ListOptions) -> Page[CronEntry]:
        limit = max(1, min(options.limit, LARGEST_PAGE))
        entries = (await self._board("entries")).entries
        found = sorted((_place(entry), entry) for entry in entries if _matches(entry, options))
        after = [pair for pair in found if options.cursor is None or pair[0] > options.cursor]
        return Page([entry for _, entry in after[:limit]], after[limit - 1][0] if len(after) > limit else None)

    async def prune(self, *, older_than: float, limit: int = 1000, dry_run: bool = False) -> int:
        removed = 0
        while removed < limit:
            most = limit if dry_run else min(_AT_ONCE, limit - removed)
            count: int = await self._client.run("prune_ticks", span(older_than), most, int(dry_run))
            removed += count
            if dry_run or count < most:
                break
        return removed

    async def _board(self, what: str = "all") -> Board:
        return board_of(await self._client.run("cron_read", what))

    async def _decided(self, decide: Callable[[Board], tuple[List[Any], T]]) -> T:
        """Decides by what stands there and writes it, again when somebody was quicker."""
        for _ in range(_ATTEMPTS):
            board = await self._board()
            acts, answer = decide(board)
            if not acts or await self._client.run("cron_write", board.change, *acts):
                return answer
        raise StoreBusy("cron entries changed at every attempt to change them; nothing was written. Try again")

    async def _fire(
        self, entry_id: CronID, revision: int | str, expected: int | str, following: int | str, ticks: Sequence[NewTick]
    ) -> Fired:
        given = [part for tick in ticks for part in cron_rows.tick_arguments(tick)]
        reply, *written = await self._client.run("cron_fire", entry_id, revision, expected, following, *given)
        return Fired(Reply(reply.decode()), cron_rows.ticks_of(entry_id, written))


def _forgotten(board: Board, changed: Sequence[CronEntry]) -> List[Any]:
    """Acts that forget what retired workers announced, and code that nobody has and no entry comes from."""
    dead = [worker for worker in board.announced if board.states[worker][0] == "dead"]
    entries = {entry.id: entry for entry in (*board.entries, *changed)}
    used = {entry.code_hash for entry in entries.values()}.union(
        *(digests for worker, digests in board.announced.items() if worker not in dead)
    )
    acts = [part for worker in dead for part in ("worker", worker)]
    return acts + [part for digest in board.codes if digest not in used for part in ("code", digest)]


def _place(entry: CronEntry) -> str:
    return f"{entry.name}\0{entry.spec.scope.tenant}"


def _matches(entry: CronEntry, options: ListOptions) -> bool:
    return (
        (options.enabled is None or entry.enabled == options.enabled)
        and (options.orphaned is None or entry.orphaned == options.orphaned)
        and (not options.names or entry.name in options.names)
        and (options.scope is None or entry.spec.scope == options.scope)
    )
