"""What the routes do: idempotency, cursors, filters, sessions, crons, dead letters, errors; over a real store."""

from __future__ import annotations

import asyncio

import pytest

from dispatch.access import EVERYTHING, Identity
from dispatch.api.guard import PLAIN_COOKIE, SECURE_COOKIE
from dispatch.clock import ManualClock
from dispatch.cluster.model import Announcement
from dispatch.errors import StoreTimeout, StoreUnreachable
from dispatch.ids import JobID
from dispatch.jobs.model import NewJob
from tests.api.world import OURS, THEIRS, world

JOB = {"name": "add", "payload": {"x": 1}}


async def test_the_same_idempotency_key_makes_one_job_a_tenant() -> None:
    async with world() as found:
        ours, theirs = await found.key(EVERYTHING, scope=OURS), await found.key(EVERYTHING, scope=THEIRS)
        key = {"Idempotency-Key": "order-42"}
        first = await found.ask("POST", "/v1/jobs", ours, key, json=JOB)
        again = await found.ask("POST", "/v1/jobs", ours, key, json=JOB)
        assert (first.status_code, first.json()["created"]) == (201, True)
        assert (again.status_code, again.json()["created"], again.json()["id"]) == (201, False, first.json()["id"])
        other = await found.ask("POST", "/v1/jobs", theirs, key, json=JOB)
        assert other.json()["created"] is True
        mismatch = await found.ask("POST", "/v1/jobs", ours, key, json={**JOB, "payload": {"x": 2}})
        assert (mismatch.status_code, mismatch.json()["error"]["code"]) == (409, "idempotency_mismatch")
        assert "'order-42'" in mismatch.json()["error"]["message"]


async def test_the_same_idempotency_key_publishes_one_event_and_answers_the_same() -> None:
    clock = ManualClock()
    async with world(clock) as found:
        token, key = await found.key(), {"Idempotency-Key": "e-1"}
        first = await found.ask("POST", "/v1/events", token, key, json={"name": "a.b", "payload": 1})
        again = await found.ask("POST", "/v1/events", token, key, json={"name": "a.b", "payload": 1})
        assert (again.status_code, again.json()) == (201, first.json())
        assert again.headers["idempotency-replayed"] == "true"
        mismatch = await found.ask("POST", "/v1/events", token, key, json={"name": "a.b", "payload": 2})
        assert (mismatch.status_code, mismatch.json()["error"]["code"]) == (409, "idempotency_mismatch")
        assert len((await found.ask("GET", "/v1/events?name=a.b", token)).json()["items"]) == 1
        bad = await found.ask("POST", "/v1/crons", token, key, json={"name": "n", "schedule": "nope", "target": "add"})
        assert bad.status_code == 422
        good = await found.ask(
            "POST", "/v1/crons", token, key, json={"name": "n", "schedule": "@daily", "target": "add"}
        )
        assert good.status_code == 201, "what failed leaves the key free"
        clock.advance(24 * 3600 + 1)
        assert (await found.ask("POST", "/v1/events", token, key, json={"name": "a.b"})).status_code == 201


async def test_a_key_whose_first_request_is_under_way_is_refused() -> None:
    async with world() as found:
        token, begun, go_on = await found.key(), asyncio.Event(), asyncio.Event()
        publish = found.app.events.publish

        async def slow(*given: object, **more: object) -> object:
            begun.set()
            await go_on.wait()
            return await publish(*given, **more)  # type: ignore[arg-type]

        found.app.events.publish = slow  # type: ignore[method-assign, assignment]
        key = {"Idempotency-Key": "e-2"}
        first = asyncio.ensure_future(found.ask("POST", "/v1/events", token, key, json={"name": "a.c"}))
        await begun.wait()
        second = await found.ask("POST", "/v1/events", token, key, json={"name": "a.c"})
        assert (second.status_code, second.json()["error"]["code"]) == (409, "under_way")
        go_on.set()
        assert (await first).status_code == 201


@pytest.mark.parametrize("how", ["no answer", "cut off"])
async def test_a_key_whose_request_may_have_been_done_does_not_do_it_again(how: str) -> None:
    async with world() as found:
        token, key = await found.key(), {"Idempotency-Key": "e-3"}
        publish = found.app.events.publish

        async def lost(*given: object, **more: object) -> object:
            await publish(*given, **more)  # type: ignore[arg-type]
            if how == "cut off":
                raise asyncio.CancelledError
            raise StoreTimeout("the reply never came")

        found.app.events.publish = lost  # type: ignore[method-assign, assignment]
        try:
            first = await found.ask("POST", "/v1/events", token, key, json={"name": "a.d"})
            assert first.status_code == 503
        except asyncio.CancelledError:
            assert how == "cut off"
        found.app.events.publish = publish  # type: ignore[method-assign]
        second = await found.ask("POST", "/v1/events", token, key, json={"name": "a.d"})
        assert (second.status_code, second.json()["error"]["code"]) == (409, "under_way")
        assert len((await found.ask("GET", "/v1/events?name=a.d", token)).json()["items"]) == 1


