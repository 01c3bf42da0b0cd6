"""Runs, journals, ends of children and open waits: out as documents, in as rows in their indexes."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from dispatch.clock import micros
from dispatch.entity import Page
from dispatch.errors import DataRejected
from dispatch.ids import RunID
from dispatch.jobs.model import Failure
from dispatch.stores.redis import documents as as_
from dispatch.stores.redis import run_rows
from dispatch.stores.redis.client import RedisClient
from dispatch.stores.redis.documents import Field, number, raw, text_field
from dispatch.stores.redis.rows import to_json
from dispatch.stores.redis.run_rows import RUN_CODES, RUN_STATES
from dispatch.transfer import RUN_KINDS, Document, TransferKind
from dispatch.workflows.model import ChildResult, RunState, Wait, driver_id

_RUNS_AT_ONCE = 50
_BYTES = 4 * 1024 * 1024
_MODES = {"a": "any", "l": "all", "f": "all_or_failure"}
_CODES = {mode: code for code, mode in _MODES.items()}
_OUTCOMES = {"completed": b"C", "failed": b"F", "cancelled": b"X"}


def _flag(name: str, key: str) -> Field:
    return Field(name, key, lambda _: True, lambda _: "1", False)


RUN = (
    number("created_at", "c"),
    number("updated_at", "u"),
    text_field("name", "n"),
    number("version", "v"),
    text_field("reason", "rs"),
    text_field("blocked", "bk"),
    _flag("compensating", "co"),
    _flag("compensated", "cp"),
    _flag("compensation_failed", "cf"),
    _flag("parked", "pk"),
    number("wake_seq", "ws", 0),
    text_field("parent", "pa"),
    text_field("step", "sp"),
    Field("awaited", "aw", lambda _: False, lambda _: "0", True),
    _flag("abandon", "ab"),
    text_field("forked_from", "ff"),
    text_field("app_id", "ap", ""),
    text_field("org_id", "og", ""),
    number("started_at", "sa"),
    number("finished_at", "fi"),
    number("wakes_at", "wk"),
    text_field("error_type", "et"),
    text_field("error_message", "em"),
    text_field("error_traceback", "eb"),
    raw("result", "re"),
)


async def counts(client: RedisClient) -> dict[TransferKind, int]:
    """How many documents of these kinds there are."""
    totals = [0] * len(RUN_KINDS)
    after: bytes | str = ""
    while True:
        *found, after = await client.run("tally_runs", after)
        totals = [total + one for total, one in zip(totals, found, strict=True)]
        if not after:
            return dict(zip(RUN_KINDS, totals, strict=True))


async def export(client: RedisClient, kind: TransferKind, after: str | None, limit: int) -> Page[Document]:
    """Documents of runs in the order of their keys."""
    last, key = (None, None) if after is None else json.loads(after)
    begin = "-" if last is None else f"[{last}"
    items: list[Document] = []
    cursor, size = None, 0
    while True:
        ids = await client.command("ZRANGEBYLEX", f"{client.prefix}fi", begin, "+", "LIMIT", 0, _RUNS_AT_ONCE)
        for run_id in (RunID(one.decode()) for one in ids):
            for place, document, bulk in await _READ[kind](client, run_id):
                if run_id == last and place <= key:
                    continue
                items.append(document)
                cursor, size = json.dumps([run_id, place]), size + bulk
                if len(items) >= limit or size >= _BYTES:
                    return Page(items, cursor)
        if len(ids) < _RUNS_AT_ONCE:
            return Page(items, cursor)
        begin = f"({ids[-1].decode()}"


Found = list[tuple[Any, Document, int]]
"""Place among the run's, document, about how large."""


async def _runs(client: RedisClient, run_id: RunID) -> Found:
    row = dict(run_rows.pairs_of(await client.command("HGETALL", f"{client.prefix}f:{run_id}")))
    if not row:
        return []
    state = RUN_STATES[row[b"st"]]
    groups = []
    for place, mode in enumerate(row.get(b"go", b"").decode(), 1):
        key = f"{len(run_id)}:{run_id}{place}"
        steps = await client.command("SMEMBERS", f"{client.prefix}fo:{key}")
        groups.append({"mode": _MODES[mode], "steps": sorted(step.decode() for step in steps)})
    document = as_.read(RUN, row)
    document |= {"id": str(run_id), "state": state.value, "driver": str(driver_id(run_id)), "groups": groups}
    document["blocked"] = document["blocked"] if state is RunState.BLOCKED else None
    return [("", document, sum(map(len, row.values())))]


async def _checkpoints(client: RedisClient, run_id: RunID) -> Found:
    flat = await client.command("LRANGE", f"{client.prefix}fj:{run_id}", 0, -1)
    return [
        (
            one.position,
            {
                "run_id": str(run_id),
                "position": one.position,
                "id": str(one.id),
                "name": one.name,
                "kind": one.kind,
                "attempt": one.attempt,
                "worker_id": None if one.worker_id is None else str(one.worker_id),
                "event_id": None if one.event_id is None else str(one.event_id),
                "inherited": one.inherited,
                "started_at": None if one.started_at is None else micros(one.started_at),
                "created_at": micros(one.created_at),
                "updated_at": micros(one.updated_at),
                "data": one.data,
            },
            len(one.data),
        )
        for one in run_rows.checkpoints_of(run_id, flat)
    ]


