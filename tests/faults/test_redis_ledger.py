"""The ledger of a Redis store sees every move of a job in the server's log, and rows that it cannot explain."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from servers.redis import RedisServer

from dispatch.ids import JobID, WorkerID
from dispatch.jobs.model import NewJob, Transition, Verdict
from dispatch.stores.redis import RedisStore

from .redis_ledger import ALWAYS, RedisLedger
from .redis_log import AppendOnlyLog


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    """A server that has on disk what it answers."""
    made = RedisServer(*ALWAYS)
    yield made
    made.close()


async def live(store: RedisStore) -> str:
    """A job is enqueued, claimed, tried again, claimed, stolen, claimed and completed."""
    me, other = WorkerID.new(), WorkerID.new()
    (enqueued,) = await store.jobs.enqueue([NewJob(JobID.new(), "send", b'{"serial": "one"}')])

    async def claim(worker: WorkerID, lease: float) -> Any:
        (job,) = (await store.jobs.claim(worker, queues={"default": 1}, names=["send"], limit=1, lease=lease)).jobs
        return job

    job = await claim(me, 30)
    await store.jobs.finish(me, [Transition(job.id, job.epoch, Verdict.SNOOZE)])
    await claim(me, -1)
    await store.jobs.steal(limit=1, max_crashes=3, delays=[0.0])
    job = await claim(other, 30)
    await store.jobs.finish(other, [Transition(job.id, job.epoch, Verdict.COMPLETE)])
    return str(enqueued.id)


async def test_every_move_is_in_the_log_and_the_rows_are_what_it_makes_of_them(server: RedisServer) -> None:
    store = RedisStore(server.url, namespace="moves")
    await store.open()
    ledger = RedisLedger(server, audit=lambda url, namespace: None, namespace="moves")
    ledger.write_down()
    job = await live(store)
    dump = ledger.dump()
    assert [move.act for move in dump.moves] == ["claim", "release", "claim", "steal", "claim", "complete"]
    assert [(row.id, row.state, row.serial, row.crashes) for row in dump.jobs] == [(job, "completed", "one", 1)]
    assert dump.integrity == "ok" and ledger.unfinished() == 0
    (thief,) = (move.old_worker for move in dump.moves if move.act == "steal")
    assert ledger.robbed(str(thief)) == {job}
    await store.jobs.delete(JobID(job))
    assert ledger.dump().moves[-1].act == "delete"
    await store.close()


async def test_an_index_that_disagrees_is_told(server: RedisServer) -> None:
    def audit(url: str, namespace: str) -> None:
        raise AssertionError(f"{namespace} is not what it should be")

    store = RedisStore(server.url, namespace="audited")
    await store.open()
    assert RedisLedger(server, audit=audit, namespace="audited").dump().integrity == "audited is not what it should be"
    await store.close()


def test_half_a_portion_waits_for_its_other_half(tmp_path: Path) -> None:
    file = tmp_path / "appendonly.aof.1.incr.aof"
    hset = b"*4\r\n$4\r\nHSET\r\n$1\r\nj\r\n$2\r\nst\r\n$1\r\nP\r\n"
    file.write_bytes(b"#TS:1\r\n" + hset + b"*1\r\n$5\r\nMULTI\r\n" + hset)
    log = AppendOnlyLog(tmp_path)
    change = [b"HSET", b"j", b"st", b"P"]
    assert list(log.portions()) == [[change]]
    assert list(log.portions()) == []
    with file.open("ab") as more:
        more.write(hset + b"*1\r\n$4\r\nEXEC\r\n" + hset[:20])
    assert list(log.portions()) == [[change, change]]
