"""Looks through workflow runs for what no verb leaves behind: runs nobody drives, children nobody hears of, orphans."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator

from dispatch.errors import StoreCorrupt
from dispatch.ids import JobID, RunID
from dispatch.jobs.model import TERMINAL as ENDED
from dispatch.jobs.model import Job
from dispatch.services.damage import Damage, Found
from dispatch.store import Store
from dispatch.transfer import RUN_KINDS, Document, TransferKind
from dispatch.workflows.model import TERMINAL, RunState, driver_name

Walk = Callable[[TransferKind], AsyncIterator[Document]]
Children = dict[tuple[str, str], tuple[TransferKind, str]]
"""Of ended children that a run waits for, by that run and its step: where each is kept, and its id."""

_BY_HAND = "compare the two by hand, and start the run again under another id if its work is wanted"


async def examine_runs(store: Store, *, walk: Walk, children: Children, found: Found) -> int:
    """Looks at every run with all that belongs to it, side by side; answers how many rows it has looked at.

    Args:
        walk: the documents of a kind, in the order of their keys.
        children: the jobs among the ended children; the runs are added.
        found: told of each damage as it is met.
    """
    seen = 0
    parts = {kind: _Part(kind, walk(kind)) for kind in RUN_KINDS if kind != "runs"}
    async for run in walk("runs"):
        seen += 1
        waits = 0
        for part in parts.values():
            async for document in part.up_to(run["id"]):
                seen += 1
                waits += part.kind == "waits" and document["run_id"] == run["id"]
                if document["run_id"] != run["id"]:
                    found(_orphan(part.kind, document))
        for damage in _of_run(run, await _driver(store, run), waits):
            found(damage)
        if run["parent"] is not None and run["step"] is not None and run["awaited"] and run["state"] in TERMINAL:
            children[run["parent"], run["step"]] = ("runs", run["id"])
    for part in parts.values():
        async for document in part.up_to(None):
            seen += 1
            found(_orphan(part.kind, document))
    await _unheard(store, walk, children, found)
    return seen


async def stray_driver(store: Store, job: Document) -> Damage | None:
    """What is wrong with a job that drives a run: there is none."""
    try:
        run = None if job["run_id"] is None else await store.workflows.get(RunID(job["run_id"]))
    except (StoreCorrupt, ValueError):
        return None  # told with the run
    if run is not None and run.driver == job["id"]:
        return None
    text = f"drives {job['run_id'] or 'a run'}, which {'is gone' if run is None else f'{run.driver} drives'}"
    return Damage("jobs", job["id"], text, "repair that row with the database's own tools")


async def may_lack_key(store: Store, job: Document) -> bool:
    """Whether the job drives a run that compensates, or was blocked while it did: it does nothing anew, and its unique
    key may have gone to another."""
    try:
        run = None if job["run_id"] is None else await store.workflows.get(RunID(job["run_id"]))
    except (StoreCorrupt, ValueError):
        return True  # told with the run
    return run is not None and run.state in (RunState.COMPENSATING, RunState.BLOCKED)


class _Part:
    """Documents of one kind that belong to runs, taken run by run."""

    def __init__(self, kind: TransferKind, documents: AsyncIterator[Document]) -> None:
        self.kind: TransferKind = kind
        self._documents = documents
        self._next: Document | None = None

    async def up_to(self, run_id: str | None) -> AsyncIterator[Document]:
        """The documents of this run and of those before it; None: all that are left."""
        while True:
            if self._next is None:
                self._next = await anext(self._documents, None)
            if self._next is None or (run_id is not None and self._next["run_id"] > run_id):
                return
            document, self._next = self._next, None
            yield document


async def _driver(store: Store, run: Document) -> Job | StoreCorrupt | None:
    try:
        return await store.jobs.get(JobID(run["driver"]))
    except StoreCorrupt as error:
        return error


def _of_run(run: Document, driver: Job | StoreCorrupt | None, waits: int) -> Iterator[Damage]:
    id_, state = run["id"], run["state"]
    if state not in set(RunState):
        yield Damage("runs", id_, f"has the state {state!r}, which is none", "repair that row")
        return
    ended = state in TERMINAL
    if ended and run["finished_at"] is None:
        yield Damage("runs", id_, f"is {state}, but has no end: it is never pruned", "repair that row")
    if ended and waits:
        yield Damage("runs", id_, f"is {state}, but still waits for {waits} events", "remove its rows of waits")
    if isinstance(driver, StoreCorrupt):
        return  # told with the job
    if driver is None:
        yield Damage("runs", id_, f"has lost its driver {run['driver']}: nobody goes on with it", _BY_HAND)
    elif driver.kind != "workflow" or driver.run_id != id_:
        yield Damage("runs", id_, f"takes {driver.id} for its driver, which does not know it", _BY_HAND)
    elif ended != (driver.state in ENDED):
        then = "it would run again" if ended else "nobody goes on with it"
        yield Damage("runs", id_, f"is {state}, but its driver {driver.id} is {driver.state}: {then}", _BY_HAND)
    elif not ended and driver.name != driver_name(run["name"], run["version"]):
        text = f"is of version {run['version']}, but its driver goes to workers that serve {driver.name}"
        yield Damage("runs", id_, text, f"`dispatch workflow migrate {id_}`")


def _orphan(kind: TransferKind, document: Document) -> Damage:
    name = document["step"] if kind == "child_results" else document["name"]
    key, text = f"{document['run_id']} {name}", "belongs to a run that is gone: it is never pruned"
    return Damage(kind, key, text, "remove that row with the database's own tools")


async def _unheard(store: Store, walk: Walk, children: Children, found: Found) -> None:
    """Tells of children that have ended without their parents hearing of it."""
    if not children:
        return
    async for document in walk("child_results"):
        children.pop((document["run_id"], document["step"]), None)
    for (parent, step), (kind, child) in children.items():
        if await store.workflows.get(RunID(parent)) is not None:
            text = f"has ended, but {parent} never heard of it: its step {step!r} waits for ever"
            found(Damage(kind, child, text, f"`dispatch workflow cancel {parent}`, and start it again"))