async def test_pages_follow_each_other_without_gap_or_repetition() -> None:
    async with world() as found:
        token = await found.key()
        await found.app.store.jobs.enqueue([NewJob(JobID.new(), "many", b"{}") for _ in range(7)])
        seen: list[str] = []
        path = "/v1/jobs?name=many&limit=3"
        cursor = ""
        while True:
            page = (await found.ask("GET", path + cursor, token)).json()
            assert len(page["items"]) <= 3
            seen += [item["id"] for item in page["items"]]
            if page["next_cursor"] is None:
                break
            cursor = f"&cursor={page['next_cursor']}"
        assert len(seen) == len({*seen}) == 7
        crons = (await found.ask("GET", "/v1/crons?limit=1", token)).json()
        rest = (await found.ask("GET", f"/v1/crons?limit=1&cursor={crons['next_cursor']}", token)).json()
        assert crons["items"][0]["id"] != rest["items"][0]["id"]
        for wrong in ("nonsense", "%21", "run_00000000000000000000000001"):
            refused = await found.ask("GET", f"/v1/jobs?cursor={wrong}", token)
            assert refused.status_code == 422


async def test_filters_choose_and_wrong_ones_are_named() -> None:
    async with world() as found:
        token = await found.key()
        states = (await found.ask("GET", "/v1/jobs?state=failed&state=cancelled", token)).json()["items"]
        assert {item["state"] for item in states} == {"failed"}
        assert (await found.ask("GET", "/v1/jobs?name=add", token)).json()["items"][0]["name"] == "add"
        assert (await found.ask("GET", "/v1/jobs?since=2100-01-01T00:00:00Z", token)).json()["items"] == []
        for query in (
            "state=nope",
            "limit=0",
            "limit=501",
            "since=yesterday",
            "since=2026-01-01T00:00:00",
            "name=a%20b",
        ):
            answer = await found.ask("GET", f"/v1/jobs?{query}", token)
            assert answer.status_code == 422, query
            assert answer.json()["error"]["details"][0]["field"].startswith(f"query.{query.partition('=')[0]}")
        assert (await found.ask("GET", "/v1/jobs?name=%00", token)).status_code == 400


async def test_the_life_of_a_cron_entry() -> None:
    async with world() as found:
        token = await found.key()
        body = {"name": "weekly", "schedule": "@weekly", "target": "add", "payload": {"x": 1}, "reason": "a report"}
        made = (await found.ask("POST", "/v1/crons", token, json=body)).json()
        assert (await found.ask("POST", "/v1/crons", token, json=body)).status_code == 409
        for key in (made["id"], "weekly"):
            assert (await found.ask("GET", f"/v1/crons/{key}", token)).json()["id"] == made["id"]
        off = await found.ask("POST", f"/v1/crons/{made['id']}/disable", token, json={"reason": "holidays"})
        assert (off.json()["state"], off.json()["disabled_reason"]) == ("disabled", "holidays")
        assert off.json()["disabled_by"].startswith("tester (key ")
        assert (await found.ask("POST", "/v1/crons/weekly/enable", token)).json()["state"] == "enabled"
        edited = await found.ask("PATCH", "/v1/crons/weekly", token, json={"schedule": "@daily", "jitter": 5})
        assert (edited.json()["schedule"], edited.json()["jitter_seconds"]) == ("@daily", 5.0)
        fired = await found.ask("POST", "/v1/crons/weekly/trigger", token)
        assert (fired.status_code, fired.json()["outcome"]) == (201, "manual")
        assert len((await found.ask("GET", "/v1/crons/weekly/history", token)).json()["items"]) == 1
        assert len((await found.ask("GET", "/v1/crons/weekly/next?count=3", token)).json()["items"]) == 3
        assert (await found.ask("DELETE", "/v1/crons/weekly", token)).status_code == 204
        assert (await found.ask("GET", "/v1/crons/weekly", token)).status_code == 404
        nowhere = await found.ask("GET", "/v1/corns", token)
        assert (nowhere.status_code, nowhere.json()["error"]["code"]) == (404, "no_such_route")
        assert "/openapi.json" in nowhere.json()["error"]["message"]
        acts = (await found.ask("GET", "/v1/audit", token)).json()["items"]
        assert {"cron.create", "cron.disable", "cron.enable", "cron.edit", "cron.trigger", "cron.delete"} <= {
            act["verb"] for act in acts
        }
        (creation,) = (act for act in acts if act["verb"] == "cron.create" and act["outcome"] == "done")
        assert creation["reason"] == "a report"
        assert creation["who"].startswith("tester (key ")


