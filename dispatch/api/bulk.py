"""Changes of many things at once: each by itself, under one audit record, with what became of each."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from typing_extensions import TypedDict

from dispatch.api.guard import Ask
from dispatch.api.problems import problem_of
from dispatch.errors import DispatchError, StoreError
from dispatch.services.audit import acting_as

MOST = 500
"""Things that one request may change."""


class ShortProblem(TypedDict):
    """Why one thing was not changed."""

    code: str
    message: str


class OutcomeDocument(TypedDict):
    """What became of one thing."""

    id: str
    ok: bool
    state: str | None
    error: ShortProblem | None


class BulkDocument(TypedDict):
    """What became of each thing."""

    items: list[OutcomeDocument]
    done: int
    refused: int


async def one_by_one(
    ask: Ask, verb: str, ids: Sequence[str], act: Callable[[str], Awaitable[str | None]], *, reason: str = ""
) -> BulkDocument:
    """Does `act`, which answers a new state or the like, to each id; one that is refused stops no other.

    Raises StoreError.
    """
    items: list[OutcomeDocument] = []
    chosen = list(dict.fromkeys(ids))
    with acting_as(ask.identity.who, reason):
        async with ask.app.audit.act(verb, chosen) as held:
            try:
                for id_ in chosen:
                    outcome = await _one(id_, act)
                    items.append(outcome)
            finally:
                done = [item["id"] for item in items if item["ok"]]
                held.settle(done, refused=len(items) - len(done))
    return {"items": items, "done": len(done), "refused": len(items) - len(done)}


async def _one(id_: str, act: Callable[[str], Awaitable[str | None]]) -> OutcomeDocument:
    try:
        return {"id": id_, "ok": True, "state": await act(id_), "error": None}
    except StoreError:
        raise
    except DispatchError as error:
        problem = problem_of(error)
        return {"id": id_, "ok": False, "state": None, "error": {"code": problem.code, "message": problem.message}}
