"""Wake-ups on SQLite: own writes tell at once; those of other processes show in `PRAGMA data_version`, looked at by a
thread that exists only while somebody waits, after each write to the log where the system tells of them."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
import time
from pathlib import Path
from typing import ClassVar

from dispatch.stores import sqlite_forks
from dispatch.stores.sqlite_watch import FileWatch, Watch

_SHORTEST_PAUSE = 0.002
_LONGEST_PAUSE = 0.025
_PATIENCE = 1 / 8
"""Share of the time since the last change that goes by before the next look: changes come in bunches."""
_LINGER = 1.0
_FIRST_LOOK = 0.0005
"""A commit shows some time after its write to the log: only then it is synchronised and published."""
_LAST_LOOK = 0.128
_BETWEEN_UNHEARD = 0.25
"""Looks this often although no write was heard of: there are file systems that do not tell."""

_Waiter = tuple[asyncio.AbstractEventLoop, "asyncio.Future[None]"]


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


class Channel:
    """All stores of this process on one file share one: its version, its waiters, its polling thread."""

    _all: ClassVar[dict[str, Channel]] = {}
    _registry_lock: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self, path: str) -> None:
        self.path = path
        self.version = 0
        self._users = 0
        self._lock = threading.Lock()
        self._waiters: set[_Waiter] = set()
        self._polling = False
        self._last_change = 0.0
        self._looking = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._seen: int | None = None

    @classmethod
    def join(cls, path: str) -> Channel:
        """The channel of the file, kept until everybody who joined has left."""
        with cls._registry_lock:
            channel = cls._all.get(path)
            if channel is None:
                channel = cls._all[path] = Channel(path)
                channel._look()
            channel._users += 1
            return channel

    def leave(self) -> None:
        with self._registry_lock:
            self._users -= 1
            last = self._users == 0
            if last:
                self._all.pop(self.path, None)
        if last:
            with self._lock:
                idle = not self._polling
            if idle:
                self._disconnect()

    def bump(self) -> None:
        """Says that something changed and wakes whoever waits, on whatever loop."""
        with self._lock:
            self.version += 1
            self._last_change = time.monotonic()
            waiters, self._waiters = self._waiters, set()
        for loop, future in waiters:
            try:
                loop.call_soon_threadsafe(_settle, future)
            except RuntimeError:  # that loop has been closed; nobody waits there any more
                continue

    async def wait(self, seen: int, timeout: float) -> int:
        loop = asyncio.get_running_loop()
        waiter = (loop, loop.create_future())
        with self._lock:
            if self.version != seen or timeout <= 0:
                return self.version
            self._waiters.add(waiter)
            start = not self._polling
            self._polling = True
        if start:
            threading.Thread(target=self._poll, name=f"dispatch-wakeups {self.path}", daemon=True).start()
        try:
            await asyncio.wait([waiter[1]], timeout=timeout)
        finally:
            with self._lock:
                self._waiters.discard(waiter)
        return self.version

    def _poll(self) -> None:
        alone_since: float | None = None
        pace = _pace(self.path)
        try:
            while True:
                changed = self._look()
                if changed:
                    self.bump()
                now = time.monotonic()
                with self._lock:
                    alone_since = None if self._waiters else alone_since or now
                    if alone_since is not None and (self._users == 0 or now - alone_since > _LINGER):
                        self._polling = False
                        break
                    since = now - self._last_change
                pace.rest(changed, since)
        finally:
            pace.close()
        if self._users == 0:
            self._disconnect()

    def _look(self) -> bool:
        """Whether another connection changed the file since the last look."""
        with self._looking:
            return self._look_alone()

    def _look_alone(self) -> bool:
        try:
            if self._connection is None:
                self._connection = sqlite3.connect(
                    Path(self.path).as_uri() + "?mode=ro", uri=True, isolation_level=None, check_same_thread=False
                )
                sqlite_forks.opened(self.path, self._looking)
            version = self._connection.execute("PRAGMA data_version").fetchone()[0]
        except sqlite3.Error:  # hints may fail: polling by the workers is the truth, and the next look tries again
            self._disconnect()
            return False
        changed, self._seen = version != self._seen and self._seen is not None, version
        return changed

    def _disconnect(self) -> None:
        connection, self._connection, self._seen = self._connection, None, None
        if connection is not None:
            sqlite_forks.closed(self._looking)
            connection.close()


class _Steady:
    """Between two looks: the longer nothing has changed, the longer the pause."""

    def rest(self, changed: bool, since_change: float) -> None:
        time.sleep(min(max(_SHORTEST_PAUSE, since_change * _PATIENCE), _LONGEST_PAUSE))

    def close(self) -> None:
        pass


class _Heard:
    """Between two looks where writes are heard of: some looks soon after each write, else hardly any."""

    def __init__(self, watch: Watch) -> None:
        watch.arm()
        self._watch = watch
        self._next = _FIRST_LOOK

    def rest(self, changed: bool, since_change: float) -> None:
        if changed:  # another write, heard of together with this one, may not show yet
            self._next = _SHORTEST_PAUSE
            time.sleep(_SHORTEST_PAUSE)
        if not self._watch.arm():
            time.sleep(_LONGEST_PAUSE)
        elif self._watch.wait(self._next if self._next <= _LAST_LOOK else _BETWEEN_UNHEARD):
            self._next = _FIRST_LOOK
            time.sleep(_FIRST_LOOK)
        else:
            self._next *= 2

    def close(self) -> None:
        self._watch.close()


def _pace(path: str) -> _Steady | _Heard:
    try:
        return _Heard(FileWatch(path + "-wal"))
    except OSError:
        return _Steady()


def _forget_all() -> None:
    """A forked process has none of its parent's threads and must not touch its connections."""
    Channel._registry_lock = threading.Lock()
    _inherited.extend(Channel._all.values())
    Channel._all.clear()


_inherited: list[Channel] = []
"""Kept, so that no connection of the parent is closed here."""
os.register_at_fork(after_in_child=_forget_all)


class SQLiteWakeups:
    """The wakeups part of one store."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._channel: Channel | None = None
        self._last = 0

    def open(self) -> None:
        if self._channel is None:
            self._channel = Channel.join(self._path)

    def close(self) -> None:
        channel, self._channel = self._channel, None
        if channel is not None:
            channel.bump()
            self._last = channel.version
            channel.leave()

    def bump(self) -> None:
        if self._channel is not None:
            self._channel.bump()

    @property
    def version(self) -> int:
        """Rises whenever somebody may have changed the store."""
        return self._last if self._channel is None else self._channel.version

    async def wait(self, seen: int, timeout: float) -> int:
        """Waits until `version` differs from `seen`, at most `timeout` seconds; answers the version now."""
        if self._channel is None:
            return self.version
        return await self._channel.wait(seen, timeout)
