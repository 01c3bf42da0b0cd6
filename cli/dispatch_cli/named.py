"""What a person is told who makes work by name: of slips, keys that only code makes, work that nobody does, waits."""

from __future__ import annotations

import difflib
from collections.abc import Awaitable, Collection, Iterable
from typing import TYPE_CHECKING, TypeVar

from dispatch.client.errors import Forbidden
from dispatch_cli.failures import CommandError

if TYPE_CHECKING:
    from dispatch.cluster.model import Announcement
    from dispatch.crons.model import CronEntry
    from dispatch_cli.admin import Admin
    from dispatch_cli.session import Session

T = TypeVar("T")
FORCED = "--force enqueues it as it is, for a worker that will know it"
_SHORT = 3
"""Names of so many letters are a letter apart by chance, so none is taken for a slip of another."""
_MADE_BY = {"job": "job enqueue", "workflow": "workflow start"}


def must_be_of_kind(kind: str, name: str, announced: Iterable[Announcement], *, hint: str = "") -> None:
    """Refuses the name of a workflow where a job's is wanted, and the reverse; names of both or neither are let by."""
    kinds = {found.kind for found in announced if found.name == name}
    other = next((other for other in _MADE_BY if other in kinds), None)
    if kind not in kinds and other is not None:
        raise CommandError(f"{name} is a {other}: `dispatch {_MADE_BY[other]} {name} …`", hint=hint)


def must_be_meant(
    session: Session,
    name: str,
    known: Collection[str],
    *,
    force: bool,
    what: str = "a job",
    forced: str = FORCED,
    waits: str = "it waits",
) -> None:
    """Refuses a name that nobody has announced when it looks like a slip; warns of one that does not."""
    if name in known:
        return
    slip = slip_of(name, known)
    if slip and not force:
        raise CommandError(
            f"no app has announced {what} {name!r}; did you mean {slip!r}?",
            hint=forced,
        )
    near = difflib.get_close_matches(name, known, 1)
    told = f"did you mean {near[0]!r}?" if near and not force else f"{waits} until a worker knows it"
    session.tell(f"warning: no app has announced {what} {name!r}; {told}")


def slip_of(name: str, known: Collection[str]) -> str | None:
    """The known name that this one is a letter off, unless that is too short to tell."""
    return next((other for other in sorted(known) if len(other) > _SHORT and a_letter_apart(name, other)), None)


def a_letter_apart(one: str, other: str) -> bool:
    """Whether a letter that is missing, extra, another, or swapped with its neighbour makes one name of the other.

    >>> [a_letter_apart(name, "settle") for name in ("setle", "settlee", "settlw", "settel", "settle", "stelte")]
    [True, True, True, True, False, False]
    """
    shorter, longer = sorted((one, other), key=len)
    at = next((at for at, pair in enumerate(zip(shorter, longer, strict=False)) if len({*pair}) > 1), len(shorter))
    left, right = shorter[at:], longer[at:]
    if left == right:
        return False
    swapped = left[:2] == right[1::-1] and left[2:] == right[2:]
    return left == right[1:] or left[1:] == right[1:] or swapped


def warn_of_keys(session: Session, announced: Announcement | None, *, unique: bool) -> None:
    """Says so when the definition has keys that a function makes: there is none of them here.

    Args:
        unique: whether a unique key was given by hand.
    """
    if announced is None:
        return
    missing = {
        "unique": "it may be there twice (--unique KEY gives one)",
        "concurrency": "that limit does not hold for it",
    }
    for what in announced.by_function:
        if what != "unique" or not unique:
            session.tell(
                f"warning: the {what} key of {announced.name} is made by a function, which is not called here: "
                f"{missing[what]}"
            )


async def if_allowed(asked: Awaitable[T]) -> T | None:
    """What is asked of a server; None where the key may not know it: what is only told beside the work stops none."""
    try:
        return await asked
    except Forbidden:
        return None


async def warn_unless_served(session: Session, app: Admin, queue: str) -> None:
    """Says so when nobody takes jobs from that queue now."""
    live = await if_allowed(app.workers.list(live=True))
    if live is not None and not any(queue in worker.queues for worker in live):
        session.tell(f"warning: no live worker serves queue {queue!r}: start one with `dispatch run … -q {queue}`")


async def warn_unless_played(session: Session, app: Admin, name: str, version: int, queue: str) -> None:
    """Says so when nobody has the code of that workflow and takes its runs from that queue now."""
    from dispatch.workflows.model import driver_name

    driver = driver_name(name, version)
    live = await if_allowed(app.workers.list(live=True))
    if live is not None and not any(queue in worker.queues and driver in worker.names for worker in live):
        session.tell(
            f"warning: no live worker plays {name} version {version} from queue {queue!r}: "
            "start one with `dispatch run …`"
        )


async def warn_unless_called(session: Session, app: Admin, entry: CronEntry) -> None:
    """Says so when nobody would do now what a cron entry calls."""
    queue = str(entry.spec.options.get("queue", "default"))
    if entry.spec.kind == "workflow":
        await warn_unless_played(session, app, entry.spec.target, entry.spec.version or 1, queue)
    else:
        await warn_unless_served(session, app, queue)


def in_wait(limit: float | None) -> str:
    """What is told before a result is waited for."""
    return "waiting for its result" + (", however long it takes; --timeout 5m would end that" if limit is None else "")
