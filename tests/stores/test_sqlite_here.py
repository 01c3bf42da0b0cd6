"""An enqueue from synchronous code runs in the caller's own thread, and never at anybody else's cost."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from dispatch import Dispatch, hookimpl
from dispatch.clock import ManualClock
from dispatch.errors import DuplicateJob, StoreUnreachable, SyncInAsync
from dispatch.ids import JobID
from dispatch.jobs.definition import AsyncJobDefinition
from dispatch.jobs.model import CountOptions, Enqueued, JobState, NewJob
from dispatch.queues import QueueConfig
from dispatch.registry import Registry
from dispatch.scope import Scope
from dispatch.stores.sql.plan import Do, Plan
from dispatch.stores.sqlite import SQLiteStore
from dispatch.stores.sqlite_connection import Occupied
from dispatch.stores.sqlite_executor import SQLiteExecutor

DEADLINE = 10.0


async def test_a_connection_that_is_given_up_while_it_opens_leaves_no_thread_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread that answers later finds its event loop closed, and says so in a traceback of its own."""
    entered, release, connect = threading.Event(), threading.Event(), sqlite3.connect

    def slow(*args: Any, **options: Any) -> sqlite3.Connection:
        entered.set()
        assert release.wait(DEADLINE)
        return connect(*args, **options)

    monkeypatch.setattr(sqlite3, "connect", slow)
    before = {*threading.enumerate()}
    opening = asyncio.create_task(SQLiteStore(tmp_path / "jobs.db").open())
    assert await asyncio.to_thread(entered.wait, DEADLINE)
    working = [found for found in threading.enumerate() if found not in before and "_connection_worker" in found.name]
    opening.cancel()
    done, _ = await asyncio.wait({opening}, timeout=0.05)
    assert not done, "it waits for its thread"
    release.set()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(opening, DEADLINE)
    assert len(working) == 1
    assert not working[0].is_alive()


def new(**fields: Any) -> NewJob:
    return NewJob(**{"id": JobID.new(), "name": "note", "payload": b'{"text":"a"}', **fields})


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SQLiteStore]:
    made = SQLiteStore(tmp_path / "jobs.db")
    await made.open()
    await made.jobs.enqueue([new()])
    yield made
    await made.close()


@pytest.fixture
def note(registry: Registry) -> AsyncJobDefinition[[str], str]:
    @registry.job
    async def note(text: str) -> str:
        return text

    return note


async def pending(store: SQLiteStore) -> int:
    return (await store.jobs.count(CountOptions()))[JobState.PENDING]


def pause() -> Plan[None]:
    yield Do("pause_queue", {"queue": "q", "now": 1, "until": None, "by": "", "reason": "", "force": 0})


async def test_it_needs_no_event_loop(store: SQLiteStore, note: AsyncJobDefinition[[str], str]) -> None:
    async with Dispatch(store, registry=Registry()) as app:

        def on_a_thread() -> None:
            made.append(app.sync.enqueue(note, "while the loop does nothing"))
            enqueued.set()

        made: list[Any] = []
        enqueued = threading.Event()
        thread = threading.Thread(target=on_a_thread)
        thread.start()
        assert enqueued.wait(DEADLINE)  # while this very thread, and the loop with it, does nothing else
        thread.join()
        assert made[0].created
        assert (await app.job(made[0].id)).payload == b'{"text":"while the loop does nothing"}'
        assert await pending(store) == 2


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"delay": 60.0, "priority": 3, "queue": "other"},
        {"run_at": datetime(2026, 3, 1, tzinfo=UTC), "kind": "delivery", "lane": "left"},
        {"scope": Scope("shop", "t1"), "lane": "", "metadata": {"a": [1, "ä"]}},
        {"scope": Scope("shop", "t1")},
        {"kind": "workflow"},
        {"max_retries": 3, "tags": ("a",)},
    ],
    ids=["plain", "delayed", "dated", "laned", "scoped", "driver", "optioned"],
)
async def test_it_writes_the_row_that_any_enqueue_writes(tmp_path: Path, fields: dict[str, Any]) -> None:
    store = SQLiteStore(tmp_path / "jobs.db", clock=ManualClock())
    await store.open()
    await store.queues.configure(QueueConfig("default", fair=True))
    here, awaited, among_others = (new(**fields) for _ in range(3))
    assert store.jobs.enqueue_here([here]) == [Enqueued(here.id, True)]
    assert await store.jobs.enqueue([awaited]) == [Enqueued(awaited.id, True)]
    await store.jobs.enqueue([among_others, new()])
    expected = await store.jobs.get(among_others.id)
    assert expected is not None
    for job in (here, awaited):
        written = await store.jobs.get(job.id)
        assert written is not None
        assert replace(written, id=expected.id, effect_key=expected.id) == expected
    assert (expected.lane == "shop/t1") == (fields == {"scope": Scope("shop", "t1")})
    await store.close()


async def test_an_id_that_is_there_already_changes_nothing(store: SQLiteStore) -> None:
    job = new()
    for created in (True, False):
        assert store.jobs.enqueue_here([job]) == [Enqueued(job.id, created)]
        job = new(id=job.id, payload=b"[2]")
    assert await store.jobs.enqueue([job]) == [Enqueued(job.id, False)]
    kept = await store.jobs.get(job.id)
    assert kept is not None
    assert kept.payload == b'{"text":"a"}'
    assert await pending(store) == 2


async def test_a_file_that_was_moved_away_is_not_written_to(store: SQLiteStore, tmp_path: Path) -> None:
    file = tmp_path / "jobs.db"
    file.rename(tmp_path / "elsewhere.db")
    with pytest.raises(StoreUnreachable, match="moved, deleted or replaced"):
        store.jobs.enqueue_here([new()])
    (tmp_path / "elsewhere.db").rename(file)
    assert store.jobs.enqueue_here([new()])
    assert await pending(store) == 2


