"""/v1/webhooks and /v1/deliveries: every verb, its scope, and no tenant sees another's."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import httpx2
from dispatch_relay import RelayExtension
from dispatch_relay.signing import new_secret

from dispatch.access import ADMIN, JOB_READ
from dispatch.api import API
from dispatch.clock import utc_now
from dispatch.registry import Registry
from dispatch.scope import NO_SCOPE, Scope
from dispatch.streams import StreamEntry
from dispatch.testing import MemoryApp

from .relay_world import Postbox

URL = "https://a.example/hook"
OURS, THEIRS = Scope("shop", "ours"), Scope("shop", "theirs")


@dataclass
class Door:
    """The API of an app with the relay."""

    app: MemoryApp
    api: API
    client: httpx2.AsyncClient
    post: Postbox

    async def key(self, *scopes: str, scope: Scope = NO_SCOPE) -> str:
        return (await self.app.keys.create("tester", scopes=scopes or (ADMIN,), scope=scope)).token

    async def ask(self, method: str, path: str, token: str, **more: Any) -> tuple[int, Any]:
        answer = await self.client.request(method, f"/v1{path}", headers={"Authorization": f"Bearer {token}"}, **more)
        return answer.status_code, answer.json()

    async def happen(self, number: int, scope: Scope) -> None:
        data = {"job_id": f"job_{number}", "job_name": "work", "queue": "default"}
        entry = StreamEntry("job.failed", f"job_{number}:1", "job.failed", json.dumps(data).encode(), scope.tenant)
        await self.app.store.stream.append([entry])
        await self.app.run_until_idle()


@asynccontextmanager
async def door() -> AsyncIterator[Door]:
    post = Postbox()
    async with MemoryApp(Registry(), plugins=[RelayExtension(sender=post)]) as app:
        api = API(app)
        transport = httpx2.ASGITransport(api.asgi(), raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
            yield Door(app, api, client, post)


async def test_an_endpoint_is_added_shown_switched_rotated_tested_and_removed() -> None:
    async with door() as at:
        admin = await at.key()
        status, added = await at.ask("POST", "/webhooks", admin, json={"name": "a", "url": URL, "events": ["job.*"]})
        assert status == 201
        assert added["secret"].startswith("whsec_")
        status, listed = await at.ask("GET", "/webhooks", admin)
        assert [one["name"] for one in listed["items"]] == ["a"]
        assert added["secret"] not in json.dumps(listed)
        assert (await at.ask("POST", "/webhooks/a/disable", admin, json={"reason": "x"}))[1]["state"] == "disabled"
        assert (await at.ask("POST", "/webhooks/a/enable", admin))[1]["state"] == "enabled"
        assert (await at.ask("POST", "/webhooks/a/rotate", admin))[1]["secret"] != added["secret"]
        assert (await at.ask("POST", "/webhooks/a/test", admin))[1]["arrived"] is True
        assert (await at.ask("DELETE", "/webhooks/a", admin, params={"reason": "done"}))[0] == 200
        assert (await at.ask("GET", "/webhooks/a", admin))[0] == 404
        records = await at.app.audit.list()
        assert {record.who for record in records if record.verb.startswith("webhook.")} == {records[0].who}
        assert records[0].who.startswith("tester (key ")


async def test_a_rehearsal_over_http_writes_nothing_and_shows_no_secret() -> None:
    async with door() as at:
        admin = await at.key()
        status, would = await at.ask("POST", "/webhooks", admin, json={"name": "a", "url": URL, "dry_run": True})
        assert (status, would["name"], would["secret"], would["unserved"]) == (200, "a", None, False)
        assert (await at.ask("GET", "/webhooks", admin))[1]["items"] == []
        status, added = await at.ask("POST", "/webhooks", admin, json={"name": "a", "url": URL})
        assert (status, added["unserved"]) == (201, True)
        await at.happen(1, NO_SCOPE)
        [delivery] = (await at.ask("GET", "/deliveries", admin))[1]["items"]
        path = f"/deliveries/{delivery['id']}/redeliver"
        assert await at.ask("POST", path, admin, json={"dry_run": True}) == (200, {"id": delivery["id"]})
        assert len((await at.ask("GET", "/deliveries", admin))[1]["items"]) == 1


async def test_a_secret_is_rotated_to_ones_own_for_as_long_as_is_said() -> None:
    async with door() as at:
        admin, own = await at.key(), new_secret()
        await at.ask("POST", "/webhooks", admin, json={"name": "a", "url": URL})
        before = utc_now()
        status, found = await at.ask(
            "POST", "/webhooks/a/rotate", admin, json={"secret": own, "overlap_seconds": 86400 * 3650}
        )
        assert (status, found["secret"]) == (200, own)
        assert datetime.fromisoformat(found["old_secret_until"]) >= before + timedelta(days=3650)
        for body in ({"overlap_seconds": -1}, {"overlap_seconds": 86400 * 3651}, {"secret": "x"}, {"overlap": 1}):
            status, refused = await at.ask("POST", "/webhooks/a/rotate", admin, json=body)
            assert (status, own in json.dumps(refused)) == (422, False), body


async def test_deliveries_are_listed_and_sent_again() -> None:
    async with door() as at:
        admin = await at.key()
        await at.ask("POST", "/webhooks", admin, json={"name": "a", "url": URL})
        for number in range(3):
            await at.happen(number, NO_SCOPE)
        _, page = await at.ask("GET", "/deliveries", admin, params={"limit": 2})
        assert len(page["items"]) == 2
        assert (await at.ask("GET", "/deliveries", admin, params={"cursor": page["next_cursor"]}))[1]["items"]
        assert (await at.ask("GET", "/deliveries?state=failed", admin))[1]["items"] == []
        delivery = page["items"][0]
        status, again = await at.ask("POST", f"/deliveries/{delivery['id']}/redeliver", admin)
        assert (status, again["id"] != delivery["id"]) == (200, True)
        await at.app.run_until_idle()
        assert len(at.post.sent) == 4


async def test_what_cannot_be_is_refused_and_only_administrators_are_heard() -> None:
    async with door() as at:
        admin, weak = await at.key(), await at.key(JOB_READ)
        await at.ask("POST", "/webhooks", admin, json={"name": "taken", "url": URL})
        for body, status in (
            ({"name": "a", "url": "http://a.example/"}, 422),
            ({"name": "a", "url": "https://10.0.0.1/"}, 422),
            ({"name": "a b", "url": URL}, 422),
            ({"name": "a", "url": URL, "events": ["nope"]}, 422),
            ({"name": "a", "url": URL, "colour": "red"}, 422),
            ({"name": "a", "url": URL, "dry_run": "x"}, 422),
            ({"name": "taken", "url": URL}, 409),
            ({"name": "a"}, 422),
        ):
            assert (await at.ask("POST", "/webhooks", admin, json=body))[0] == status, body
        assert len((await at.ask("GET", "/webhooks", admin))[1]["items"]) == 1
        document = at.api.openapi()
        paths = [path for path in document["paths"] if path.startswith(("/v1/webhooks", "/v1/deliveries"))]
        assert len(paths) == 8
        for path in paths:
            for method in document["paths"][path]:
                asked = path.removeprefix("/v1").replace("{name}", "a").replace("{id}", "job_" + "0" * 26)
                assert (await at.ask(method.upper(), asked, weak))[0] == 403


async def test_a_tenant_sees_and_changes_only_its_own_endpoints_and_deliveries() -> None:
    async with door() as at:
        ours, theirs = await at.key(scope=OURS), await at.key(scope=THEIRS)
        shared = await at.key()
        for name, token in (("mine", ours), ("hers", theirs), ("all", shared)):
            body = (
                {"name": name, "url": URL, "tenant": "somebody/else"} if name != "all" else {"name": name, "url": URL}
            )
            assert (await at.ask("POST", "/webhooks", token, json=body))[0] == 201
        await at.happen(1, OURS)
        await at.happen(2, THEIRS)
        assert len(at.post.sent) == 4

        async def seen(token: str, path: str, field: str) -> list[str]:
            return sorted(one[field] for one in (await at.ask("GET", path, token))[1]["items"])

        assert await seen(ours, "/webhooks", "name") == ["mine"]
        assert await seen(theirs, "/webhooks", "name") == ["hers"]
        assert await seen(shared, "/webhooks", "name") == ["all", "hers", "mine"]
        assert (await at.ask("GET", "/webhooks/mine", ours))[1]["tenant"] == OURS.tenant
        assert set(await seen(ours, "/deliveries", "webhook_id")) == {"job_1:1"}
        foreign = next(d for d in (await at.ask("GET", "/deliveries", theirs))[1]["items"] if d["endpoint"] == "hers")
        for method, path in (
            ("GET", "/webhooks/hers"),
            ("DELETE", "/webhooks/hers"),
            ("POST", "/webhooks/hers/rotate"),
            ("POST", "/webhooks/hers/disable"),
            ("POST", "/webhooks/hers/enable"),
            ("POST", "/webhooks/hers/test"),
            ("GET", "/webhooks/all"),
            ("DELETE", "/webhooks/all"),
            ("GET", "/deliveries?endpoint=hers"),
            ("POST", f"/deliveries/{foreign['id']}/redeliver"),
        ):
            assert (await at.ask(method, path, ours))[0] == 404, path
        assert await seen(shared, "/webhooks", "name") == ["all", "hers", "mine"]
