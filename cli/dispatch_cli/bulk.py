"""One verb over several things: each is tried, each has a line, and the exit code says whether all went well."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import typer

from dispatch.client.errors import ClientError
from dispatch.errors import DispatchError, StoreError
from dispatch_cli.failures import PARTLY, describe, error_code, exit_code
from dispatch_cli.render import Column
from dispatch_cli.session import Session

ID = TypeVar("ID", bound=str)
COLUMNS = (Column("id", "id"), Column("outcome", "outcome"), Column("detail", "detail"))
LISTED = 10_000
"""So many outcomes are listed; what becomes of the rest is counted."""
_SCREENFUL = 100
_IDS_KEPT = 500
_AT_ONCE = 16
_TOGETHER = 500


@dataclass
class Outcomes:
    """What became of each thing."""

    items: list[dict[str, Any]] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    """The first of those for which it worked."""
    done: int = 0
    refused: int = 0
    first_error: DispatchError | None = None

    def add(self, id_: str, outcome: str, detail: str = "", **more: Any) -> None:
        """One that worked."""
        self.done += 1
        if len(self.ids) < _IDS_KEPT:
            self.ids.append(str(id_))
        self._list({"id": str(id_), "ok": True, "outcome": outcome, "detail": detail, **more, "error": None})

    def add_failure(self, id_: str, error: DispatchError) -> None:
        """One that did not."""
        self.refused += 1
        self.first_error = self.first_error or error
        problem = {"code": error_code(error), "message": describe(error)[0]}
        self._list({"id": str(id_), "ok": False, "outcome": "refused", "detail": problem["message"], "error": problem})

    @property
    def exit_code(self) -> int:
        """0: all done. 75: some. Else the code of the first that failed."""
        if self.first_error is None:
            return 0
        return PARTLY if self.done else exit_code(self.first_error)

    def _list(self, item: dict[str, Any]) -> None:
        if len(self.items) < LISTED:
            self.items.append(item)


Act = Callable[[ID, Outcomes], Awaitable[None]]
ActOnMany = Callable[[Sequence[ID], Outcomes], Awaitable[None]]


async def together(
    ids: AsyncIterator[ID], act: ActOnMany[ID], outcomes: Outcomes, *, tick: Callable[[], None] = lambda: None
) -> None:
    """Does `act` to the ids, many at once; it notes itself what became of each, in order."""
    async for some in _in_chunks(ids, _TOGETHER):
        mine = Outcomes()
        try:
            await act(some, mine)
        finally:
            _add(outcomes, mine)
            for _ in range(mine.done + mine.refused):
                tick()


async def each(
    ids: AsyncIterator[ID],
    act: Act[ID],
    outcomes: Outcomes,
    *,
    tick: Callable[[], None] = lambda: None,
    interval: float = 0.0,
) -> None:
    """Does `act` to every id, a few at once, or one every `interval` seconds.

    What is wrong with one id does not stop the others; what is wrong with the store or the server does.
    """

    async def one(id_: ID) -> None:
        mine = Outcomes()
        try:
            await act(id_, mine)
        except (ClientError, StoreError):
            raise
        except DispatchError as error:
            mine.add_failure(id_, error)
        found.append((id_, mine))

    loop = asyncio.get_running_loop()
    due = loop.time()
    async for some in _in_chunks(ids, 1 if interval else _AT_ONCE):
        await asyncio.sleep(due - loop.time() if interval and due > loop.time() else 0)
        due = max(due, loop.time() - interval) + interval
        found: list[tuple[ID, Outcomes]] = []
        try:
            answers = await asyncio.gather(*map(one, some), return_exceptions=True)
        finally:
            _merge(outcomes, some, found, tick)
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer


def finish(
    session: Session, outcomes: Outcomes, *, empty: str, columns: Sequence[Column] = COLUMNS, brief: bool = False
) -> None:
    """Writes the outcomes and ends the command with their exit code; a single failure is an error like any other.

    brief: for a person, a long list is cut down to what was refused, and the counts.
    """
    if outcomes.first_error is not None and (outcomes.done, outcomes.refused) == (0, 1):
        raise outcomes.first_error
    total = outcomes.done + outcomes.refused
    shown = outcomes.items
    cut = brief and session.out.format == "table" and total > _SCREENFUL
    if cut:
        shown = [item for item in shown if not item["ok"]][:_SCREENFUL]
    _write(session, outcomes, shown, columns, empty=empty)
    if outcomes.refused or cut:
        session.tell(f"{outcomes.done} done, {outcomes.refused} refused")
    if total > LISTED and not cut:
        session.tell(f"warning: only the first {LISTED:,} of {total:,} are listed")
    if outcomes.exit_code:
        raise typer.Exit(outcomes.exit_code)


def break_off(session: Session, outcomes: Outcomes, *, columns: Sequence[Column] = COLUMNS) -> None:
    """Says what was done by a command that does not come to its end; a program is told of each thing."""
    if session.out.format != "table":
        _write(session, outcomes, outcomes.items, columns)
    session.tell(f"{outcomes.done} done, {outcomes.refused} refused before it ended; `dispatch audit list` has it")


def _write(
    session: Session, outcomes: Outcomes, shown: Sequence[dict[str, Any]], columns: Sequence[Column], *, empty: str = ""
) -> None:
    if session.out.format == "ids":
        shown = [item for item in shown if item["ok"]]
    if shown or not outcomes.done + outcomes.refused:
        session.out.rows(shown, columns, empty=empty, extra={"done": outcomes.done, "refused": outcomes.refused})


async def _in_chunks(ids: AsyncIterator[ID], size: int) -> AsyncIterator[list[ID]]:
    some: list[ID] = []
    async for id_ in ids:
        some.append(id_)
        if len(some) == size:
            yield some
            some = []
    if some:
        yield some


def _merge(
    outcomes: Outcomes, order: Sequence[ID], found: Sequence[tuple[ID, Outcomes]], tick: Callable[[], None]
) -> None:
    """Adds what became of some, in the order in which they were given."""
    by_id = dict(found)
    for id_ in order:
        mine = by_id.get(id_)
        if mine is None:
            continue
        _add(outcomes, mine)
        tick()


def _add(outcomes: Outcomes, mine: Outcomes) -> None:
    outcomes.items += mine.items[: LISTED - len(outcomes.items)]
    outcomes.ids += mine.ids[: _IDS_KEPT - len(outcomes.ids)]
    outcomes.done += mine.done
    outcomes.refused += mine.refused
    outcomes.first_error = outcomes.first_error or mine.first_error
