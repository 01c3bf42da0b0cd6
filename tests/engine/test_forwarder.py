"""The outbox: a job belongs to the caller's commit in a SQL database, and comes to another store exactly once."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from dispatch import Dispatch, Registry
from dispatch.clock import ManualClock
from dispatch.config import Config
from dispatch.dlq.model import ListOptions as EntryOptions
from dispatch.engine.forwarder import Forwarder
from dispatch.errors import ConfigError, NotTransactional, StoreUnreachable
from dispatch.ids import DLQID, JobID, RunID
from dispatch.jobs.model import CountOptions, Idempotency, Job, ListOptions, NewJob, Unique
from dispatch.scope import Scope
from dispatch.stores.memory import MemoryStore
from dispatch.stores.outbox import WithOutbox, with_outbox
from dispatch.stores.outbox_rows import NAME, due_from, job_in, row_of
from dispatch.stores.sqlite import SQLiteStore


class Two:
    """A store in memory, and an outbox in a file of which somebody has a connection; both on one clock."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.clock = ManualClock()
        self.store = MemoryStore(clock=self.clock)
        self.outbox = SQLiteStore(file, clock=self.clock)
        self.face = with_outbox(self.store, self.outbox)

    async def commit(self, *jobs: NewJob, rollback: bool = False) -> None:
        """Writes jobs in a transaction of the caller's."""
        inside: Any = self.face.jobs
        await inside.prepare_inside()
        db = sqlite3.connect(self.file)
        db.execute("BEGIN")
        inside.enqueue_inside_here(db, list(jobs))
        if rollback:
            db.rollback()
        else:
            db.commit()
        db.close()

    def forwarder(self, store: Any = None, outbox: Any = None) -> Forwarder:
        return Forwarder(store or self.store, outbox or self.outbox, poll=0.0)

    async def stored(self) -> list[Job]:
        return (await self.store.jobs.list(ListOptions(limit=500))).items

    async def rows(self) -> int:
        return sum((await self.outbox.jobs.count(CountOptions())).values())


@pytest.fixture
async def two(tmp_path: Path) -> AsyncIterator[Two]:
    made = Two(tmp_path / "shop.db")
    await made.face.open()
    yield made
    await made.face.close()


def new(**fields: Any) -> NewJob:
    return NewJob(JobID.new(), "work", b"{}", **fields)


async def rounds(forwarder: Forwarder, count: int = 4) -> None:
    for _ in range(count):
        await forwarder.run_once()


async def until(condition: Callable[[], Awaitable[Any]], within: float = 20.0) -> None:
    async with asyncio.timeout(within):
        while not await condition():
            await asyncio.sleep(0.01)


class Broken:
    """Another's part of which one verb ends in an error, after or before it has done its work."""

    def __init__(self, inner: Any, verb: str, *, after: bool, error: BaseException) -> None:
        self._inner, self._verb, self._after, self._error = inner, verb, after, error

    @property
    def jobs(self) -> Any:
        return self

    @property
    def wakeups(self) -> Any:
        return self._inner.wakeups

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._inner.jobs, name)
        if name != self._verb:
            return call

        async def broken(*args: Any, **kwargs: Any) -> Any:
            if self._after:
                await call(*args, **kwargs)
            raise self._error

        return broken


async def test_a_committed_job_comes_to_the_store_once_and_its_row_goes(two: Two) -> None:
    jobs = [new(), new()]
    await two.commit(*jobs)
    assert await two.stored() == []
    await rounds(two.forwarder())
    assert {job.id for job in await two.stored()} == {job.id for job in jobs}
    two.clock.advance(1.0)
    await two.commit(new())
    await rounds(two.forwarder())
    two.clock.advance(1.0)
    await rounds(two.forwarder(), 2)
    assert len(await two.stored()) == 3
    assert await two.rows() <= 1


async def test_a_job_that_was_rolled_back_never_existed(two: Two) -> None:
    await two.commit(new(), rollback=True)
    await rounds(two.forwarder())
    assert await two.stored() == []
    assert await two.rows() == 0


