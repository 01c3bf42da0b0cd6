"""`dispatch slowlog list | clear`."""

from __future__ import annotations

from typing import Annotated

import typer

from dispatch.hookspecs import CLI
from dispatch_slowlog.log import Log


def add_commands(cli: CLI, log: Log) -> None:
    """Adds the noun and its verbs."""
    slowlog = cli.noun("slowlog", "Read and clear the log of slow and failed jobs.", examples=["dispatch slowlog list"])

    @slowlog.verb("list", examples=["dispatch slowlog list", "dispatch slowlog list --only failed --json"])
    def list_entries(
        only: Annotated[str | None, typer.Option("--only", metavar="KIND", help="slow or failed.")] = None,
    ) -> None:
        """List what was slow or failed, oldest first."""
        if only not in (None, "slow", "failed"):
            cli.fail(f"--only {only!r}: there are slow and failed", code="usage", exit_code=2)
        cli.show(log.read(only), columns=["what", "name", "id", "detail"], empty=f"nothing is in {log.path}")

    @slowlog.verb("clear", examples=["dispatch slowlog clear --yes"])
    def clear(yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False) -> None:
        """Forget all entries."""
        entries = len(log.read())
        cli.confirm(f"clear {entries} entries of {log.path}", yes=yes)
        log.clear()
        cli.show({"path": str(log.path), "cleared": entries})
