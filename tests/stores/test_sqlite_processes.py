"""One file, several processes: opening at once, waking each other, beats under load, a kill inside a transaction."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dispatch.errors import StoreBusy
from dispatch.ids import JobID, WorkerID
from dispatch.jobs.model import CountOptions, JobState, NewJob
from dispatch.stores.sqlite import SQLiteStore

pytestmark = pytest.mark.slow

_START = """
import asyncio, sys, time
from dispatch.ids import JobID, WorkerID
from dispatch.jobs.model import NewJob
from dispatch.stores.sqlite import SQLiteStore

def new():
    return NewJob(JobID.new(), "work", b"{}")

def say(word):
    print(word, flush=True)

async def main(store):
"""


class Processes:
    """Python processes that run a body on a store of the same file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.running: list[subprocess.Popen[str]] = []

    def start(self, body: str) -> subprocess.Popen[str]:
        code = (
            _START + textwrap.indent(textwrap.dedent(body), "    ") + "\nasyncio.run(main(SQLiteStore(sys.argv[1])))\n"
        )
        process = subprocess.Popen(
            [sys.executable, "-c", code, str(self.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.running.append(process)
        return process

    async def hear(self, process: subprocess.Popen[str]) -> str:
        assert process.stdout is not None
        line = await asyncio.wait_for(asyncio.to_thread(process.stdout.readline), 20)
        if not line and process.stderr is not None:
            pytest.fail(f"the process ended: {process.stderr.read()}")
        return line.strip()

    def tell(self, process: subprocess.Popen[str], word: str) -> None:
        assert process.stdin is not None
        process.stdin.write(word + "\n")
        process.stdin.flush()

    def stop(self) -> None:
        for process in self.running:
            process.kill()
            process.communicate()


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    made = Processes(tmp_path / "jobs.db")
    yield made
    made.stop()


def check(path: Path) -> None:
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()


async def test_processes_that_open_an_empty_file_at_once_all_succeed(processes: Processes) -> None:
    started = [
        processes.start(
            """
            say("here"); sys.stdin.readline()
            await store.open()
            await store.jobs.enqueue([new()])
            await store.close()
            say("done")
            """
        )
        for _ in range(4)
    ]
    for process in started:
        assert await processes.hear(process) == "here"
    for process in started:
        processes.tell(process, "go")
    for process in started:
        assert await processes.hear(process) == "done"
    store = SQLiteStore(processes.path)
    await store.open()
    assert (await store.jobs.count(CountOptions()))[JobState.PENDING] == 4
    await store.close()
    check(processes.path)


async def test_a_write_of_another_process_wakes_a_waiter(processes: Processes) -> None:
    store = SQLiteStore(processes.path)
    await store.open()
    other = processes.start(
        """
        await store.open()
        say("open")
        for _ in range(5):
            await asyncio.to_thread(sys.stdin.readline)
            await store.jobs.enqueue([new()])
            say(repr(time.monotonic()))
        await asyncio.to_thread(sys.stdin.readline)
        """
    )
    assert await processes.hear(other) == "open"
    delays = []
    for _ in range(5):
        seen = store.wakeups.version
        wait = asyncio.create_task(store.wakeups.wait(seen, 10))
        await asyncio.sleep(0)
        processes.tell(other, "go")
        assert await wait > seen
        woken = time.monotonic()
        delays.append(woken - float(await processes.hear(other)))
    assert min(delays) < 0.05
    await store.close()


async def test_a_change_between_two_waits_is_not_missed(processes: Processes) -> None:
    store = SQLiteStore(processes.path)
    await store.open()
    seen = store.wakeups.version
    other = processes.start('await store.open(); await store.jobs.enqueue([new()]); await store.close(); say("done")')
    assert await processes.hear(other) == "done"
    assert await store.wakeups.wait(seen, 10) > seen
    await store.close()


async def test_a_beat_is_not_starved_by_two_busy_writers(processes: Processes) -> None:
    store = SQLiteStore(processes.path)
    await store.open()
    writers = [
        processes.start(
            """
            await store.open()
            say("open")
            end, count = time.monotonic() + 8, 0
            while time.monotonic() < end:
                await store.jobs.enqueue([new() for _ in range(20)])
                count += 1
                if count == 20: say("busy")
            """
        )
        for _ in range(2)
    ]
    for writer in writers:
        assert await processes.hear(writer) == "open"
    for writer in writers:
        assert await processes.hear(writer) == "busy"
    beat = store.sibling()
    await beat.open()
    worker = WorkerID.new()
    await store.jobs.enqueue([NewJob(JobID.new(), "mine", b"{}") for _ in range(10)])
    claimed = await store.jobs.claim(worker, queues={"default": 10}, names=["mine"], limit=10, lease=30)
    held = [(job.id, job.epoch) for job in claimed.jobs]
    assert len(held) == 10
    longest = 0.0
    for _ in range(100):
        start = time.monotonic()
        assert len((await beat.jobs.renew(worker, held, lease=30)).held) == 10
        longest = max(longest, time.monotonic() - start)
    assert all(writer.poll() is None for writer in writers), "the writers ended before the beats did"
    assert longest < 0.2
    before = (await store.jobs.count(CountOptions()))[JobState.PENDING]
    assert before >= 2 * 20 * 20
    await beat.close()
    await store.close()


async def test_a_kill_inside_a_transaction_leaves_the_file_whole(processes: Processes) -> None:
    store = SQLiteStore(processes.path, busy_timeout=20)
    await store.open()
    await store.jobs.enqueue([NewJob(JobID.new(), "work", b"{}")])
    victim = processes.start(
        """
        from dispatch.stores.sql.enqueue import enqueue
        await store.open()
        def plan():
            yield from enqueue([new() for _ in range(5000)], 1)
            say("inside")
            time.sleep(60)
        await store._executor.run(plan)
        """
    )
    assert await processes.hear(victim) == "inside"
    os.kill(victim.pid, signal.SIGKILL)
    await asyncio.to_thread(victim.wait)
    assert (await store.jobs.enqueue([NewJob(JobID.new(), "work", b"{}")]))[0].created
    assert (await store.jobs.count(CountOptions()))[JobState.PENDING] == 2
    await store.close()
    check(processes.path)


async def test_a_stopped_process_that_holds_the_gate_makes_others_busy_not_stuck(processes: Processes) -> None:
    store = SQLiteStore(processes.path, busy_timeout=0.3)
    await store.open()
    holder = processes.start(
        """
        await store.open()
        def plan():
            if False: yield
            say("inside")
            time.sleep(60)
        await store._executor.run(plan)
        """
    )
    assert await processes.hear(holder) == "inside"
    with pytest.raises(StoreBusy, match="fuser"):
        await store.jobs.enqueue([NewJob(JobID.new(), "work", b"{}")])
    assert (await store.jobs.count(CountOptions()))[JobState.PENDING] == 0
    holder.kill()
    await asyncio.to_thread(holder.wait)
    assert (await store.jobs.enqueue([NewJob(JobID.new(), "work", b"{}")]))[0].created
    await store.close()
