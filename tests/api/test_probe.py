"""The probe over a real socket: codes, bodies, any Host, errors that teach."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from collections.abc import Sequence
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from dispatch import testing
from dispatch.api.metrics import PrometheusText
from dispatch.api.probe import probe
from dispatch.errors import ConfigError, MissingExtra
from dispatch.registry import Registry
from dispatch.services.scale import Demand


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


async def answer(port: int, path: str) -> tuple[int, str, str]:
    """Status, head and body of a request, as text."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: probe\r\nConnection: close\r\n\r\n".encode())
    head, _, body = (await reader.read()).decode().partition("\r\n\r\n")
    writer.close()
    return int(head.split()[1]), head, body


async def test_metrics_are_what_an_app_has_measured_as_prometheus_reads_them() -> None:
    found = PrometheusText()
    registry = Registry()

    @registry.job(queue="mails")
    async def mail() -> None: ...

    async with testing.app(registry, meter_provider=found.provider) as app:
        await mail.enqueue()
        await app.run_until_idle()
        async with probe("127.0.0.1", 0, dict, found.text) as (_, port):
            code, head, body = await answer(port, "/metrics")
    found.provider.shutdown()
    assert (code, "content-type: text/plain; version=0.0.4" in head) == (200, True)
    samples = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(body)
        for sample in family.samples
    }
    labels = (("name", "mail"), ("queue", "mails"))
    assert samples["dispatch_job_completed_total", *labels] == 1
    assert samples["dispatch_job_duration_seconds_count", *labels, ("state", "completed")] == 1
    assert "job_0" not in body


async def test_without_measurements_metrics_say_why() -> None:
    def refuse() -> bytes:
        raise MissingExtra("/metrics needs pip install 'dispatch-tasks[prometheus]'")

    for measure, text in ((None, "without -p"), (refuse, "dispatch-tasks[prometheus]")):
        async with probe("127.0.0.1", 0, dict, measure) as (_, port):
            code, _, body = await answer(port, "/metrics")
            assert code == 404 and text in body


def test_without_the_exporter_the_error_has_the_install_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.prometheus", None)
    with pytest.raises(MissingExtra, match=r"dispatch-tasks\[prometheus\]"):
        PrometheusText()


async def test_scale_says_how_many_workers_the_backlog_calls_for() -> None:
    asked: list[tuple[int | None, list[str]]] = []

    async def demand(slots: int | None, queues: Sequence[str]) -> Demand:
        asked.append((slots, [*queues]))
        return Demand(3, 25, slots or 10)

    health = {"live": True, "ready": True}
    async with probe("127.0.0.1", 0, lambda: health, demand=demand) as (_, port):
        assert await get(port, "/scale") == (200, {"desired": 3, "runnable": 25, "slots": 10})
        assert await get(port, "/scale?slots=5&queue=a&queue=b") == (200, {"desired": 3, "runnable": 25, "slots": 5})
        assert asked == [(None, []), (5, ["a", "b"])]
        for wrong in ("0", "-1", "x", "1000000"):
            assert (await get(port, f"/scale?slots={wrong}"))[0] == 422
    async with probe("127.0.0.1", 0, lambda: health) as (_, port):
        assert (await get(port, "/scale"))[0] == 404


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


async def test_who_sends_half_a_request_is_cut_off_and_the_probe_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dispatch.api.probe._PATIENCE", 0.05)
    health: dict[str, Any] = {"live": True, "ready": True, "reasons": []}
    async with probe("127.0.0.1", 0, lambda: health) as (_, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /hea")
        async with asyncio.timeout(10):
            assert await ended(reader) == b""
        writer.close()
        assert await get(port, "/healthz") == (200, health)


async def test_open_connections_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dispatch.api.probe._CONNECTIONS", 2)
    async with probe("127.0.0.1", 0, lambda: {"live": True, "ready": True}) as (_, port):
        idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        async with asyncio.timeout(10):
            assert await ended(reader) == b""
        for _, one in [*idle, (reader, writer)]:
            one.close()


async def test_garbage_is_answered_and_leaves_no_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async with probe("127.0.0.1", 0, lambda: {"live": True, "ready": True}) as (_, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"\0garbage\r\n\r\n")
        assert (await reader.readline()).split()[1] == b"400"
        writer.close()
    assert "Invalid HTTP" not in caplog.text


async def ended(reader: asyncio.StreamReader) -> bytes:
    """What came until the connection was closed, however that was done."""
    try:
        return await reader.read()
    except ConnectionResetError:
        return b""
