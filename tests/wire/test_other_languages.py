"""A client in another language, which has nothing of ours but the page about the protocol."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path

import pytest

from .conftest import Place

_CLIENT = Path(__file__).with_name("client.mjs")
_NODE = shutil.which("node")


@pytest.mark.skipif(_NODE is None, reason="needs Node 20.10 or newer: apt-get install nodejs")
async def test_a_client_in_node_enqueues_watches_and_reads_the_result(place: Place) -> None:
    assert _NODE is not None
    await place.app.start()
    node = await asyncio.create_subprocess_exec(
        _NODE,
        "--experimental-websocket",
        str(_CLIENT),
        f"ws://{place.host}:{place.port}/dwp",
        place.token,
        "ada",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        out, err = await node.communicate()
    assert node.returncode == 0, err.decode()
    found = json.loads(out)
    assert (found["event"], found["state"], found["result"]) == ("job.completed", "completed", "hello ada")
    assert found["refused"].startswith("404 ")
