"""One verb over several ids: each is tried, each has a line, and the exit code says whether all went well."""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import typer

from dispatch.errors import DispatchError, StoreError
from dispatch_cli.failures import PARTLY, describe, error_code, exit_code
from dispatch_cli.render import Column
from dispatch_cli.session import Session

ID = TypeVar("ID", bound=str)
COLUMNS = (Column("id", "id"), Column("outcome", "outcome"), Column("detail", "detail"))


@dataclass
class Outcomes:
    """What became of each id."""

    items: list[dict[str, Any]] = field(default_factory=list)
    errors: list[DispatchError] = field(default_factory=list)

    @property
    def done(self) -> list[str]:
        """The ids for which it worked."""
        return [item["id"] for item in self.items if item["ok"]]

    def add(self, id_: str, outcome: str, detail: str = "", **more: Any) -> None:
        """One that worked."""
        self.items.append({"id": str(id_), "ok": True, "outcome": outcome, "detail": detail, **more, "error": None})

    def add_failure(self, id_: str, error: DispatchError) -> None:
        """One that did not."""
        problem = {"code": error_code(error), "message": describe(error)[0]}
        self.items.append(
            {"id": str(id_), "ok": False, "outcome": "refused", "detail": problem["message"], "error": problem}
        )
        self.errors.append(error)

    @property
    def exit_code(self) -> int:
        """0: all done. 75: some. Else the code of the first that failed."""
        if not self.errors:
            return 0
        return PARTLY if self.done else exit_code(self.errors[0])


Act = Callable[[ID, Outcomes], Awaitable[None]]


async def each(
    ids: Iterable[ID] | AsyncIterable[ID], act: Act[ID], *, tick: Callable[[], None] | None = None
) -> Outcomes:
    """Does `act` to every id; what is wrong with one id does not stop the others, what is wrong with the store does."""
    outcomes = Outcomes()

    async def one(id_: ID) -> None:
        try:
            await act(id_, outcomes)
        except StoreError:
            raise
        except DispatchError as error:
            outcomes.add_failure(id_, error)
        if tick is not None:
            tick()

    if isinstance(ids, AsyncIterable):
        async for id_ in ids:
            await one(id_)
    else:
        for id_ in ids:
            await one(id_)
    return outcomes


def finish(session: Session, outcomes: Outcomes, *, empty: str, columns: Sequence[Column] = COLUMNS) -> None:
    """Writes the outcomes and ends the command with their exit code; a single failure is an error like any other."""
    if len(outcomes.items) == 1 and outcomes.errors:
        raise outcomes.errors[0]
    done = len(outcomes.done)
    counts = {"done": done, "refused": len(outcomes.errors)}
    shown = [item for item in outcomes.items if item["ok"]] if session.out.format == "ids" else outcomes.items
    session.out.rows(shown, columns, empty=empty, extra=counts)
    if outcomes.errors:
        session.tell(f"{done} done, {len(outcomes.errors)} refused")
    if outcomes.exit_code:
        raise typer.Exit(outcomes.exit_code)