async def _child_results(client: RedisClient, run_id: RunID) -> Found:
    found = run_rows.pairs_of(await client.command("HGETALL", f"{client.prefix}fr:{run_id}"))
    ends = run_rows.children_of(run_id, [part for one in found for part in one])
    return [(end.step, _end(end), len(end.result or b"")) for end in ends]


def _end(end: ChildResult) -> Document:
    failed = end.error
    return {
        "run_id": str(end.run_id),
        "step": end.step,
        "child": end.child,
        "state": str(end.state),
        "error_type": failed and failed.type,
        "error_message": failed and failed.message,
        "error_traceback": failed and failed.traceback,
        "result": end.result,
    }


async def _waits(client: RedisClient, run_id: RunID) -> Found:
    found = run_rows.pairs_of(await client.command("HGETALL", f"{client.prefix}fw:{run_id}"))
    waits = sorted((run_rows.wait_of(run_id, *one) for one in found), key=lambda wait: wait.name)
    return [(wait.name, _wait(wait), 0) for wait in waits]


def _wait(wait: Wait) -> Document:
    return {
        "run_id": str(wait.run_id),
        "name": wait.name,
        "events": list(wait.events),
        "key": wait.key,
        "since": None if wait.since is None else micros(wait.since),
        "deadline": None if wait.deadline is None else micros(wait.deadline),
    }


def _counted(parts: Sequence[Any]) -> list[Any]:
    return [len(parts), *parts]


def _write_run(d: Document) -> list[Any]:
    state = RunState(d["state"])
    if state.terminal and d["finished_at"] is None:
        raise ValueError(f"{d['id']} is {state}, but has no end")
    if d["driver"] != driver_id(RunID(d["id"])):
        raise ValueError(f"{d['id']} is driven by {d['driver']}")
    fields = ["st", RUN_CODES[state], *as_.write(RUN, d)]
    groups = [part for one in d["groups"] for part in (_CODES[one["mode"]], *_counted(one["steps"]))]
    return [d["id"], *_counted(fields), len(d["groups"]), *groups]


def _write_checkpoint(d: Document) -> list[Any]:
    started = "" if d["started_at"] is None else int(d["started_at"])
    parts = [d["id"], d["name"], d["kind"], bytes(d["data"]), int(d["attempt"]), d["worker_id"] or "", started]
    parts += [int(d["created_at"]), int(d["updated_at"]), d["event_id"] or "", "1" if d["inherited"] else ""]
    return [d["run_id"], *_counted([*parts, int(d["position"])])]


def _write_child_result(d: Document) -> list[Any]:
    said = None if d["error_type"] is None else Failure(d["error_type"], d["error_message"] or "", d["error_traceback"])
    failed = (None, None, None) if said is None else (said.type, said.message, said.traceback)
    return [d["run_id"], d["step"], _OUTCOMES[d["state"]] + run_rows.packed([d["child"], d["result"], *failed])]


def _write_wait(d: Document) -> list[Any]:
    wanted = {"e": d["events"]} | ({} if d["key"] is None else {"k": d["key"]})
    times = ("" if d[name] is None else str(int(d[name])) for name in ("deadline", "since"))
    stored = "|".join((*times, to_json(wanted, f"the wait {d['name']}")))
    return [d["run_id"], d["name"], stored, "" if d["key"] is None else f"={d['key']}", *_counted(d["events"])]


async def load(client: RedisClient, kind: TransferKind, documents: Sequence[Document], *, at_once: int) -> int:
    """Writes documents that have the fields of their kind; what belongs to a run that is not there is refused."""
    try:
        rows = [_WRITE[kind](document) for document in documents]
    except (AttributeError, ArithmeticError, LookupError, TypeError, ValueError) as error:
        raise as_.refused(kind, error) from error
    if kind != "runs":
        lost = await client.run("load_run_rows", "check", *dict.fromkeys(row[0] for row in rows))
        if lost:
            raise DataRejected(
                f"{kind} of {lost.decode()}, which is not in the store: load the runs first. Nothing was written"
            )
    calls = [[kind, *(part for row in rows[at : at + at_once] for part in row)] for at in range(0, len(rows), at_once)]
    return sum(await client.run_all("load_run_rows", calls, together=len(calls) > 1))


_READ: dict[TransferKind, Callable[[RedisClient, RunID], Any]] = {
    "runs": _runs,
    "checkpoints": _checkpoints,
    "child_results": _child_results,
    "waits": _waits,
}
_WRITE: dict[TransferKind, Callable[[Document], list[Any]]] = {
    "runs": _write_run,
    "checkpoints": _write_checkpoint,
    "child_results": _write_child_result,
    "waits": _write_wait,
}
