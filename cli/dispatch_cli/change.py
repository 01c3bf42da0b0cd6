"""A change of many things from first to last: count, ask, do it under an audit record, show what became of each."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from dispatch_cli.bulk import COLUMNS, Outcomes, break_off, each, finish, together
from dispatch_cli.consent import ask
from dispatch_cli.progress import progress
from dispatch_cli.render import Column
from dispatch_cli.session import Session

if TYPE_CHECKING:
    from dispatch_cli.admin import Admin

ID = TypeVar("ID", bound=str)
Given = TypeVar("Given", bound=str, covariant=True)


class Chosen(Protocol[Given]):
    """What a change is made to."""

    @property
    def words(self) -> str:
        """How they were chosen, for the audit record; "" when they were named."""
        ...

    async def count(self, app: Admin) -> int:
        """How many there are; what comes later does not belong to them."""
        ...

    def ids(self, app: Admin) -> AsyncIterator[Given]:
        """Each of them."""
        ...


@dataclass(frozen=True)
class Named(Generic[ID]):
    """Those whose ids were given."""

    given: Sequence[ID]
    words: str = ""

    async def count(self, app: Admin) -> int:
        return len(self.given)

    async def ids(self, app: Admin) -> AsyncIterator[ID]:
        for id_ in self.given:
            yield id_


@dataclass(frozen=True)
class Change(Generic[ID]):
    """What is done to each, and how it is spoken of."""

    verb: str
    """For the audit record: "job.cancel"."""
    thing: str
    doing: str
    act: Callable[[Admin, ID, Outcomes], Awaitable[None]]
    rehearse: Callable[[Admin, ID, Outcomes], Awaitable[None]]
    asks: str = ""
    """The question, with {} for "3 jobs"; "": no question for those that were named."""
    asks_for_one: bool = True
    interval: float = 0.0
    """Seconds from one to the next."""
    columns: Sequence[Column] = COLUMNS
    act_on_many: Callable[[Admin, Sequence[ID], Outcomes], Awaitable[None]] | None = None
    """As `act` for many at once, where that is quicker."""
    detail: str = ""
    """For the audit record; default: how they were chosen."""


def carry_out(
    session: Session,
    change: Change[ID],
    chosen: Chosen[ID],
    *,
    nothing: str = "",
    reason: str = "",
    yes: bool = False,
    confirm: str | None = None,
    dry_run: bool = False,
) -> None:
    """Does the change to all that are chosen, or rehearses it, and ends the command with its exit code.

    nothing: what is said when there are none, unless it is plain.
    """
    outcomes = Outcomes()

    async def run(app: Admin) -> None:
        total = await chosen.count(app)
        if total and change.asks and not dry_run:
            many = change.asks_for_one or total > 1
            ask(session, change.asks.format(_many(total, change.thing)), yes=yes, confirm=confirm, many=many)
        if not total:
            return
        what = change.rehearse if dry_run else change.act
        with progress(session, change.doing, total) as advance:

            async def work() -> None:
                many = change.act_on_many
                if many is not None and not dry_run:
                    await together(chosen.ids(app), lambda ids, mine: many(app, ids, mine), outcomes, tick=advance)
                    return
                await each(
                    chosen.ids(app),
                    lambda id_, mine: what(app, id_, mine),
                    outcomes,
                    tick=advance,
                    interval=0.0 if dry_run else change.interval,
                )

            if dry_run:
                await work()
                return
            first = [str(id_) for id_ in chosen.given] if isinstance(chosen, Named) else []
            detail = change.detail or chosen.words
            async with app.audit.act(change.verb, first, count=total, reason=reason, detail=detail) as act:
                try:
                    await work()
                finally:
                    act.settle(outcomes.ids, count=outcomes.done, refused=outcomes.refused)

    try:
        session.administer(run)
    except BaseException:
        if outcomes.done and not dry_run:
            break_off(session, outcomes, columns=change.columns)
        raise
    none = "no ids were given" if isinstance(chosen, Named) else f"no {change.thing}s match"
    empty = nothing or f"{none}, so nothing was done"
    finish(session, outcomes, empty=empty, columns=change.columns, brief=not isinstance(chosen, Named))


def _many(count: int, thing: str) -> str:
    return f"{count} {thing}" if count == 1 else f"{count:,} {thing}s"