async def test_it_wakes_who_waits(store: SQLiteStore) -> None:
    seen = store.wakeups.version
    waiting = asyncio.create_task(store.wakeups.wait(seen, DEADLINE))
    await asyncio.to_thread(store.jobs.enqueue_here, [new()])
    assert await waiting > seen


async def test_it_goes_behind_those_that_are_queued(store: SQLiteStore) -> None:
    begun, end = threading.Event(), threading.Event()

    def long() -> Plan[None]:
        yield from pause()
        begun.set()
        end.wait(DEADLINE)

    writing = asyncio.create_task(store._executor.run(long))
    assert await asyncio.to_thread(begun.wait, DEADLINE)
    assert store.jobs.enqueue_here([new()]) is None
    end.set()
    await writing
    assert await pending(store) == 1
    answers = store.jobs.enqueue_here([new()])
    assert answers is not None
    assert answers[0].created


async def test_threads_take_turns(store: SQLiteStore, note: AsyncJobDefinition[[str], str]) -> None:
    async with Dispatch(store, registry=Registry()) as app:

        def on_a_thread() -> None:
            for number in range(10):
                app.sync.enqueue(note, str(number))

        await asyncio.gather(*(asyncio.to_thread(on_a_thread) for _ in range(4)), app.enqueue(note, "among them"))
        assert await pending(store) == 42


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
async def test_a_signal_in_the_middle_leaves_neither_a_lock_nor_a_row(
    store: SQLiteStore, error: type[BaseException]
) -> None:
    def interrupted() -> Plan[None]:
        yield from pause()
        raise error

    with pytest.raises(error):
        store._executor.run_here(interrupted)
    assert (await store.queues.get("q")).pause is None
    other = SQLiteStore(store._path, busy_timeout=0.2)
    await other.open()
    assert (await other.jobs.enqueue([new()]))[0].created
    await other.close()
    assert store.jobs.enqueue_here([new()]) is not None


async def test_a_connection_that_cannot_roll_back_is_opened_anew_by_the_next_write(
    store: SQLiteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = store._executor._writer._aio

    def failing() -> Plan[None]:
        yield from pause()
        raise LookupError("oh")

    def cannot(raw: sqlite3.Connection) -> None:
        if raw.in_transaction:
            raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(store._executor, "_roll_back", cannot)
    with pytest.raises(LookupError, match="oh"):
        store._executor.run_here(failing)
    monkeypatch.undo()
    with pytest.raises(Occupied):
        store._executor.run_here(pause)
    assert (await store.jobs.enqueue([new()]))[0].created
    assert store._executor._writer._aio is not first
    assert (await store.queues.get("q")).pause is None
    assert store.jobs.enqueue_here([new()]) is not None


async def test_a_closed_store_says_so(store: SQLiteStore) -> None:
    await store.close()
    assert store.jobs.enqueue_here([new()]) is None
    with pytest.raises(StoreUnreachable, match="closed"):
        await store.jobs.enqueue([new()])


async def test_plugins_hear_of_it(store: SQLiteStore, note: AsyncJobDefinition[[str], str]) -> None:
    heard: list[JobID] = []

    class Plugin:
        @hookimpl
        async def job_enqueued(self, job: NewJob) -> None:
            heard.append(job.id)

        @hookimpl
        async def job_enqueuing(self, job: NewJob) -> dict[str, Any]:
            return {"from": "plugin"}

    async with Dispatch(store, registry=Registry(), plugins=[Plugin()]) as app:
        handle = await asyncio.to_thread(app.sync.enqueue, note, "a")
        assert (await app.job(handle.id)).metadata == {"from": "plugin"}
    assert heard == [handle.id]


async def test_a_conflict_is_raised_to_the_caller(store: SQLiteStore, note: AsyncJobDefinition[[str], str]) -> None:
    once = note.options(unique="one", on_conflict="raise")
    async with Dispatch(store, registry=Registry()):
        await asyncio.to_thread(once.sync.enqueue, "a")
        with pytest.raises(DuplicateJob):
            await asyncio.to_thread(once.sync.enqueue, "b")
        with pytest.raises(SyncInAsync):
            once.sync.enqueue("c")
        assert await pending(store) == 2


@pytest.mark.parametrize("interrupts", [1, 2], ids=["rolling back", "rolling back twice"])
async def test_what_is_enqueued_after_an_interrupted_write_is_committed(
    store: SQLiteStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, interrupts: int
) -> None:
    left, roll_back = [interrupts], SQLiteExecutor._roll_back

    def interrupted(executor: SQLiteExecutor, raw: sqlite3.Connection) -> None:
        if raw.in_transaction and left[0]:
            left[0] -= 1
            raise KeyboardInterrupt
        roll_back(executor, raw)

    def failing() -> Plan[None]:
        yield from pause()
        raise LookupError("oh")

    monkeypatch.setattr(SQLiteExecutor, "_roll_back", interrupted)
    with pytest.raises(KeyboardInterrupt):
        store._executor.run_here(failing)
    assert left == [0]
    here, awaited = store.jobs.enqueue_here([new()]), await store.jobs.enqueue([new()])
    assert here is not None
    with sqlite3.connect(tmp_path / "jobs.db", timeout=DEADLINE) as other:
        seen = {id_ for (id_,) in other.execute("SELECT id FROM jobs")}
        assert {here[0].id, awaited[0].id} <= seen
        other.execute("BEGIN IMMEDIATE")
        other.execute("ROLLBACK")
    assert (await store.queues.get("q")).pause is None
