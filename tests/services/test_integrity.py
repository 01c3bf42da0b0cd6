"""What `store verify --data` finds: each damage alone, and none in a store that only its verbs have written to."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from dispatch.clock import ManualClock
from dispatch.dlq import DLQState
from dispatch.ids import JobID
from dispatch.jobs.model import Unique, Verdict
from dispatch.services.damage import Damage
from dispatch.services.integrity import examine
from dispatch.stores.memory import MemoryStore
from dispatch.stores.sqlite import SQLiteStore
from dispatch.testing.conformance.env import BOOM, Env, new
from dispatch.transfer import KINDS, TransferKind


async def world() -> Env:
    """Jobs in all sorts of states, two of them with keys, one behind another, one dead."""
    clock = ManualClock()
    env = Env(MemoryStore(clock=clock), clock)
    await env.store.open()
    await env.finish(await env.start("done"), Verdict.COMPLETE)
    await env.start("held", unique=Unique("k"))
    await env.enqueue(new("held", unique=Unique("k", on_conflict="replace")))
    await env.start("early", unique=Unique("s", until="start"))
    _, letter = await env.bury("replayed")
    await env.store.dlq.replay(letter, JobID.new())
    await env.bury("dead", unique=Unique("d"))
    await env.add("waiting", unique=Unique("w", hold_for=60))
    await env.finish(await env.start("again"), Verdict.RETRY, failure=BOOM, delay=9)
    return env


async def damages(env: Env) -> list[Damage]:
    found: list[Damage] = []
    await examine(env.store, found=found.append, tick=lambda steps: None)
    return found


async def damaged(kind: TransferKind, name: str | None, **changes: Any) -> list[Damage]:
    """What is found in a world of which one document (that of the job called `name`) is other than it was."""
    env, other = await world(), MemoryStore()
    await other.open()
    for each in KINDS:
        documents = (await env.store.transfer.export(each)).items
        if each == kind:
            for document in documents:
                if name in (None, document.get("name"), document.get("job_name"), document.get("key")):
                    document.update(changes)
                    if changes == {}:
                        documents.remove(document)
                    break
        await other.transfer.load(each, documents)
    return await damages(Env(other, env.clock))


async def test_a_store_that_only_its_verbs_have_written_to_is_whole() -> None:
    env = await world()
    seen = await examine(env.store, found=lambda damage: pytest.fail(str(damage)), tick=lambda steps: None)
    assert seen >= sum((await env.store.transfer.count()).values()) - 1


@pytest.mark.parametrize(
    ("kind", "name", "changes", "text"),
    [
        ("jobs", "waiting", {"unique_key": None}, "which does not need it"),
        ("unique_keys", "w", {"live": False}, "a twin may be enqueued"),
        ("unique_keys", "k", {}, "a twin may be enqueued"),
        ("jobs", "waiting", {"behind": str(JobID.new())}, "which is gone"),
        ("dlq", "replayed", {"state": DLQState.REPLAYED, "replayed_as": None}, "its work is lost"),
        ("jobs", "dead", {"state": "completed"}, "a replay would do the work twice"),
    ],
)
async def test_each_damage_is_found_and_told_with_advice(
    kind: TransferKind, name: str, changes: dict[str, Any], text: str
) -> None:
    found = await damaged(kind, name, **changes)
    assert any(text in damage.text for damage in found), found
    assert all(damage.advice for damage in found)


async def test_a_row_that_was_edited_into_what_no_job_can_hold_is_found(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "store.db")
    await store.open()
    env = Env(store, ManualClock())
    job_id = await env.add()
    connection = sqlite3.connect(tmp_path / "store.db")
    connection.execute("UPDATE jobs SET created_at = 'long ago'")
    connection.commit()
    connection.close()
    (found,) = await damages(env)
    await store.close()
    assert (found.key, found.text) == (job_id, "holds what no job can hold in: created_at")
