"""A Redis server behind TLS: the loop's connections, those of threads and the listener's speak it, and verify it."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from servers.postgres import free_port, missing
from servers.redis import RedisServer

from dispatch.errors import ConfigError, StoreUnreachable
from dispatch.ids import JobID
from dispatch.jobs.model import NewJob
from dispatch.stores.redis import RedisStore


def new() -> NewJob:
    return NewJob(JobID.new(), "note", b"{}")


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A URL, and the certificate that says who answers there."""
    binary = shutil.which("redis-server")  # what a wheel brings may know nothing of TLS
    if shutil.which("openssl") is None or binary is None:
        missing("redis with TLS", "apt-get install openssl redis-server")
    folder = tmp_path_factory.mktemp("tls")
    key, certificate, port = folder / "key.pem", folder / "cert.pem", free_port()
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    make += ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(make, check=True, capture_output=True)
    settings = ["--tls-port", str(port), "--tls-cert-file", str(certificate), "--tls-key-file", str(key)]
    settings += ["--tls-ca-cert-file", str(certificate), "--tls-auth-clients", "no"]
    server = RedisServer(*settings, binary=binary)
    yield f"rediss://localhost:{port}/0", certificate
    server.close()


async def test_every_connection_speaks_tls(tls: tuple[str, Path]) -> None:
    url, certificate = tls
    store = RedisStore(f"{url}?ssl_ca_certs={certificate}")
    await store.open()
    try:
        assert len(await store.jobs.enqueue([new() for _ in range(450)])) == 450
        seen = store.wakeups.version
        waiting = asyncio.create_task(store.wakeups.wait(seen, 20.0))
        while not waiting.done():
            assert await asyncio.to_thread(store.jobs.enqueue_here, [new()])
            await asyncio.wait([waiting], timeout=0.05)
        assert await waiting > seen
    finally:
        await store.close()


async def test_a_certificate_that_nobody_vouches_for_is_told(tls: tuple[str, Path]) -> None:
    with pytest.raises(StoreUnreachable, match="ssl_ca_certs=") as told:
        await RedisStore(tls[0]).open()
    assert type(told.value) is StoreUnreachable
    store = RedisStore(f"{tls[0]}?ssl_cert_reqs=none")
    await store.open()
    await store.close()


async def test_a_certificate_that_is_not_there_is_a_configuration_error(tls: tuple[str, Path]) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        await RedisStore(f"{tls[0]}?ssl_ca_certs=/nowhere.pem").open()
    with pytest.raises(ConfigError, match="none, optional, required"):
        RedisStore(f"{tls[0]}?ssl_cert_reqs=maybe")