def test_a_row_keeps_all_that_an_enqueue_brings() -> None:
    moment = datetime(2030, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
    job = NewJob(
        *(JobID.new(), "work", bytes(range(256)), "mails"),
        lane="a/b",
        priority=7,
        run_at=moment,
        delay=2.5,
        expires_in=60.0,
        max_retries=2,
        timeout=1.5,
        backoff={"kind": "fixed", "base": 1.0},
        keep_result=False,
        effect_key="effect",
        metadata={"trace": "ä"},
        tags=("x", "y"),
        scope=Scope("shop", "one"),
        scheduled_at=moment,
        unique=Unique("key", on_conflict="replace", until="start", hold_for=3.0),
        idempotency=Idempotency("key", "print", 60.0),
        replay_of=DLQID.new(),
        run_id=RunID.new(),
        step="step",
        concurrency_key="c",
        concurrency_max=3,
    )
    row = row_of(job)
    assert row.id == job.id
    assert row.name == NAME
    assert job_in(_as_row(row)) == job


def _as_row(row: NewJob) -> Any:
    class Row:
        id = row.id
        payload = row.payload

    return Row()


def test_what_is_counted_from_the_enqueue_is_counted_from_the_commit_and_not_from_the_move() -> None:
    enqueued = datetime(2030, 1, 1, tzinfo=UTC)
    job = due_from(new(delay=60.0, expires_in=100.0), enqueued, enqueued + timedelta(seconds=30))
    assert job.delay is None
    assert job.run_at == enqueued + timedelta(seconds=60)
    assert job.expires_in == 70.0
    assert due_from(new(expires_in=1.0), enqueued, enqueued + timedelta(seconds=30)).expires_in == 0.0


@pytest.mark.parametrize(
    ("part", "verb", "after"),
    [
        ("store", "enqueue", False),
        ("store", "enqueue", True),
        ("outbox", "finish", False),
        ("outbox", "finish", True),
        ("outbox", "prune", False),
    ],
)
async def test_whoever_dies_between_two_steps_leaves_exactly_one_job(
    two: Two, part: str, verb: str, after: bool
) -> None:
    class Killed(BaseException):
        """Nothing catches it, and nothing can be said any more."""

    await two.commit(new(), new())
    inner = two.store if part == "store" else two.outbox
    broken = Broken(inner, verb, after=after, error=Killed())
    mute = Broken(two.outbox, "release", after=False, error=Killed()) if part == "store" else broken
    with pytest.raises(Killed):
        await rounds(two.forwarder(store=broken if part == "store" else None, outbox=mute))
    two.clock.advance(11.0)  # its claim has lapsed
    await rounds(two.forwarder(), 8)
    assert len(await two.stored()) == 2


async def test_a_job_that_is_over_and_removed_does_not_come_again(two: Two) -> None:
    class Killed(BaseException):
        pass

    job = new()
    await two.commit(job)
    with pytest.raises(Killed):
        await two.forwarder(outbox=Broken(two.outbox, "finish", after=False, error=Killed())).run_once()
    await two.store.jobs.cancel(job.id)
    await two.store.jobs.delete(job.id)
    assert await two.stored() == []
    two.clock.advance(11.0)
    await rounds(two.forwarder(), 6)
    assert await two.stored() == []


async def test_a_store_that_does_not_answer_leaves_the_rows_due(two: Two) -> None:
    await two.commit(new())
    down = Broken(two.store, "enqueue", after=False, error=StoreUnreachable("down"))
    for _ in range(3):
        with pytest.raises(StoreUnreachable):
            await two.forwarder(store=down).run_once()
    await rounds(two.forwarder())
    assert len(await two.stored()) == 1


async def test_forwarders_at_once_move_each_job_once(two: Two) -> None:
    jobs = [new() for _ in range(250)]
    await two.commit(*jobs)
    await asyncio.gather(*(rounds(two.forwarder(), 5) for _ in range(4)))
    assert sorted(job.id for job in await two.stored()) == sorted(job.id for job in jobs)


async def test_a_unique_key_that_is_taken_drops_its_own_job_and_no_other(two: Two) -> None:
    await two.store.jobs.enqueue([new(unique=Unique("one", on_conflict="raise"))])
    await two.commit(new(unique=Unique("one", on_conflict="raise")), new(), new(unique=Unique("one")))
    await rounds(two.forwarder())
    assert len(await two.stored()) == 2


async def test_a_row_that_keeps_no_job_becomes_a_dead_letter_of_the_outbox(two: Two) -> None:
    broken = NewJob(JobID.new(), NAME, b"{", queue=NAME)
    await two.outbox.jobs.enqueue([broken])
    await two.commit(new())
    await rounds(two.forwarder())
    assert len(await two.stored()) == 1
    assert [entry.job_id for entry in (await two.outbox.dlq.list(EntryOptions())).items] == [broken.id]


async def test_workers_of_an_app_move_and_run_what_was_committed(tmp_path: Path) -> None:
    registry, done = Registry(), []

    @registry.job
    async def ship(order: int) -> None:
        done.append(order)

    file = tmp_path / "shop.db"
    config = Config(store="memory://", outbox=f"sqlite:///{file}")
    async with Dispatch(config=config, registry=registry) as app:
        db = sqlite3.connect(file)

        def buy() -> None:
            own = sqlite3.connect(file)
            with own:
                ship.options(connection=own).sync.enqueue(1)
            with pytest.raises(ZeroDivisionError), own:
                ship.options(connection=own).sync.enqueue(2)
                raise ZeroDivisionError

        await app.start()
        await asyncio.to_thread(buy)
        with pytest.raises(NotTransactional):
            await ship.options(connection=object()).enqueue(3)
        await ship.enqueue(4)  # without a connection: no way through the outbox

        async def both() -> bool:
            return len(done) == 2

        await until(both)
        assert sorted(done) == [1, 4]
        db.close()


def test_an_outbox_is_a_sql_database_and_for_stores_that_are_none(tmp_path: Path) -> None:
    sqlite = SQLiteStore(tmp_path / "a.db")
    with pytest.raises(ConfigError, match="leave the outbox out"):
        WithOutbox(sqlite, SQLiteStore(tmp_path / "b.db"))
    with pytest.raises(ConfigError, match="name a SQL database"):
        WithOutbox(MemoryStore(), MemoryStore())
    with pytest.raises(ConfigError, match="leave the outbox out"):
        Dispatch(config=Config(store=f"sqlite:///{tmp_path}/a.db", outbox=f"sqlite:///{tmp_path}/b.db"))
