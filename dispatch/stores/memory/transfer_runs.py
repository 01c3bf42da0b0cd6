"""Runs, journals, child results and open waits: out as documents, in as runs in their indexes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from dispatch.entity import Page
from dispatch.errors import DataRejected
from dispatch.ids import RunID
from dispatch.stores.memory import run_documents as as_
from dispatch.stores.memory.data import Data, insert_sorted
from dispatch.stores.memory.rows import Row
from dispatch.stores.memory.runs import RunRow
from dispatch.stores.memory.walks import by_run, ordered
from dispatch.transfer import Document, TransferKind
from dispatch.workflows.model import Checkpoint, ChildResult, Wait


def counts(data: Data) -> dict[TransferKind, int]:
    """How many documents of these kinds there are."""
    runs = data.runs.rows.values()
    return {
        "runs": len(runs),
        "checkpoints": sum(len(run.journal) for run in runs),
        "child_results": sum(len(run.results) for run in runs),
        "waits": sum(len(run.waits) for run in runs),
    }


def _runs(data: Data, after: str | None, limit: int) -> Page[Document]:
    return ordered(data.runs.order, lambda id_: as_.run_document(data.runs.rows[id_]), after, limit)


def _checkpoints(data: Data, after: str | None, limit: int) -> Page[Document]:
    return by_run(data.runs, _journal, as_.checkpoint_document, after, limit)


def _journal(run: RunRow) -> dict[int, Checkpoint]:
    return {checkpoint.position: checkpoint for checkpoint in run.journal.values()}


def _child_results(data: Data, after: str | None, limit: int) -> Page[Document]:
    return by_run(data.runs, lambda run: run.results, as_.child_document, after, limit)


def _waits(data: Data, after: str | None, limit: int) -> Page[Document]:
    return by_run(data.runs, lambda run: run.waits, as_.wait_document, after, limit)


def _run_of(document: Document) -> RunRow:
    run = as_.run_of(document)
    if run.state.terminal and run.finished_at is None:
        raise ValueError(f"{run.id} is {run.state}, but has no end")
    return run


def must_have_runs(data: Data, kind: TransferKind, ids: Iterable[RunID]) -> None:
    """DataRejected for what belongs to a run that is not there."""
    lost = next((run_id for run_id in ids if run_id not in data.runs.rows), None)
    if lost is not None:
        raise DataRejected(f"{kind} of {lost}, which is not in the store: load the runs first. Nothing was written")


def _add_run(data: Data, document: Document, run: RunRow) -> bool:
    if run.id in data.runs.rows:
        return False
    data.runs.rows[run.id] = run
    insert_sorted(data.runs.order, run.id)
    data.runs.count(run, 1)
    if run.state.terminal:
        data.runs.ended[run.state][run.id] = run
        data.runs.ended_anyhow.add(run.state)
    run.child_runs |= data.runs.unclaimed.pop(run.id, set())
    if run.parent is not None:
        parent = data.runs.find(run.parent)
        family = data.runs.unclaimed.setdefault(run.parent, set()) if parent is None else parent.child_runs
        family.add(run.id)
    return True


def adopt(data: Data, row: Row) -> None:
    """Gives a run what its driver, which was just loaded, holds for it."""
    run = data.runs.driven_by(row)
    if run is not None:
        run.input, run.queue, run.tags, run.metadata = row.payload, row.queue, row.tags, row.metadata


def _add_checkpoint(data: Data, document: Document, one: Checkpoint) -> bool:
    run = data.runs.rows[one.run_id]
    taken = one.event_id is not None and one.event_id in run.consumed
    if taken or one.name in run.journal or (one.position <= run.last_position and one.position in _journal(run)):
        return False
    run.journal[one.name] = one
    if one.position < run.last_position:
        run.journal = dict(sorted(run.journal.items(), key=lambda item: item[1].position))
    run.last_position = max(run.last_position, one.position)
    if one.event_id is not None:
        run.consumed.add(one.event_id)
    return True


def _add_child_result(data: Data, document: Document, result: ChildResult) -> bool:
    return data.runs.rows[result.run_id].results.setdefault(result.step, result) is result


def _add_wait(data: Data, document: Document, wait: Wait) -> bool:
    run = data.runs.rows[wait.run_id]
    if wait.name in run.waits:
        return False
    data.runs.open(run, wait)
    return True


EXPORTS: dict[TransferKind, Callable[[Data, str | None, int], Page[Document]]] = {
    "runs": _runs,
    "checkpoints": _checkpoints,
    "child_results": _child_results,
    "waits": _waits,
}
LOADS: dict[TransferKind, tuple[Callable[[Document], Any], Callable[[Data, Document, Any], bool]]] = {
    "runs": (_run_of, _add_run),
    "checkpoints": (as_.checkpoint_of, _add_checkpoint),
    "child_results": (as_.child_of, _add_child_result),
    "waits": (as_.wait_of, _add_wait),
}
