"""A MariaDB server for tests: DISPATCH_TEST_MYSQL_URL, else the system's mariadbd."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from functools import cache
from pathlib import Path

from servers.postgres import free_port, missing

_SHARE = Path("/usr/share/mysql")
_SYSTEM = ("mysql_system_tables.sql", "mysql_performance_tables.sql", "mysql_system_tables_data.sql")
_START_LIMIT = 60.0
_QUICK = (
    "innodb-flush-log-at-trx-commit=0",
    "innodb-doublewrite=0",
    "innodb-file-per-table=0",
    "innodb-flush-method=nosync",
    "sync-frm=0",
)
_SMALL = (
    *("innodb-log-file-size=16M", "innodb-data-file-path=ibdata1:4M:autoextend"),
    *("innodb-buffer-pool-size=64M", "key-buffer-size=1M", "performance-schema=OFF"),
)
DATABASE = "dispatch_tests"


@cache
def mysql_url() -> str:
    """The URL of a database for this process, for SQLAlchemy's asyncmy: quick, and of no use after a power cut."""
    given = os.environ.get("DISPATCH_TEST_MYSQL_URL")
    if given:
        return given
    server = Server()
    atexit.register(server.close)
    return server.url


def forget(namespace: str) -> None:
    """Removes what a test has left there."""
    from dispatch.stores.sqlalchemy import drop

    asyncio.run(drop(mysql_url(), namespace))


class Server:
    """A private server with a folder of its own; skips the test where there is no mariadbd."""

    def __init__(self, *, settings: tuple[str, ...] = _QUICK) -> None:
        self._binary = shutil.which("mariadbd") or shutil.which("mariadbd", path="/usr/sbin:/usr/local/sbin") or ""
        if not self._binary or not (_SHARE / _SYSTEM[0]).exists():
            missing("mysql", "apt-get install mariadb-server-core, or set DISPATCH_TEST_MYSQL_URL")
        self._folder = Path(tempfile.mkdtemp(prefix="dmy"))  # short: it holds a socket
        self._settings = settings
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        try:
            self._bootstrap()
            self.start()
        except BaseException:
            self.close()
            raise

    @property
    def url(self) -> str:
        return f"mysql+asyncmy://root@127.0.0.1:{self.port}/{DATABASE}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Starts it (again) and waits until it answers."""
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *self._command(),
                    *("--bind-address=127.0.0.1", f"--port={self.port}", f"--socket={self._folder / 's'}"),
                    *("--max-connections=300", "--skip-name-resolve", f"--pid-file={self._folder / 'pid'}"),
                    *(f"--{setting}" for setting in self._settings),
                ],
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + _START_LIMIT
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"MariaDB does not start: {(self._folder / 'log').read_text()[-2000:]}")
            time.sleep(0.02)

    def stop(self, how: signal.Signals = signal.SIGKILL) -> None:
        """SIGTERM: in order; SIGKILL: as in a crash."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(how)
            self._process.wait(30)

    def close(self) -> None:
        """Stops it and removes its folder."""
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _command(self) -> list[str]:
        user = ["--user=root"] if os.geteuid() == 0 else []
        return [
            *(self._binary, "--no-defaults", *user, f"--datadir={self._folder / 'data'}"),
            *(f"--{setting}" for setting in _SMALL),
        ]

    def _bootstrap(self) -> None:
        (self._folder / "data").mkdir()
        texts = [(_SHARE / name).read_text() for name in _SYSTEM]
        script = "\n".join(["CREATE DATABASE mysql;", "USE mysql;", *texts, f"CREATE DATABASE {DATABASE};", ""])
        made = subprocess.run([*self._command(), "--bootstrap"], input=script.encode(), capture_output=True)
        if made.returncode:
            raise RuntimeError(f"mariadbd --bootstrap fails: {made.stderr.decode()[-2000:]}")

    def _answers(self) -> bool:
        """Whether it greets: the first packet of a server that lets clients in names its version."""
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 0.5) as wire:
            return wire.recv(5)[4:] == b"\n"
        return False
