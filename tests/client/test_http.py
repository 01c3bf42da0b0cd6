"""What a server elsewhere may do to a request: take its time, and never end its answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from dispatch_cli.remote.link import Link

from dispatch.client import http
from dispatch.client.errors import RequestTimeout, ServerFailed
from dispatch.client.http import HTTPClient

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def answering(answer: Answer) -> AsyncIterator[str]:
    """A server that answers each request in that way."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            await answer(writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def begin(writer: asyncio.StreamWriter, length: int) -> None:
    writer.write(f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n".encode())
    await writer.drain()


async def test_an_answer_that_drips_is_not_waited_for_without_end() -> None:
    async def drip(writer: asyncio.StreamWriter) -> None:
        await begin(writer, 10_000)
        for _ in range(10_000):
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.05)

    async with answering(drip) as url, HTTPClient(url, timeout=0.3) as client:
        with pytest.raises(RequestTimeout, match="no answer from"):
            await client.ask("GET", "/v1/jobs")


async def test_an_answer_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "_LARGEST", 1 << 20)

    async def flood(writer: asyncio.StreamWriter) -> None:
        await begin(writer, 1 << 40)
        while True:
            writer.write(b" " * 65_536)
            await writer.drain()

    async with answering(flood) as url, HTTPClient(url, timeout=20) as client:
        with pytest.raises(ServerFailed, match="more than 1 MiB"):
            await client.ask("GET", "/v1/jobs")


async def test_a_page_that_comes_again_ends_the_walk() -> None:
    body = b'{"items": [], "next_cursor": "same"}'

    async def again(writer: asyncio.StreamWriter) -> None:
        await begin(writer, len(body))
        writer.write(body)
        await writer.drain()

    async with answering(again) as url, HTTPClient(url) as client:
        page = await Link(client).page("/v1/dlq", str)
        with pytest.raises(ServerFailed, match="the page after this one is this one"):
            await Link(client).page("/v1/dlq", str, cursor=page.next_cursor)
