"""What a person is told who enqueues or starts by name: of slips, of keys that only code makes, of long waits."""

from __future__ import annotations

import difflib
from collections.abc import Collection
from typing import TYPE_CHECKING

from dispatch_cli.failures import CommandError

if TYPE_CHECKING:
    from dispatch.cluster.model import Announcement
    from dispatch_cli.session import Session

_SLIP = 0.85
"""How alike two names are, out of 1, when one is most likely a slip of the other: a letter in seven."""


def must_be_meant(
    session: Session,
    name: str,
    known: Collection[str],
    *,
    force: bool,
    what: str = "a job",
    forced: str = "--force enqueues it as it is, for a worker that will know it",
    waits: str = "it waits",
) -> None:
    """Refuses a name that nobody has announced when it looks like a slip; warns of one that does not."""
    if name in known:
        return
    slip = difflib.get_close_matches(name, known, 1, _SLIP)
    if slip and not force:
        raise CommandError(
            f"no app has announced {what} {name!r}; did you mean {slip[0]!r}?",
            hint=forced,
        )
    near = difflib.get_close_matches(name, known, 1)
    told = f"did you mean {near[0]!r}?" if near and not force else f"{waits} until a worker knows it"
    session.tell(f"warning: no app has announced {what} {name!r}; {told}")


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


def in_wait(limit: float | None) -> str:
    """What is told before a result is waited for."""
    return "waiting for its result" + (", however long it takes; --timeout 5m would end that" if limit is None else "")
