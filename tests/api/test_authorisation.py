"""Every route and method against every kind of caller: none, wrong, expired, revoked, lower scope, other tenant."""

from __future__ import annotations

import re
from typing import Any

import pytest

from dispatch.access import EVERYTHING, SCOPES
from dispatch.api.guard import ANYBODY, HOLDER
from dispatch.api.routing import Route
from dispatch.api.table import ROUTES
from dispatch.clock import ManualClock
from dispatch.queues import QueueConfig
from dispatch.services.attempts import Failures
from tests.api.world import LESSER, OURS, QUERIES, THEIRS, World, body_of, seed, world

ENDLESS = ("GET /v1/stream",)
"""What is let in goes on and on; its own tests read it."""


def name_of(route: Route) -> str:
    return f"{route.method} {route.path}"


GUARDED = [route for route in ROUTES if route.scope != ANYBODY]
SCOPED = [route for route in GUARDED if route.scope != HOLDER]
_OF_A_TENANT = {"job_id", "run_id", "event_id", "cron", "entry_id"}
ABOUT_ONE = [route for route in SCOPED if not route.shared and _OF_A_TENANT & {*re.findall(r"{(\w+)}", route.path)}]


async def ask(found: World, route: Route, token: str | None) -> Any:
    params = {name: value.format(**found.ids) for name, value in QUERIES.get(name_of(route), {}).items()}
    body = body_of(name_of(route), found.ids)
    return await found.ask(route.method, found.path(route.path), token, json=body, params=params)


def test_the_table_is_what_is_served_and_no_route_stands_in_it_twice() -> None:
    table = [name_of(route) for route in ROUTES]
    assert len(table) == len({*table})


async def test_every_route_that_is_served_is_in_the_table() -> None:
    async with world() as found:
        served = {
            f"{method.upper()} {path}" for path, methods in found.api.openapi()["paths"].items() for method in methods
        }
        assert served == {*map(name_of, ROUTES), "GET /openapi.json"}


async def answers(found: World, routes: list[Route], token: str | None, *, anew: bool = False) -> dict[str, Any]:
    """What each route answers to that token; `anew`: each with things that nobody has touched."""
    answered = {}
    for route in routes:
        if anew:
            found.ids = await seed(found.app)
        answered[name_of(route)] = await ask(found, route, token)
    return answered


def codes(answered: dict[str, Any]) -> set[tuple[int, str, str]]:
    return {
        (answer.status_code, answer.json()["error"]["code"], answer.json()["error"]["message"])
        for answer in answered.values()
    }


async def test_whoever_shows_no_valid_key_gets_the_same_401_from_every_route() -> None:
    clock = ManualClock()
    async with world(clock, failures=Failures(burst=10_000)) as found:
        expired, revoked = await found.key(expires_in=60), await found.key()
        await found.app.keys.revoke(revoked.split("_")[1])
        clock.advance(61)
        good = await found.key()
        altered = good[:-1] + ("a" if good[-1] != "a" else "b")
        for token in (None, "", "nonsense", expired, revoked, altered, f"{good}x"):
            answered = await answers(found, GUARDED, token)
            assert codes(answered) == {(401, "unauthenticated", "show a valid API key: Authorization: Bearer dk_…")}
            assert {answer.headers["www-authenticate"] for answer in answered.values()} == {"Bearer"}


async def test_a_key_with_every_other_scope_is_refused_by_every_route() -> None:
    async with world() as found:
        for scope in LESSER:
            lesser = await found.key(*(other for other in LESSER if other != scope))
            answered = await answers(found, [route for route in SCOPED if route.scope == scope], lesser)
            assert codes(answered) == {(403, "forbidden", f"this key lacks the scope {scope}")}


async def test_a_key_with_the_scope_alone_is_let_in() -> None:
    async with world() as found:
        for scope in LESSER:
            routes = [route for route in SCOPED if route.scope == scope and name_of(route) not in ENDLESS]
            answered = await answers(found, routes, await found.key(scope), anew=True)
            refused = {
                name: answer.text
                for name, answer in answered.items()
                if answer.status_code in (400, 401, 403, 500) or (answer.status_code == 422 and "fork" not in name)
            }
            assert refused == {}


async def test_any_key_is_let_in_where_any_will_do() -> None:
    async with world() as found:
        routes = [route for route in GUARDED if route.scope == HOLDER and route.method == "GET"]
        answered = await answers(found, routes, await found.key("job:read", scope=OURS))
        assert {answer.status_code for answer in answered.values()} == {200}


async def test_what_all_tenants_share_is_refused_to_a_key_of_one() -> None:
    async with world() as found:
        answered = await answers(
            found, [route for route in SCOPED if route.shared], await found.key(EVERYTHING, scope=OURS)
        )
        assert codes(answered) == {(403, "forbidden", "this concerns all tenants, and this key belongs to one")}


async def test_another_tenant_s_thing_does_not_exist() -> None:
    async with world() as found:
        theirs, ours = await found.key(EVERYTHING, scope=THEIRS), await found.key(EVERYTHING, scope=OURS)
        foreign = await answers(found, ABOUT_ONE, theirs)
        assert {name: answer.text for name, answer in foreign.items() if answer.status_code != 404} == {}
        real = dict(found.ids)
        found.ids = {name: f"{value[:-6]}000000" if "_" in value else value for name, value in real.items()}
        absent = await answers(found, ABOUT_ONE, theirs)
        told = {name: answer.json()["error"]["code"] for name, answer in foreign.items()}
        assert told == {name: answer.json()["error"]["code"] for name, answer in absent.items()}
        own = await answers(found, ABOUT_ONE, ours, anew=True)
        assert {name: answer.text for name, answer in own.items() if answer.status_code in (401, 403, 404)} == {}


