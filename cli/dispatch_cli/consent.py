"""Before something is destroyed: say what and where, and ask."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from dispatch_cli.failures import CommandError
from dispatch_cli.session import Session

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Confirm = Annotated[
    str | None, typer.Option("--confirm", metavar="NAME", help="Name the protected profile instead of being asked.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would happen; write nothing.")]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for the audit record.")]


def ask(
    session: Session, what: str, *, yes: bool, confirm: str | None, many: bool = True, dry_run: bool = True
) -> None:
    """Returns when the person agrees; a refusal, or nobody to ask, ends the command.

    what: the act in words with its count, such as "cancel 3 jobs". many: False lets an act on one named thing pass
    unasked, unless the profile is protected. dry_run: whether the command has --dry-run.
    """
    profile = session.loaded.profile
    if session.loaded.protected and profile is not None:
        _ask_name(session, what, profile, confirm)
        return
    if yes or not many:
        return
    if not sys.stdin.isatty():
        raise CommandError(
            f"would {what} on {session.place}, and there is no terminal to ask on",
            hint="pass --yes to do it" + (", or --dry-run to see what it would do" if dry_run else ""),
        )
    if not typer.confirm(f"About to {what} on {session.place}. Go on?", err=True):
        raise CommandError("nothing was done", code="declined", exit_code=1)


def _ask_name(session: Session, what: str, profile: str, confirm: str | None) -> None:
    if confirm is None and sys.stdin.isatty():
        session.tell(f"About to {what} on {session.place}.")
        confirm = typer.prompt(f"Profile {profile!r} is protected; type its name to go on", err=True)
    if confirm is None:
        raise CommandError(
            f"would {what} on {session.place}, but profile {profile!r} is protected and nobody is there to ask",
            hint=f"pass --confirm {profile} to do it",
        )
    if confirm != profile:
        raise CommandError(f"nothing was done: {confirm!r} is not the profile's name, {profile!r}", code="declined")


def who() -> str:
    """The person at this machine, as audit records and pauses name them."""
    from dispatch.services.audit import whoami

    return whoami()
