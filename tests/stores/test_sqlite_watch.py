"""Hearing of writes: what another process commits shows without looking at the file again and again."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from dispatch.stores import sqlite_wakeups
from dispatch.stores.sqlite import SQLiteStore
from dispatch.stores.sqlite_wakeups import Channel
from dispatch.stores.sqlite_watch import FileWatch

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="inotify is a part of Linux")

_TOUCH = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('CREATE TABLE touched (n)'); c.commit()"


def test_a_write_is_heard_once_and_a_look_is_not(tmp_path: Path) -> None:
    file = tmp_path / "log"
    file.touch()
    watch = FileWatch(str(file))
    assert watch.arm()
    file.read_bytes()
    assert not watch.wait(0)
    file.write_bytes(b"news")
    assert watch.wait(5)
    assert not watch.wait(0)
    watch.close()


def test_a_file_that_is_not_there_cannot_be_watched(tmp_path: Path) -> None:
    watch = FileWatch(str(tmp_path / "absent"))
    assert not watch.arm()
    watch.close()


async def test_a_commit_of_another_process_wakes_although_nobody_looks_unasked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_wakeups, "_BETWEEN_UNHEARD", 3600)
    store = SQLiteStore(tmp_path / "store.db", migrate="auto")
    await store.open()
    try:
        seen = store.wakeups.version
        waiting = asyncio.create_task(store.wakeups.wait(seen, 20))
        (channel,) = [channel for path, channel in Channel._all.items() if path.startswith(str(tmp_path))]
        while not channel._polling:
            await asyncio.sleep(0)
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", _TOUCH, str(tmp_path / "store.db"))
        assert await process.wait() == 0
        assert await waiting > seen
    finally:
        await store.close()


def test_without_the_watch_the_file_is_looked_at_instead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str) -> FileWatch:
        raise OSError(24, "too many watches")

    monkeypatch.setattr(sqlite_wakeups, "FileWatch", refuse)
    path = tmp_path / "plain.db"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA journal_mode = WAL")

    async def wait() -> int:
        channel = Channel.join(str(path))
        waiting = asyncio.create_task(channel.wait(0, 20))
        while not channel._polling:
            await asyncio.sleep(0)
        subprocess.run([sys.executable, "-c", _TOUCH, str(path)], check=True)
        try:
            return await waiting
        finally:
            channel.leave()

    assert asyncio.run(wait()) > 0
    connection.close()


class _Silent:
    """A watch that never hears anything, and notes how long it was asked to listen."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    def arm(self) -> bool:
        return True

    def wait(self, seconds: float) -> bool:
        self.waits.append(seconds)
        return False

    def close(self) -> None:
        pass


def test_after_a_change_it_looks_again_for_what_was_heard_of_together_with_it() -> None:
    watch = _Silent()
    pace = sqlite_wakeups._Heard(watch)
    pace.rest(changed=True, since_change=0.0)
    for _ in range(7):
        pace.rest(changed=False, since_change=0.0)
    assert watch.waits == [0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, sqlite_wakeups._BETWEEN_UNHEARD]
