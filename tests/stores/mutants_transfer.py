"""Faults of export and load: over any store, and in the SQL."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from mutants import Fault, Verb
from mutants_memory import _around, _constant
from mutants_more import _nothing
from mutants_sqlite import _sql

from dispatch.jobs.model import JobState
from dispatch.stores.memory.data import Data

_HERE = ("transfer",)
_RUNS = ("run_transfer", "run_moves")


def _exporting(**changes: Any) -> Verb:
    """Exports documents with something lost."""

    async def export(transfer: Any, kind: Any, **options: Any) -> Any:
        page = await transfer.export(kind, **options)
        return replace(page, items=[{name: changes.get(name, value) for name, value in d.items()} for d in page.items])

    return export


async def _export_the_first_page(transfer: Any, kind: Any, **options: Any) -> Any:
    return replace(await transfer.export(kind, **options), next_cursor=None)


async def _export_too_much(transfer: Any, kind: Any, *, after: Any = None, limit: int = 500) -> Any:
    return await transfer.export(kind, after=after, limit=limit + 1)


async def _skip_the_terminal(transfer: Any, kind: Any, documents: Any) -> Any:
    return await transfer.load(kind, [d for d in documents if kind != "jobs" or not JobState(d["state"]).terminal])


async def _one_by_one(transfer: Any, kind: Any, documents: Any) -> Any:
    return sum([await transfer.load(kind, [document]) for document in documents])


async def _unfenced(transfer: Any, kind: Any, documents: Any) -> Any:
    return await transfer.load(kind, [{**d, "epoch": 0} if "epoch" in d else d for d in documents])


async def _nobody_runs(transfer: Any, kind: Any, documents: Any) -> Any:
    return await transfer.load(
        kind, [{**d, "state": "pending", "worker_id": None} if d.get("lease_until") else d for d in documents]
    )


def _loading_no(lost: str) -> Verb:
    """Loads everything but one kind, and says that it did not."""

    async def load(transfer: Any, kind: Any, documents: Any) -> Any:
        return 0 if kind == lost else await transfer.load(kind, documents)

    return load


async def _nobodys_children(transfer: Any, kind: Any, documents: Any) -> Any:
    return await transfer.load(kind, [{**d, "step": None} if kind == "jobs" else d for d in documents])


async def _all_mail_unread(transfer: Any, kind: Any, documents: Any) -> Any:
    return await transfer.load(kind, [{**d, "consumed": False} if kind == "events" else d for d in documents])


def _with_runs(name: str, invariant: str, verb: str, instead: Verb) -> Fault:
    return Fault(name, invariant, _RUNS, {f"transfer.{verb}": instead})


def _anywhere(name: str, invariant: str, verb: str, instead: Verb) -> Fault:
    return Fault(name, invariant, _HERE, {f"transfer.{verb}": instead})


TRANSFER = (
    _anywhere("export drops the history", "I11", "export", _exporting(attempts=[])),
    _anywhere("export drops keys' holders", "I1", "export", _exporting(live=False)),
    _anywhere("export drops who waits behind whom", "I1", "export", _exporting(behind=None)),
    _anywhere("export drops how a claim ended", "I1", "export", _exporting(left_as=None)),
    _anywhere("export ends early", "I1", "export", _export_the_first_page),
    _anywhere("export knows no limit", "I1", "export", _export_too_much),
    _anywhere("load writes nothing", "I1", "load", _nothing(0)),
    _anywhere("load leaves out what has ended", "I1", "load", _skip_the_terminal),
    _anywhere("load writes what it can", "", "load", _one_by_one),
    _anywhere("load drops fences", "I4", "load", _unfenced),
    _anywhere("load frees what runs", "I4", "load", _nobody_runs),
)
TRANSFER_RUNS = (
    _with_runs("export drops what a parked run waits for", "I23", "export", _exporting(groups=[])),
    _with_runs("export drops which events were consumed", "I18", "export", _exporting(consumed=False)),
    _with_runs("load drops journals", "I18", "load", _loading_no("checkpoints")),
    _with_runs("load drops open waits", "I22", "load", _loading_no("waits")),
    _with_runs("load drops how children ended", "I23", "load", _loading_no("child_results")),
    _with_runs("load drops whose children jobs are", "I23", "load", _nobodys_children),
    _with_runs("load delivers signals twice", "I22", "load", _all_mail_unread),
)
TRANSFER_MEMORY = (
    Fault("loaded rows grow old in any order", "", _HERE, plant=_around(Data, "sort_ended", _constant(None))),
)
_DATA = ("DO NOTHING", "DO UPDATE SET data = 'x'")
_AGAIN = ("DO NOTHING", "DO UPDATE SET payload = excluded.payload")
TRANSFER_SQLITE = (
    _sql("loaded jobs are not ready", "I6", "transfer", ("load_job", ":ready,", "0 * :ready,")),
    _sql("loaded jobs overwrite", "I2", "transfer", ("load_job", *_AGAIN)),
    _sql("loaded records overwrite", "I2", "transfer", ("load_record", "DO NOTHING", "DO UPDATE SET value = 'x'")),
    _sql("loaded keys change hands", "I2", "transfer", ("load_unique_key", "DO NOTHING", "DO UPDATE SET job_id = 'x'")),
    _sql("loaded history of nobody", "I11", "transfer", ("load_attempt", "(:job_id,", "('of ' || :job_id,")),
    _sql("pages overlap", "I1", "transfer", ("export_jobs", "WHERE id > :after AND", "WHERE id >= :after AND")),
    _sql("large rows never come", "", "transfer", ("export_jobs", "before < :room", "before > :room")),
    _sql("loaded journals overwrite", "I18", "run_transfer", ("load_checkpoint", *_DATA)),
    _sql("loaded waits hear nothing", "I22", "run_moves", ("load_wait_event", "WHERE id = :run_id", "WHERE id = 'x'")),
    _sql("loaded groups want one more", "I23", "run_moves", ("load_group", ":remaining)", ":remaining + 1)")),
    _sql(
        "loaded signals are unread",
        "I22",
        "run_moves",
        ("load_event", ":payload, :consumed)", ":payload, 0 * :consumed)"),
    ),
    _sql(
        "loaded drivers drive nothing",
        "I22",
        "run_moves",
        ("load_job", ":left_as, :run_id,", ":left_as, NULL AND :run_id,"),
    ),
)
