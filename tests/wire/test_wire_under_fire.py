"""The server lives through garbage, and through crowds that say nothing."""

from __future__ import annotations

import asyncio
import json
import os
import random
from pathlib import Path
from typing import Any

import msgspec
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from dispatch.wire.methods import METHODS

from .conftest import Place

pytestmark = pytest.mark.proof
FRAMES = 20_000
CROWD = 1_000


def memory() -> int:
    """Bytes that this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Dice:
    """Frames that are right, nearly right, and wrong."""

    def __init__(self, seed: int) -> None:
        self._dice = random.Random(seed)

    def value(self, depth: int = 0) -> Any:
        dice = self._dice
        kind = dice.randrange(9 if depth < 4 else 6)
        match kind:
            case 0:
                return None
            case 1:
                return dice.choice([True, False])
            case 2:
                return dice.choice([0, -1, 2**31, 2**63, 10**30, dice.random() * 1e300])
            case 3:
                return dice.choice(
                    ["", "job_00000000000000000000000000", "*", "\x00", "../../etc", "💣" * 40, "a" * 1000]
                )
            case 4 | 5:
                return dice.choice(["greet", "jobs", "firehose", "queue:mail", "pending", "2030-01-01T00:00:00Z"])
            case 6:
                return [self.value(depth + 1) for _ in range(dice.randrange(4))]
            case _:
                keys = ("name", "payload", "job_id", "run_id", "channel", "limit", "cursor", "after", "credits", "x")
                return {dice.choice(keys): self.value(depth + 1) for _ in range(dice.randrange(5))}

    def frame(self) -> bytes | str:
        dice = self._dice
        if dice.random() < 0.15:
            raw = dice.randbytes(dice.randrange(200))
            return raw if dice.random() < 0.5 else raw.decode("latin-1")
        methods = [*METHODS, "subscribe", "unsubscribe", "auth", "", "x.y"]
        frame: dict[str, Any] = {"type": "request", "id": str(dice.random()), "method": dice.choice(methods)}
        frame["data"] = self.value()
        if dice.random() < 0.3:
            names = ("type", "id", "method", "token", "app_id", "org_id", "error", "channel", "credits", "ts", "data")
            frame[dice.choice(names)] = self.value()
        text = json.dumps(frame)
        if dice.random() < 0.2:
            spot = dice.randrange(len(text))
            text = text[:spot] + dice.choice(["", "}", "[", '"', "\\", "\ud800"]) + text[spot + 1 :]
        try:
            return text if dice.random() < 0.8 else msgspec.msgpack.encode(frame)
        except OverflowError:
            return text


async def _throw(place: Place, dice: Dice, frames: int) -> int:
    """Throws frames until it has; answers how often it was sent away."""
    thrown = sent_away = 0
    while thrown < frames:
        try:
            async with connect(f"ws://{place.host}:{place.port}/dwp", compression=None) as socket:
                hello = {"type": "request", "method": "auth", "data": {"token": place.token}}
                await socket.send(json.dumps(hello))

                async def read(socket: Any = socket) -> None:
                    async for _ in socket:
                        pass

                reader = asyncio.create_task(read())
                try:
                    while thrown < frames:
                        frame = dice.frame()
                        thrown += 1
                        await socket.send(frame.encode("utf-8", "ignore").decode() if isinstance(frame, str) else frame)
                finally:
                    reader.cancel()
        except (ConnectionClosed, OSError):
            sent_away += 1
    return sent_away


async def test_after_20_000_odd_frames_the_server_lives_and_holds_little(place: Place) -> None:
    place.app.logins  # noqa: B018 - built before the memory is looked at
    await _throw(place, Dice(0), 500)
    before = memory()
    await asyncio.gather(*(_throw(place, Dice(seed), FRAMES // 4) for seed in range(1, 5)))
    grown = memory() - before
    async with connect(f"ws://{place.host}:{place.port}/dwp") as socket:
        await socket.send(json.dumps({"type": "request", "id": "1", "method": "auth", "data": {"token": place.token}}))
        assert json.loads(await socket.recv())["type"] == "response"
        await socket.send(json.dumps({"type": "request", "id": "2", "method": "stats"}))
        assert json.loads(await socket.recv())["data"]["jobs"]
    assert grown < 150 * 2**20, f"grown by {grown / 2**20:.0f} MiB"


async def test_a_thousand_idle_clients_cost_little_and_still_hear(place: Place) -> None:
    before = memory()
    sockets = []
    try:
        for _ in range(CROWD):
            socket = await connect(f"ws://{place.host}:{place.port}/dwp", compression=None, ping_interval=None)
            sockets.append(socket)
            await socket.send(
                json.dumps({"type": "request", "id": "1", "method": "auth", "data": {"token": place.token}})
            )
            assert json.loads(await socket.recv())["type"] == "response"
        grown = memory() - before
        for socket in sockets:
            await socket.send(
                json.dumps({"type": "request", "id": "2", "method": "subscribe", "data": {"channel": "jobs"}})
            )
        for socket in sockets:
            assert json.loads(await socket.recv())["type"] == "response"
        await place.app.jobs.enqueue_named("greet", ["ada"])
        async with asyncio.timeout(60):
            for socket in sockets:
                assert json.loads(await socket.recv())["data"]["type"] == "job.enqueued"
        print(f"{CROWD} clients: {grown / CROWD / 1024:.0f} KiB each, both ends together")
        assert grown < CROWD * 400 * 1024
    finally:
        await asyncio.gather(*(socket.close() for socket in sockets))