async def test_dead_letters_are_replayed_once_alone_or_as_a_group() -> None:
    async with world() as found:
        token = await found.key()
        path = found.path("/v1/dlq/{entry_id}/replay")
        replayed = await found.ask("POST", path, token, json={"reason": "fixed"})
        assert replayed.status_code == 201
        assert (await found.ask("GET", f"/v1/jobs/{replayed.json()['job_id']}", token)).json()["replay_of"]
        again = await found.ask("POST", path, token)
        assert (again.status_code, again.json()["error"]["code"]) == (409, "already_replayed")
        group = {"group": {"job_name": "doomed", "error_type": "ValueError"}}
        rest = (await found.ask("POST", "/v1/dlq/replay", token, json=group)).json()
        assert (rest["done"], rest["refused"]) == (1, 0)
        for wrong in ({}, {"ids": [found.ids["entry_id"]], **group}):
            assert (await found.ask("POST", "/v1/dlq/replay", token, json=wrong)).status_code == 422
        assert (await found.ask("POST", "/v1/dlq/purge", token, json={})).json() == {"purged": 2}


async def test_queues_are_paused_limited_and_emptied() -> None:
    async with world() as found:
        token = await found.key()
        paused = await found.ask("POST", "/v1/queues/default/pause", token, json={"duration": 60, "reason": "deploy"})
        assert paused.json()["pause"]["reason"] == "deploy"
        assert (await found.ask("GET", "/scale", token)).json()["runnable"] == 2, "those of the other queues"
        assert (await found.ask("POST", "/v1/queues/default/resume", token)).json()["paused"] is False
        limited = await found.ask(
            "PATCH", "/v1/queues/default/limits", token, json={"max_concurrency": 1, "fair": True}
        )
        assert (limited.json()["max_concurrency"], limited.json()["fair"]) == (1, True)
        lifted = await found.ask("PATCH", "/v1/queues/default/limits", token, json={"max_concurrency": None})
        assert (lifted.json()["max_concurrency"], lifted.json()["fair"]) == (None, True)
        for wrong in ({}, {"rate_burst": 3}, {"max_concurrency": 0}, {"rate_limit": 1e300}):
            assert (await found.ask("PATCH", "/v1/queues/default/limits", token, json=wrong)).status_code == 422
        assert (await found.ask("POST", "/v1/queues/default/purge", token)).json()["purged"] == 2


async def test_somebody_elses_pause_ends_earlier_only_with_force() -> None:
    async with world() as found:
        token, path = await found.key(), "/v1/queues/default/pause"
        await found.app.queues.pause("default", by="ada", reason="migration")
        refused = await found.ask("POST", path, token, json={"duration": 60})
        assert (refused.status_code, refused.json()["error"]["code"]) == (409, "queue_paused")
        message = refused.json()["error"]["message"]
        assert message.startswith("queue 'default' is paused by ada until resumed: migration; ")
        assert "only with force" in message
        kept = (await found.ask("GET", "/v1/queues/default", token)).json()["pause"]
        assert (kept["by"], kept["until"]) == ("ada", None)
        taken = await found.ask("POST", path, token, json={"duration": 60, "force": True})
        assert taken.json()["pause"]["by"].startswith("tester (key ")
        mine = await found.ask("POST", path, token, json={"duration": 30})
        assert mine.json()["pause"]["until"] < taken.json()["pause"]["until"]


async def test_a_result_is_waited_for_and_never_an_error() -> None:
    async with world() as found:
        token = await found.key()
        waiting = await found.ask("GET", found.path("/v1/jobs/{job_id}/result?wait=0.01"), token)
        assert (waiting.status_code, waiting.json()["finished"]) == (200, False)
        asked = asyncio.ensure_future(found.ask("GET", found.path("/v1/jobs/{job_id}/result?wait=20"), token))
        await found.ask("POST", found.path("/v1/jobs/{job_id}/cancel"), token)
        assert (await asked).json()["state"] == "cancelled"


