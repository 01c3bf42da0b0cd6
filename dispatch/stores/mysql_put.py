"""Puts questions on a connection of asyncmy; many statements that answer counts go in few packets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dispatch.stores.mysql_asks import Ask

_PACKET = 1_000_000
"""Characters of SQL sent at once; one statement that is longer goes alone."""


async def put(connection: Any, ask: Ask) -> Any:
    """Asks, and answers what the ask wants."""
    if ask.wants == "counts":
        return await _counts(connection, [_written(connection, ask.text, values) for values in ask.many])
    async with connection.cursor() as cursor:
        await cursor.execute(_written(connection, ask.text, ask.values))
        if ask.wants == "rows":
            return await cursor.fetchall() if cursor.description else ()
        return cursor.rowcount if ask.wants == "count" else None


async def rows(connection: Any, text: str, values: Mapping[str, Any] | None = None) -> Sequence[tuple[Any, ...]]:
    """The rows that one statement answers, none if it answers none."""
    found: Sequence[tuple[Any, ...]] = await put(connection, Ask(text, values or {}, "rows"))
    return found


async def say(connection: Any, *texts: str) -> None:
    """Several statements that answer nothing, in one packet."""
    await _counts(connection, texts)


def _written(connection: Any, text: str, values: Mapping[str, Any]) -> str:
    if not values:
        return text.replace("%%", "%")
    return text % {name: connection.literal(value) for name, value in values.items()}


async def _counts(connection: Any, texts: Sequence[str]) -> list[int]:
    counts: list[int] = []
    for packet in _packets(texts):
        async with connection.cursor() as cursor:
            await cursor.execute(packet)
            counts.append(cursor.rowcount)
            while await cursor.nextset():
                counts.append(cursor.rowcount)
    return counts


def _packets(texts: Sequence[str]) -> Iterator[str]:
    packet: list[str] = []
    length = 0
    for text in texts:
        if packet and length + len(text) > _PACKET:
            yield ";\n".join(packet)
            packet, length = [], 0
        packet.append(text)
        length += len(text)
    if packet:
        yield ";\n".join(packet)
