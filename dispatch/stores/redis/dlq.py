"""The dead letters part of the Redis store."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING

from dispatch.clock import from_micros, micros
from dispatch.dlq.model import DLQEntry, DLQGroup, DLQState, ListOptions, Replayed
from dispatch.entity import LARGEST_PAGE, Page, Reply
from dispatch.ids import DLQID, JobID
from dispatch.scope import Scope
from dispatch.stores.redis.client import RedisClient
from dispatch.stores.redis.rows import failure_of, filters, options_of, scope_of, scoped, span, table, text

if TYPE_CHECKING:
    from builtins import list as List

STATES = {b"O": DLQState.OPEN, b"P": DLQState.REPLAYED, b"R": DLQState.RETRIED, b"D": DLQState.DISCARDED}
CODES = {state: code.decode() for code, state in STATES.items()}
_AT_ONCE = 200


class RedisDLQ:
    """The verbs of DLQStore."""

    def __init__(self, client: RedisClient) -> None:
        self._client = client

    async def replay(
        self, entry_id: DLQID, new_id: JobID, *, scope: Scope | None = None, payload: bytes | None = None
    ) -> Replayed:
        other = () if payload is None else (payload,)
        answer: List[bytes] = await self._client.run("replay", entry_id, new_id, *scoped(scope), *other)
        reply, job_id, state, *_ = (*answer, None, None)
        assert reply is not None
        return Replayed(
            Reply(reply.decode()), JobID(job_id.decode()) if job_id else None, None if state is None else STATES[state]
        )

    async def discard(self, entry_id: DLQID, *, scope: Scope | None = None) -> Reply:
        return Reply((await self._client.run("discard", entry_id, *scoped(scope))).decode())

    async def purge(
        self, *, older_than: float = 0.0, states: Sequence[DLQState] = (), scope: Scope | None = None, limit: int = 1000
    ) -> int:
        removed = passed = 0
        codes = [CODES[DLQState(state)] for state in states]
        while removed < limit:
            count, passed, more = await self._client.run(
                "purge", span(older_than), min(_AT_ONCE, limit - removed), passed, *scoped(scope), *codes
            )
            removed += count
            if not more and count < _AT_ONCE:
                break
        return removed

    async def get(self, entry_id: DLQID, *, scope: Scope | None = None) -> DLQEntry | None:
        row = await self._client.run("get_letter", entry_id, *scoped(scope))
        return None if row is None else entry_of(row)

    async def groups(self, *, scope: Scope | None = None) -> List[DLQGroup]:
        found: dict[tuple[str, str], List[tuple[int, DLQID]]] = {}
        async for name, error, died_at, letter in self._walk("facts", filters(scope, states=["O"])):
            members = found.setdefault((name.decode(), error.decode()), [])
            members.append((int(died_at), DLQID(letter.decode())))
        groups = [
            DLQGroup(
                name,
                error,
                len(members),
                from_micros(min(members)[0]),
                from_micros(max(members)[0]),
                max(letter for _, letter in members),
            )
            for (name, error), members in found.items()
        ]
        return sorted(groups, key=lambda group: (-group.count, group.job_name, group.error_type))

    async def count(self, options: ListOptions) -> int:
        total: int = 0
        cursor = ""
        while True:
            count, after = await self._client.run("list_letters", cursor, 1 << 30, "count", _filters(options))
            total += int(count)
            if not after:
                return total
            cursor = after.decode()

    async def list(self, options: ListOptions) -> Page[DLQEntry]:
        limit = max(1, min(options.limit, LARGEST_PAGE))
        items: List[DLQEntry] = []
        cursor = options.cursor or ""
        while len(items) <= limit:
            most = limit + 1 - len(items)
            rows, after = await self._client.run("list_letters", cursor, most, "rows", _filters(options))
            items += map(entry_of, rows)
            if not after:
                break
            cursor = after.decode()
        return Page(items[:limit], str(items[limit - 1].id) if len(items) > limit else None)

    async def _walk(self, what: str, wanted: str) -> AsyncIterator[List[bytes]]:
        cursor = ""
        while True:
            rows, after = await self._client.run("list_letters", cursor, 1 << 30, what, wanted)
            for row in rows:
                yield row
            if not after:
                return
            cursor = after.decode()


def _filters(options: ListOptions) -> str:
    return filters(
        options.scope,
        states=[CODES[DLQState(state)] for state in dict.fromkeys(options.states)],
        queues=options.queues,
        names=options.names,
        errors=options.error_types,
        before=None if options.created_before is None else str(micros(options.created_before)),
    )


def entry_of(flat: Sequence[bytes]) -> DLQEntry:
    """The dead letter in a hash that a script has shown."""
    row = table(flat)
    options = options_of(row)
    replayed_as = row.get(b"ra")
    return DLQEntry(
        id=DLQID(row[b"id"].decode()),
        created_at=from_micros(int(row[b"c"])),
        updated_at=from_micros(int(row[b"u"])),
        job_id=JobID(row[b"j"].decode()),
        job_name=row[b"n"].decode(),
        queue=row[b"q"].decode(),
        state=STATES[row[b"st"]],
        reason=row[b"rs"].decode(),
        error=failure_of(row),
        payload=row[b"p"],
        failures=int(row.get(b"f", b"0")),
        crashes=int(row.get(b"x", b"0")),
        priority=int(row.get(b"o", b"0")),
        max_retries=options.get("retries"),
        timeout=options.get("timeout"),
        backoff=options.get("backoff"),
        keep_result=options.get("keep"),
        unique_key=text(row.get(b"uk")),
        effect_key=row[b"ek"].decode(),
        metadata=json.loads(row.get(b"m", b"{}")),
        tags=tuple(json.loads(row.get(b"t", b"[]"))),
        scope=scope_of(row),
        concurrency_key=text(row.get(b"ck")),
        concurrency_max=int(row[b"cm"]) if b"cm" in row else None,
        replayed_as=None if replayed_as is None else JobID(replayed_as.decode()),
    )
