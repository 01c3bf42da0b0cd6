"""How many requests a second the wire protocol answers, beside a bare Starlette route of the same process."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time

from dispatch import Dispatch

from .bench import ROOT, Bench
from .measures import Figures
from .work import noop

CONNECTIONS = 8
TURNS = 4
"""How often each kind of request has its turn, so that all meet the same machine."""


def rpc(bench: Bench, *, requests: int) -> Figures:
    """Requests a second of each kind, each connection asking again when it has its answer; and their ratios to bare."""
    path = os.pathsep.join(map(str, [ROOT / "tests", ROOT, ROOT / "cli", ROOT / "plugins"]))
    server = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.beside"],
        env={**os.environ, "PYTHONPATH": path, "DISPATCH_STORE": bench.url, "BENCH_QUEUE": bench.queue},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stdout is not None
        port, token = server.stdout.readline().split()
        return asyncio.run(_measured(bench, int(port), token, requests))
    finally:
        server.terminate()
        server.wait(10)


async def _measured(bench: Bench, port: int, token: str, requests: int) -> Figures:
    async with Dispatch(bench.url):
        job_id = (await noop.options(queue=bench.queue, delay=3600).enqueue()).id
    look = _frame("job.get", {"job_id": job_id})
    kinds = {
        "bare": _request("/bare", look, token),
        "job_get": _request("/dwp/rpc", look, token),
        "job_enqueue": _request("/dwp/rpc", _frame("job.enqueue", {"name": "noop", "queue": bench.queue}), token),
    }
    spent = dict.fromkeys(kinds, 0.0)
    each = max(1, requests // CONNECTIONS // TURNS)
    for _ in range(TURNS):
        for kind, request in kinds.items():
            began = time.perf_counter()
            await asyncio.gather(*(_ask(port, request, each) for _ in range(CONNECTIONS)))
            spent[kind] += time.perf_counter() - began
    rates = {f"{kind}_per_second": each * CONNECTIONS * TURNS / seconds for kind, seconds in spent.items()}
    ratios = {f"{kind}_ratio": spent["bare"] / spent[kind] for kind in kinds if kind != "bare"}
    return {**rates, **ratios}


def _frame(method: str, data: dict[str, object]) -> bytes:
    return json.dumps({"type": "request", "method": method, "data": data}).encode()


def _request(path: str, body: bytes, token: str) -> bytes:
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {token}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def _ask(port: int, request: bytes, times: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(times):
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"the server answered {head.decode()}")
        await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0]))
    writer.close()
    await writer.wait_closed()
