"""The API does what its OpenAPI document says, whatever it is sent: a served store, three kinds of callers."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from dispatch import Dispatch
from dispatch.access import EVERYTHING
from dispatch.api import API
from dispatch.config import Config
from dispatch.registry import Registry
from tests.api.world import OURS, seed

schemathesis = pytest.importorskip("schemathesis", reason="the extra `test` brings it")

QUICK, WHOLE = 1, 18
"""Requests of each principal to each route."""
NEVER_ENDS = "/v1/stream"
ROOT = Path(__file__).parents[2]


@dataclass
class Served:
    """A server in a process of its own."""

    url: str
    keys: dict[str, str]
    ids: dict[str, str]
    document: dict[str, Any]
    statuses: Counter[int] = field(default_factory=Counter)


async def _prepare(url: str) -> tuple[dict[str, str], dict[str, str], dict[str, Any]]:
    async with Dispatch(url, config=Config(), registry=Registry()) as app:
        ids = await seed(app)
        keys = {
            "everything": (await app.keys.create("everything", scopes=[EVERYTHING])).token,
            "a tenant": (await app.keys.create("tenant", scopes=[EVERYTHING], scope=OURS)).token,
            "little": (await app.keys.create("little", scopes=["job:read", "dlq:write"])).token,
        }
        return ids, keys, API(app).openapi()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("served")
    url = f"sqlite:///{folder}/dispatch.db"
    ids, keys, document = asyncio.run(_prepare(url))
    path = os.pathsep.join([str(ROOT), str(ROOT / "cli"), str(ROOT / "plugins"), os.environ.get("PYTHONPATH", "")])
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DISPATCH_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "dispatch_cli", "serve", "--port", "0", "--store", url],
        cwd=folder,
        env={**environment, "PYTHONPATH": path},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        started = next(json.loads(line) for line in process.stderr if line.startswith("{") and "http_started" in line)
        rest = threading.Thread(target=process.stderr.read)
        rest.start()
        yield Served(f"http://127.0.0.1:{started['port']}", keys, ids, document)
    finally:
        process.terminate()
        process.wait(20)
        rest.join(20)
        process.stderr.close()


def bombard(served: Served, examples: int, *, callers: Collection[str] = ()) -> list[str]:
    """Sends that many requests of each caller (default: all) to each route; answers what went against the document."""
    wrong: dict[str, None] = {}
    schema = schemathesis.openapi.from_dict(served.document)
    modes = list(schemathesis.GenerationMode)
    for found in schema.get_all_operations():
        operation = found.ok()
        if operation.path == NEVER_ENDS:
            continue
        for who in callers or served.keys:
            token = served.keys[who]
            cases = st.one_of(*(operation.as_strategy(generation_mode=mode) for mode in modes))
            headers = {"Authorization": f"Bearer {token}"}
            _send(served, cases, headers, examples, wrong, who)
    return [*wrong]


def _send(served: Served, cases: Any, headers: dict[str, str], examples: int, wrong: dict[str, None], who: str) -> None:
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases, real=st.booleans())
    def one(case: Any, real: bool) -> None:
        if real and case.path_parameters:
            case.path_parameters = {name: served.ids.get(name, value) for name, value in case.path_parameters.items()}
        response = case.call(base_url=served.url, headers=headers, allow_redirects=False, timeout=40)
        served.statuses[response.status_code] += 1
        label = f"{case.operation.label} as {who}"
        if response.status_code >= 500:
            wrong[f"{label}: {response.status_code} {response.text[:300]}"] = None
            return
        try:
            case.operation.validate_response(response)
        except Exception as error:
            wrong[f"{label}: {response.status_code} {str(error)[:600]}"] = None
        documented = {*served.document["paths"][case.operation.path][case.operation.method.lower()]["responses"]}
        if str(response.status_code) not in documented | {"405"}:
            wrong[f"{label}: {response.status_code} is documented nowhere: {response.text[:300]}"] = None

    one()


@pytest.mark.timeout(240)
def test_a_few_requests_to_each_route_find_nothing_against_the_document(served: Served) -> None:
    assert bombard(served, QUICK, callers=["everything"]) == []


@pytest.mark.proof
def test_four_thousand_requests_find_nothing_against_the_document(served: Served) -> None:
    served.statuses.clear()
    assert bombard(served, WHOLE) == []
    assert served.statuses.total() >= 4000
    assert {200, 201, 204, 403, 404, 422} <= {*served.statuses}
