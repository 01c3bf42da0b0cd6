"""One frame a request over plain HTTP: every method, and who may call it."""

from __future__ import annotations

from typing import Any

import httpx2
import msgspec
import pytest

from dispatch import access
from dispatch.scope import Scope
from dispatch.wire.methods import METHODS

from .conftest import Place

SHOP = Scope("shop", "t-1")


class Caller:
    """Calls methods with a key."""

    def __init__(self, place: Place, token: str) -> None:
        self._url = f"{place.url}/dwp/rpc"
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    async def frame(self, method: str, data: Any = None, **fields: Any) -> dict[str, Any]:
        async with httpx2.AsyncClient(timeout=30) as http:
            body = {"type": "request", "id": "9", "method": method, "data": {} if data is None else data, **fields}
            answer = await http.post(self._url, json=body, headers=self._headers)
        frame: dict[str, Any] = answer.json()
        assert frame["correl_id"] == "9"
        assert answer.status_code == frame.get("error", {}).get("code", 200)
        return frame

    async def data(self, method: str, data: Any = None, **fields: Any) -> Any:
        frame = await self.frame(method, data, **fields)
        assert frame["type"] == "response", frame
        return frame["data"]

    async def refusal(self, method: str, data: Any = None, **fields: Any) -> tuple[int, str]:
        frame = await self.frame(method, data, **fields)
        assert frame["type"] == "error", frame
        return frame["error"]["code"], frame["error"]["message"]


@pytest.fixture
def caller(place: Place) -> Caller:
    return Caller(place, place.token)


async def test_a_job_is_enqueued_looked_at_and_cancelled(place: Place, caller: Caller) -> None:
    made = await caller.data("job.enqueue", {"name": "greet", "payload": {"name": "ada"}, "delay": 60, "priority": 5})
    assert made["queue"] == "mail" and made["state"] == "pending" and made["created"]
    job = await caller.data("job.get", {"job_id": made["job_id"]})
    assert job["payload"] == {"name": "ada"} and job["priority"] == 5
    assert (await caller.data("job.cancel", {"job_id": made["job_id"]}))["state"] == "cancelled"
    assert (await caller.refusal("job.cancel", {"job_id": made["job_id"]}))[0] == 409
    listed = await caller.data("job.list", {"state": ["cancelled"], "queue": ["mail"]})
    assert [item["id"] for item in listed["items"]] == [made["job_id"]]


async def test_arguments_may_be_a_list_or_json_in_a_text(place: Place, caller: Caller) -> None:
    for payload in (["ada", 2], '{"name": "ada", "times": 2}'):
        made = await caller.data("job.enqueue", {"name": "greet", "payload": payload})
        assert (await caller.data("job.get", {"job_id": made["job_id"]}))["payload"] == {"name": "ada", "times": 2}


async def test_an_idempotency_key_makes_one_job_of_two_requests(caller: Caller) -> None:
    ask = {"name": "greet", "payload": ["ada"], "idempotency_key": "k-1"}
    first, second = await caller.data("job.enqueue", ask), await caller.data("job.enqueue", ask)
    assert first["job_id"] == second["job_id"] and first["created"] and not second["created"]
    assert (await caller.refusal("job.enqueue", {**ask, "payload": ["bob"]}))[0] == 409


async def test_a_run_is_started_told_looked_at_and_replayed(place: Place, caller: Caller) -> None:
    await place.app.start()
    made = await caller.data("workflow.start", {"name": "approve", "input": {"amount": 3}})
    handle = made["run_id"]
    event = await caller.data("workflow.event", {"name": "approved", "payload": {"bonus": 5}, "key": 3})
    assert event["name"] == "approved" and event["event_id"].startswith("evt_")
    run = await place.app.wait_run(handle, 20)
    assert run.result == b"15"
    assert (await caller.data("workflow.get", {"run_id": handle}))["result"] == 15
    steps = await caller.data("workflow.timeline", {"run_id": handle})
    assert steps[0]["step_name"] == "look"
    again = await caller.data("workflow.replay", {"run_id": handle, "from_step": "look"})
    assert again["run_id"] != handle
    assert (await caller.data("workflow.cancel", {"run_id": again["run_id"]}))["run_id"] == again["run_id"]
    names = {item["id"] for item in (await caller.data("workflow.list"))["items"]}
    assert names == {handle, again["run_id"]}


async def test_a_dead_letter_is_listed_and_replayed_once(place: Place, caller: Caller) -> None:
    await place.app.start()
    made = await caller.data("job.enqueue", {"name": "fail"})
    await place.app.wait_job(made["job_id"], 20)
    (letter,) = (await caller.data("dlq.list"))["items"]
    assert (await caller.data("dlq.replay", {"dlq_id": letter["id"]}))["job_id"].startswith("job_")
    assert (await caller.refusal("dlq.replay", {"id": letter["id"]}))[0] == 409
    stats = await caller.data("stats")
    assert stats["jobs"]["failed"] >= 1
    assert (await caller.data("cron.list"))["items"] == []