async def test_an_unknown_name_is_enqueued_with_a_hint_at_the_nearest() -> None:
    async with world() as found:
        token = await found.key(EVERYTHING)
        await found.app.store.cluster.announce([Announcement("send_email", "job", schema={})])
        slip = (await found.ask("POST", "/v1/jobs", token, json={"name": "send_emial"})).json()
        assert slip["hint"] == "no app has announced a job 'send_emial'; did you mean 'send_email'?"
        assert (await found.ask("POST", "/v1/jobs", token, json={"name": "send_email"})).json()["hint"] is None
        frame = {"type": "request", "method": "job.enqueue", "data": {"name": "send_emial"}}
        answer = (await found.ask("POST", "/dwp/rpc", token, json=frame)).json()
        assert answer["data"]["hint"] == slip["hint"]


async def test_a_login_link_opens_one_session_that_ends_when_it_is_closed() -> None:
    async with world() as found:
        person = Identity("the terminal", "", frozenset({EVERYTHING}))
        ticket = await found.app.logins.ticket(person, "login")
        entered = await found.ask("GET", f"/login?ticket={ticket}")
        assert entered.status_code == 303
        assert "HttpOnly" in entered.headers["set-cookie"]
        assert "SameSite=strict" in entered.headers["set-cookie"]
        found.client.cookies.clear()
        assert (await found.ask("GET", f"/login?ticket={ticket}")).status_code == 401
        late = await found.ask("GET", f"/login?ticket={ticket}", None, {"Accept": "text/html,*/*"})
        assert (late.status_code, late.headers["location"]) == (303, "/?link=used")
        assert "set-cookie" not in late.headers
        for spoilt in ("", "nonsense", "x" * 5000):
            led = await found.ask("GET", f"/login?ticket={spoilt}", None, {"Accept": "text/html,*/*"})
            assert (led.status_code, led.headers["location"]) == (303, "/?link=used")
            told = (await found.ask("GET", f"/login?ticket={spoilt}", None, {"Accept": "application/json"})).json()
            assert "`dispatch serve` prints another one" in told["error"]["message"]
        cookie = {"Cookie": f"{PLAIN_COOKIE}={entered.cookies[PLAIN_COOKIE]}", "Sec-Fetch-Site": "same-origin"}
        assert (await found.ask("GET", "/v1/session", None, cookie)).json()["session"] is True
        made = await found.ask("POST", "/v1/jobs", None, cookie, json=JOB)
        assert made.status_code == 201
        assert (await found.app.audit.list(limit=1))[0].verb == "job.enqueue", "a person's acts are remembered"
        closed = await found.ask("DELETE", "/v1/session", None, {**cookie, "Content-Type": "application/json"})
        assert closed.status_code == 204
        assert (await found.ask("GET", "/v1/session", None, cookie)).status_code == 401


async def test_over_tls_the_cookie_is_one_that_no_other_host_can_set() -> None:
    async with world() as found:
        made = await found.client.post(
            "https://localhost/v1/session", headers={"Authorization": f"Bearer {await found.key()}"}
        )
        cookie = made.headers["set-cookie"]
        assert cookie.startswith(f"{SECURE_COOKIE}=")
        assert "Secure" in cookie
        assert "Path=/" in cookie
        assert "Domain" not in cookie
        token = cookie.partition("=")[2].partition(";")[0]
        found.client.cookies.clear()
        for name, code in ((SECURE_COOKIE, 200), (PLAIN_COOKIE, 401)):
            looked = await found.client.get("https://localhost/v1/session", headers={"Cookie": f"{name}={token}"})
            assert looked.status_code == code


async def test_a_store_that_does_not_answer_is_503_and_unready_and_says_nothing_of_itself() -> None:
    async with world() as found:
        token = await found.key()

        async def gone(*_: object, **__: object) -> None:
            raise StoreUnreachable("connection to db.internal:5432 refused")

        found.app.jobs.list = gone  # type: ignore[method-assign, assignment]
        found.app.store.ping = gone  # type: ignore[method-assign, assignment]
        answer = await found.ask("GET", "/v1/jobs", token)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert "db.internal" not in answer.text
        assert (await found.ask("GET", "/healthz")).status_code == 200
        unready = await found.ask("GET", "/readyz")
        assert (unready.status_code, unready.json()["ready"]) == (503, False)


async def test_secrets_are_masked_but_in_results() -> None:
    async with world() as found:
        token = await found.key()
        made = await found.ask("POST", "/v1/jobs", token, json={"name": "add", "payload": {"api_key": "s3cret"}})
        shown = await found.ask("GET", f"/v1/jobs/{made.json()['id']}", token)
        assert shown.json()["payload"] == {"api_key": "***"}