BULK = [route for route in ROUTES if route.path.endswith(("jobs/cancel", "jobs/delete", "runs/cancel", "dlq/replay"))]


async def test_a_bulk_change_does_not_reach_another_tenant_s_things() -> None:
    async with world() as found:
        theirs, ours = await found.key(EVERYTHING, scope=THEIRS), await found.key(EVERYTHING, scope=OURS)
        for answer in (await answers(found, BULK, theirs, anew=True)).values():
            assert (answer.json()["done"], answer.json()["refused"]) == (0, 1)
            assert answer.json()["items"][0]["error"]["code"].endswith("not_found")
        for answer in (await answers(found, BULK, ours, anew=True)).values():
            assert (answer.json()["done"], answer.json()["refused"]) == (1, 0)


LISTS = ("/v1/jobs", "/v1/workflows/runs", "/v1/events", "/v1/crons", "/v1/dlq")


@pytest.mark.parametrize("path", LISTS)
async def test_a_list_shows_a_tenant_s_own_things_only(path: str) -> None:
    async with world() as found:
        everything = (await found.ask("GET", path, await found.key())).json()["items"]
        assert {item["scope"]["org_id"] for item in everything} == {"ours", "theirs"}
        ours = (await found.ask("GET", path, await found.key(EVERYTHING, scope=OURS))).json()["items"]
        assert {item["scope"]["org_id"] for item in ours} == {"ours"}
        assert len(everything) == 2 * len(ours)


async def test_counts_and_statistics_are_a_tenant_s_own() -> None:
    async with world() as found:
        token = await found.key(EVERYTHING, scope=OURS)
        assert (await found.ask("GET", "/v1/jobs/counts", token)).json()["total"] == 2
        assert (await found.ask("GET", "/v1/jobs/stats", token)).json()["sampled"] == 1
        assert (await found.ask("GET", "/v1/workflows/runs/counts", token)).json()["total"] == 1
        assert (await found.ask("GET", "/v1/dlq/count", token)).json() == {"count": 1}
        assert len((await found.ask("GET", "/v1/dlq/groups", token)).json()["items"]) == 1
        stats = (await found.ask("GET", "/v1/stats", token)).json()
        assert (stats["jobs"]["pending"], stats["dead_letters"], stats["crons"]) == (1, 1, 1)


async def test_what_a_tenant_s_key_makes_is_the_tenant_s_whatever_the_body_says() -> None:
    async with world() as found:
        token = await found.key(EVERYTHING, scope=OURS)
        made = await found.ask("POST", "/v1/jobs", token, json={"name": "add", "payload": {"x": 1}})
        assert made.json()["scope"] == {"app_id": "shop", "org_id": "ours"}
        run = await found.ask("POST", "/v1/workflows/runs", token, json={"name": "checkout", "input": {"order": 1}})
        assert run.json()["scope"] == {"app_id": "shop", "org_id": "ours"}
        cron = await found.ask("POST", "/v1/crons", token, json={"name": "n", "schedule": "@daily", "target": "add"})
        assert cron.json()["scope"] == {"app_id": "shop", "org_id": "ours"}
        event = await found.ask("POST", "/v1/events", token, json={"name": "n"})
        assert event.json()["scope"] == {"app_id": "shop", "org_id": "ours"}
        for forged in ({"scope": {"app_id": "shop", "org_id": "theirs"}}, {"tenant": "shop/theirs"}):
            refused = await found.ask("POST", "/v1/jobs", token, json={"name": "add", **forged})
            assert refused.status_code == 422


async def test_an_explanation_names_no_other_tenant_s_jobs() -> None:
    async with world() as found:
        await found.app.queues.configure(QueueConfig("default", max_concurrency=1))
        worker = (await found.app.workers.list())[0].id
        (held,) = (
            await found.app.store.jobs.claim(worker, queues={"default": 1}, names=["add"], limit=1, lease=60)
        ).jobs
        tenant = OURS if held.scope == THEIRS else THEIRS
        waiting = (await found.ask("GET", "/v1/jobs?state=pending", await found.key(EVERYTHING, scope=tenant))).json()[
            "items"
        ][0]["id"]
        told = await found.ask("GET", f"/v1/jobs/{waiting}/explain", await found.key(EVERYTHING, scope=tenant))
        assert told.status_code == 200
        assert held.id not in told.text
        assert held.id in (await found.ask("GET", f"/v1/jobs/{waiting}/explain", await found.key())).text


async def test_a_key_gives_away_no_more_than_it_has() -> None:
    async with world() as found:
        admin = await found.key("admin", "job:read")
        body = {"name": "other", "scopes": ["job:read", "admin"]}
        made = await found.ask("POST", "/v1/apikeys", admin, json=body)
        assert made.status_code == 201
        assert (await found.ask("GET", "/v1/jobs", made.json()["key"])).status_code == 200
        for scopes in (["*"], ["job:write"]):
            refused = await found.ask("POST", "/v1/apikeys", admin, json={"name": "other", "scopes": scopes})
            assert (refused.status_code, refused.json()["error"]["code"]) == (403, "forbidden")
        listed = await found.ask("GET", "/v1/apikeys", admin)
        assert made.json()["key"] not in listed.text
        assert "hash" not in listed.text
        assert (await found.ask("DELETE", f"/v1/apikeys/{made.json()['id']}", admin)).status_code == 204
        assert (await found.ask("GET", "/v1/jobs", made.json()["key"])).status_code == 401


def test_every_scope_of_the_list_opens_something() -> None:
    assert {route.scope for route in SCOPED} == {*SCOPES} - {EVERYTHING}