@pytest.mark.parametrize(
    ("method", "data", "code"),
    [
        ("job.enqueue", {}, 400),
        ("job.enqueue", {"name": "greet", "payload": {"nme": "ada"}}, 400),
        ("job.enqueue", {"name": "greet", "payload": 5}, 400),
        ("job.enqueue", {"name": "greet", "payload": ["ada"], "priority": "high"}, 400),
        ("job.enqueue", {"name": "greet", "payload": ["ada"], "colour": "red"}, 400),
        ("job.enqueue", {"name": "no such name!", "payload": {}}, 400),
        ("job.enqueue", {"name": "greet", "payload": ["x" * 300_000]}, 413),
        ("job.enqueue", {"name": "greet", "payload": ["ada"], "delay": 5, "run_at": "2030-01-01T00:00:00Z"}, 400),
        ("job.enqueue", {"name": "greet", "payload": ["ada"], "run_at": "2030-01-01T00:00:00"}, 400),
        ("job.get", {"job_id": "job_00000000000000000000000000"}, 404),
        ("job.get", {"job_id": "'; DROP TABLE jobs"}, 404),
        ("workflow.get", {"run_id": "job_00000000000000000000000000"}, 404),
        ("workflow.start", {"name": "aprove", "input": {}}, 404),
        ("workflow.event", {"name": "a", "key": "k", "run_id": "run_00000000000000000000000000"}, 400),
        ("dlq.replay", {}, 404),
        ("job.list", {"limit": 0}, 400),
        ("job.list", {"limit": 501}, 400),
        ("job.list", {"state": ["lost"]}, 400),
        ("job.list", {"cursor": "garbage"}, 404),
        ("subscribe", {"channel": "jobs"}, 405),
        ("system.exit", {}, 405),
        ("", {}, 405),
        ("stats", [], 400),
    ],
)
async def test_what_makes_no_sense_is_refused_with_a_reason(caller: Caller, method: str, data: Any, code: int) -> None:
    status, message = await caller.refusal(method, data)
    assert status == code and message


async def test_every_method_needs_its_scope(place: Place) -> None:
    for name, method in METHODS.items():
        assert method.scope in access.SCOPES, name
        others = [scope for scope in access.SCOPES if scope not in ("*", method.scope)]
        status, message = await Caller(place, await place.key(*others)).refusal(name)
        assert status == 403 and method.scope in message


@pytest.mark.parametrize("token", ["", "nonsense", "dk_0000000000000000_" + "0" * 43], ids=["none", "odd", "wrong"])
async def test_without_a_valid_key_everything_is_refused_the_same_way(place: Place, token: str) -> None:
    answers = {await Caller(place, token).refusal(name) for name in METHODS}
    assert answers == {(401, "show a valid API key")}


async def test_a_key_sees_its_tenants_things_only(place: Place, caller: Caller) -> None:
    tenant = Caller(place, await place.key("*", tenant=SHOP))
    theirs = await caller.data("job.enqueue", {"name": "greet", "payload": ["ada"]})
    own = await tenant.data("job.enqueue", {"name": "greet", "payload": ["bob"]})
    for method in ("job.get", "job.cancel"):
        assert (await tenant.refusal(method, {"job_id": theirs["job_id"]}))[0] == 404
    assert [item["id"] for item in (await tenant.data("job.list"))["items"]] == [own["job_id"]]
    assert (await tenant.data("job.get", {"job_id": own["job_id"]}))["scope"] == {"app_id": "shop", "org_id": "t-1"}
    assert (await tenant.data("stats"))["jobs"]["pending"] == 1
    assert (await tenant.refusal("stats", app_id="shop", org_id="t-2"))[0] == 403
    assert await tenant.data("stats", app_id="shop", org_id="t-1")


async def test_msgpack_is_answered_in_msgpack(place: Place) -> None:
    body = msgspec.msgpack.encode({"type": "request", "id": "1", "method": "stats", "token": place.token})
    async with httpx2.AsyncClient(timeout=30) as http:
        answer = await http.post(f"{place.url}/dwp/rpc", content=body, headers={"Content-Type": "application/msgpack"})
    assert answer.headers["content-type"] == "application/msgpack"
    assert msgspec.msgpack.decode(answer.content)["data"]["jobs"]["pending"] == 0


async def test_other_requests_than_a_posted_frame_are_refused(place: Place) -> None:
    async with httpx2.AsyncClient(timeout=30, base_url=place.url) as http:
        assert (await http.get("/dwp/rpc")).status_code == 405
        assert (await http.post("/dwp/rpc", content=b"{}")).status_code == 400
        assert (
            await http.post("/dwp/rpc", json={"type": "request"}, headers={"Origin": "http://evil"})
        ).status_code == 403
        assert (await http.post("/dwp/rpc", json={"type": "ping"}, headers={"Host": "evil.example"})).status_code == 400
        assert (await http.post("/dwp/rpc", json={"data": "x" * 1_100_000})).status_code == 413
        assert (await http.post("/dwp/elsewhere", json={})).status_code == 404


async def test_what_fails_inside_tells_the_client_nothing(
    place: Place, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("password=hunter2 at /srv/secret.py")

    monkeypatch.setattr(place.app.jobs, "count", broken)
    status, message = await caller.refusal("stats")
    assert status == 500 and "hunter2" not in message and "secret" not in message
