"""`dispatch worker drain`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

import typer

from dispatch_cli import complete
from dispatch_cli.bulk import Outcomes
from dispatch_cli.change import Change, Chosen, Named, carry_out
from dispatch_cli.choices import many_ids
from dispatch_cli.consent import Confirm, DryRun, Reason, Yes
from dispatch_cli.failures import CommandError
from dispatch_cli.session import session_of
from dispatch_cli.shell import verb
from dispatch_cli.worker.base import EXAMPLE, app

if TYPE_CHECKING:
    from dispatch.cluster.model import Worker
    from dispatch.ids import WorkerID
    from dispatch_cli.admin import Admin


@verb(
    app,
    "drain",
    examples=(f"dispatch worker drain {EXAMPLE} --dry-run", "dispatch worker drain --all --yes --reason 'new version'"),
)
def drain(
    ctx: typer.Context,
    ids: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="ID…", help="The workers' ids; - reads them from standard input.", autocompletion=complete.workers
        ),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All that are alive; asks first.")] = False,
    reason: Reason = "",
    yes: Yes = False,
    confirm: Confirm = None,
    dry_run: DryRun = False,
) -> None:
    """Ask workers to claim nothing more, finish what runs, and end. They see it at their next beat."""
    from dispatch.ids import WorkerID

    if bool(ids) == every:
        raise CommandError("which workers?", hint="name their ids, or - for those on standard input, or --all")

    async def act(app: Admin, worker_id: WorkerID, outcomes: Outcomes) -> None:
        worker = await _alive(app, worker_id)
        await app.workers.drain(worker_id)
        outcomes.add(worker_id, "asked to drain", f"{worker.running} of its jobs run")

    async def rehearse(app: Admin, worker_id: WorkerID, outcomes: Outcomes) -> None:
        worker = await _alive(app, worker_id)
        outcomes.add(worker_id, "would be asked to drain", f"{worker.running} of its jobs run")

    chosen: Chosen[WorkerID] = Alive() if every else Named(many_ids(WorkerID, ids or ()))
    change = Change("worker.drain", "worker", "draining", act, rehearse, "drain {}", asks_for_one=every)
    nothing = "no worker is alive, so nothing was done"
    carry_out(
        session_of(ctx), change, chosen, nothing=nothing, reason=reason, yes=yes, confirm=confirm, dry_run=dry_run
    )


@dataclass
class Alive:
    """The workers that are alive when they are counted."""

    words: str = "all"
    _found: list[WorkerID] = field(default_factory=list)

    async def count(self, app: Admin) -> int:
        """How many live now."""
        self._found = [worker.id for worker in await app.workers.list(live=True)]
        return len(self._found)

    async def ids(self, app: Admin) -> AsyncIterator[WorkerID]:
        """Each of them."""
        for worker_id in self._found:
            yield worker_id


async def _alive(app: Admin, worker_id: WorkerID) -> Worker:
    from dispatch.cluster.model import WorkerState
    from dispatch.errors import WorkerStopped

    worker = await app.workers.get(worker_id)
    left = {WorkerState.STOPPED: "has stopped already", WorkerState.DEAD: "has lost touch"}.get(worker.state)
    if left:
        raise WorkerStopped(f"{worker_id} {left}; `dispatch worker list` shows who is alive")
    return worker
