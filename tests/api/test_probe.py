"""The probe over a real socket: codes, bodies, any Host, errors that teach."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from typing import Any

import pytest

from dispatch.api.probe import probe
from dispatch.errors import ConfigError, MissingExtra


async def get(port: int, path: str, *, host: str = "probe", method: str = "GET") -> tuple[int, Any]:
    """Status and body of a request."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    code = int(head.split()[1])
    return code, json.loads(body) if body and code in (200, 503) and method == "GET" else None


async def test_healthz_says_whether_it_lives_and_readyz_whether_it_is_ready() -> None:
    health: dict[str, Any] = {"live": True, "ready": False, "reasons": ["starting"]}
    async with probe("127.0.0.1", 0, lambda: health) as (_, port):
        assert await get(port, "/healthz") == (200, health)
        assert await get(port, "/readyz") == (503, health)
        health.update(ready=True, reasons=[])
        assert await get(port, "/readyz", host="anything.example:99") == (200, health)
        assert (await get(port, "/readyz", method="HEAD"))[0] == 200
        health.update(live=False, ready=False)
        assert (await get(port, "/healthz"))[0] == 503
        assert (await get(port, "/nothing"))[0] == 404
        assert (await get(port, "/healthz", method="POST"))[0] == 405
    with pytest.raises(ConnectionRefusedError):
        await get(port, "/healthz")


async def test_a_taken_port_is_an_error_that_names_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"127.0.0.1:{port}: .*choose another"):
            async with probe("127.0.0.1", port, dict):
                raise AssertionError


async def test_without_the_server_packages_the_error_has_the_install_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(MissingExtra, match=r"pip install 'dispatch-tasks\[server\]'"):
        async with probe("127.0.0.1", 0, dict):
            raise AssertionError
