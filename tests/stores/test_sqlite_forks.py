"""What must not pass to forks, what a stopped neighbour may not hold up, and changes of directory."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from dispatch.errors import StoreBusy
from dispatch.ids import JobID
from dispatch.jobs.model import CountOptions, NewJob
from dispatch.stores.sqlite import SQLiteStore
from dispatch.stores.sqlite_gate import Gate

_FORKS_INSIDE_THE_GATE = """
import os, sys, time
from dispatch.stores.sqlite_gate import Gate

gate = Gate(sys.argv[1], timeout=5)
gate.acquire()
child = os.fork()
if child:
    print(child, flush=True)
time.sleep(60)
"""


def test_a_fork_does_not_keep_the_gate_of_a_parent_that_was_killed_in_it(tmp_path: Path) -> None:
    path = str(tmp_path / "jobs.db")
    parent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(_FORKS_INSIDE_THE_GATE), path], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    orphan = int(parent.stdout.readline())
    try:
        parent.kill()
        parent.wait()
        gate = Gate(path, timeout=2)
        gate.acquire()
        gate.close()
    finally:
        os.kill(orphan, signal.SIGKILL)
        parent.stdout.close()


def test_a_beat_behind_a_neighbour_stopped_at_the_beat_file_is_busy_and_not_stuck(tmp_path: Path) -> None:
    gate = Gate(str(tmp_path / "jobs.db"), timeout=0.05, first=True)
    gate.open()
    with (tmp_path / "jobs.db.gate.turn").open("r+b") as file:
        file.write(b"\1")  # it waits, too
    neighbour = os.open(tmp_path / "jobs.db.gate.beat", os.O_RDWR)
    fcntl.flock(neighbour, fcntl.LOCK_EX)
    with pytest.raises(StoreBusy, match="stopped process"):
        gate.acquire()
    os.close(neighbour)
    gate.acquire()
    gate.close()


async def test_a_fork_s_own_store_is_woken_by_its_parent(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "jobs.db")
    await store.open()
    waiting = asyncio.create_task(store.wakeups.wait(store.wakeups.version, 30))
    await asyncio.sleep(0)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        asyncio.events._set_running_loop(None)
        code = 1
        try:
            code = asyncio.run(_woken(tmp_path / "jobs.db", write))
        finally:
            os._exit(code)
    try:
        assert await asyncio.to_thread(os.read, read, 1) == b"w"
        deadline = time.monotonic() + 20
        while not (ended := os.waitpid(child, os.WNOHANG))[0]:
            assert time.monotonic() < deadline
            await store.jobs.enqueue([NewJob(JobID.new(), "work", b"{}")])
        assert os.waitstatus_to_exitcode(ended[1]) == 0
    finally:
        await waiting
        await store.close()
        os.close(read)
        os.close(write)


async def _woken(path: Path, told: int) -> int:
    store = SQLiteStore(path)
    await store.open()
    seen = store.wakeups.version
    os.write(told, b"w")
    return 0 if await store.wakeups.wait(seen, 5) != seen else 1


async def test_what_a_fork_has_stored_outlives_its_parent_s_store(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    store, third, again = (SQLiteStore(path) for _ in range(3))
    await store.open()
    await store.jobs.enqueue([NewJob(JobID.new(), "work", b"{}")])
    to_child, from_child = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        asyncio.events._set_running_loop(None)
        try:
            os.write(from_child[1], asyncio.run(_enqueued_twice(path, from_child[1], to_child[0])).encode())
        finally:
            os._exit(0)
    os.close(from_child[1])
    try:
        assert await asyncio.to_thread(os.read, from_child[0], 1) == b"1"
        await store.close()
        await third.open()  # which finds the file as the parent has left it
        await third.jobs.enqueue([NewJob(JobID.new(), "work", b"{}")])
        await third.close()
        os.write(to_child[1], b"2")
        acknowledged = (await asyncio.to_thread(os.read, from_child[0], 1000)).decode().split()
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        for end in (from_child[0], *to_child):
            os.close(end)
    assert len(acknowledged) == 2
    await again.open()
    try:
        for job_id in acknowledged:
            assert await again.jobs.get(JobID(job_id)) is not None, f"{job_id} is lost"
        assert sum((await again.jobs.count(CountOptions())).values()) == 4
    finally:
        await again.close()


async def _enqueued_twice(path: Path, told: int, go_on: int) -> str:
    """What a fork has enqueued before and after its parent closed the file; it dies with its own store open."""
    store = SQLiteStore(path)
    await store.open()
    ids = [JobID.new(), JobID.new()]
    await store.jobs.enqueue([NewJob(ids[0], "work", b"{}")])
    os.write(told, b"1")
    await asyncio.to_thread(os.read, go_on, 1)
    await store.jobs.enqueue([NewJob(ids[1], "work", b"{}")])
    return " ".join(ids)


async def test_a_sibling_opens_the_same_file_after_a_change_of_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "one")
    store = SQLiteStore("jobs.db")
    await store.open()
    monkeypatch.chdir(tmp_path / "two")
    sibling = store.sibling()
    await sibling.open()
    await sibling.jobs.enqueue([NewJob(job_id := JobID.new(), "work", b"{}")])
    assert await store.jobs.get(job_id) is not None
    await sibling.close()
    await store.close()
    assert list((tmp_path / "two").iterdir()) == []
