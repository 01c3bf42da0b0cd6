"""PgBouncer in transaction mode before the tests' PostgreSQL server; a skip where the program is not installed."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from servers.postgres import as_nobody, free_port, missing

_START_LIMIT = 10.0


@contextmanager
def pooler(url: str) -> Iterator[str]:
    """The URL of the server at `url` through a pooler that gives each transaction any of a few connections."""
    binary = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
    if binary is None:
        missing("pgbouncer", "apt-get install pgbouncer")
    assert binary is not None
    server, port = urlsplit(url), free_port()
    folder = Path(tempfile.mkdtemp(prefix="dpb"))
    settings = folder / "pgbouncer.ini"
    settings.write_text(
        f"[databases]\n* = host={server.hostname} port={server.port} user={server.username}\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n"
        "pool_mode = transaction\ndefault_pool_size = 8\nmax_client_conn = 200\n"
    )
    settings.chmod(0o644)
    process = subprocess.Popen([binary, "-q", str(settings)], stdout=subprocess.DEVNULL, **as_nobody(folder))
    try:
        deadline = time.monotonic() + _START_LIMIT
        while not _listens(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("PgBouncer does not start")
            time.sleep(0.02)
        yield f"postgresql://{server.username}@127.0.0.1:{port}{server.path}"
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.5):
        return True
    return False
