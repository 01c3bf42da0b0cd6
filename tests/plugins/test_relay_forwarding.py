"""From a state change to a webhook: who gets what, once, under one id."""

from __future__ import annotations

import sqlite3
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from dispatch_relay import RelayExtension
from dispatch_relay.cursor import FEED, KEY, NAMESPACE, Cursor
from dispatch_relay.endpoints import listener_of
from dispatch_relay.signing import new_secret
from standardwebhooks import Webhook

from dispatch import Config, Dispatch, current_job
from dispatch.errors import Fail, StoreUnreachable
from dispatch.jobs.model import JobState, ListOptions
from dispatch.registry import Registry
from dispatch.scope import use_scope

from .relay_world import Postbox, World, world

A, B = "https://a.example/hook", "https://b.example/hook"


def jobs(registry: Registry) -> Any:
    @registry.job(max_retries=1)
    async def work(fate: str = "") -> None:
        if fate == "fail":
            raise Fail("no hope")
        if fate == "retry" and current_job().attempt == 1:
            raise ValueError("once")

    return work


async def deliveries(at: World) -> list[Any]:
    return list((await at.app.jobs.list(ListOptions(kinds=("delivery",), limit=500))).items)


async def test_a_job_that_completes_is_told_to_an_endpoint_and_the_signature_verifies(registry: Registry) -> None:
    work = jobs(registry)
    async with world(registry) as at:
        _, key = await at.webhooks.add("a", A, events=["job.completed"])
        handle = await at.app.enqueue(work)
        await at.app.run_until_idle()
        [sent] = at.post.sent
        assert sent.url == A
        assert sent.body["type"] == "dispatch.job.completed"
        assert sent.body["data"]["job_id"] == handle.id
        assert sent.body["data"]["job_name"] == "work"
        assert sent.body["timestamp"].endswith("Z")
        assert Webhook(key).verify(sent.raw, sent.headers) == sent.body


async def test_every_transition_of_a_job_has_its_webhook_in_order(registry: Registry) -> None:
    work = jobs(registry)
    async with world(registry) as at:
        await at.webhooks.add("a", A)
        await at.app.enqueue(work, "retry")
        await at.app.travel(timedelta(hours=1))
        assert sorted(at.post.types()) == sorted(
            ["job.enqueued", "job.started", "job.retrying", "job.started", "job.completed"]
        )
        retrying = next(sent for sent in at.post.sent if sent.body["type"] == "dispatch.job.retrying")
        assert retrying.body["data"]["error"]["type"] == "ValueError"
        assert retrying.body["data"]["next_run_at"]
        at.post.sent.clear()
        await at.app.enqueue(work, "fail")
        await at.app.travel(timedelta(hours=1))
        assert set(at.post.types()) == {"job.enqueued", "job.started", "job.failed", "job.dlq"}


async def test_deliveries_cause_no_deliveries_whatever_becomes_of_them(registry: Registry) -> None:
    work = jobs(registry)
    async with world(registry, answer=lambda sent: 200 if sent.url == A else 500, retry_schedule=["1s"]) as at:
        await at.webhooks.add("a", A)
        await at.webhooks.add("b", B)
        await at.app.enqueue(work)
        await at.app.travel(timedelta(hours=1))
        told = ["job.enqueued", "job.started", "job.completed"]
        assert sorted(at.post.types(A)) == sorted(told)
        assert sorted(at.post.types(B)) == sorted(told * 2)
        assert {job.name for job in await deliveries(at)} == {"relay.deliver"}
        assert len(await deliveries(at)) == 6
        assert {letter.job_name for letter in (await at.app.dlq.list(_any())).items} == {"relay.deliver"}


def _any() -> Any:
    from dispatch.dlq.model import ListOptions as Letters

    return Letters()


async def test_each_endpoint_gets_the_events_it_asked_for_under_the_same_id(registry: Registry) -> None:
    work = jobs(registry)
    async with world(registry) as at:
        await at.webhooks.add("a", A, events=["dispatch.job.*"])
        await at.webhooks.add("b", B, events=["job.comp*", "workflow.failed"])
        await at.app.enqueue(work)
        await at.app.run_until_idle()
        assert at.post.types(B) == ["job.completed"]
        assert len(at.post.types(A)) == 3
        ids = {sent.url: sent.id for sent in at.post.sent if sent.body["type"] == "dispatch.job.completed"}
        assert ids[A] == ids[B]
        assert len({sent.id for sent in at.post.sent}) == 3


async def test_an_endpoint_of_a_tenant_gets_only_that_tenants_events(registry: Registry) -> None:
    work = jobs(registry)
    async with world(registry) as at:
        await at.webhooks.add("a", A, events=["job.completed"], tenant="shop/t-1")
        await at.webhooks.add("b", B, events=["job.completed"])
        for org in ("t-1", "t-2"):
            with use_scope("shop", org):
                await at.app.enqueue(work)
        await at.app.enqueue(work)
        await at.app.run_until_idle()
        assert [sent.body["data"]["scope_org_id"] for sent in at.post.sent if sent.url == A] == ["t-1"]
        assert len(at.post.types(B)) == 3


async def test_an_endpoint_is_told_nothing_that_happened_before_it_was_added(registry: Registry) -> None:
    work = jobs(registry)
    async with world(registry) as at:
        await at.webhooks.add("a", A, events=["job.enqueued"])
        await at.app.enqueue(work)  # in the feed, and not yet forwarded
        await at.webhooks.add("b", B, events=["job.enqueued"])
        await at.app.enqueue(work)
        await at.app.run_until_idle()
        assert (len(at.post.types(A)), len(at.post.types(B))) == (2, 1)


async def test_while_an_endpoint_is_disabled_nothing_is_kept_for_it(registry: Registry) -> None:
    work = jobs(registry)
    async with world(registry) as at:
        await at.webhooks.add("a", A, events=["job.completed"])
        await at.webhooks.disable("a", reason="moves")
        await at.app.enqueue(work)
        await at.app.run_until_idle()
        assert (await at.app.store.stream.read_after(FEED, 0)).entries == []
        await at.webhooks.enable("a")
        await at.app.enqueue(work)
        await at.app.run_until_idle()
        assert len(at.post.sent) == 1


async def test_a_page_that_is_forwarded_again_makes_no_second_delivery(registry: Registry) -> None:
    """A crash between the enqueue and the cursor: the next worker reads the same page."""
    work = jobs(registry)
    async with world(registry) as at:
        await at.webhooks.add("a", A)
        await at.app.enqueue(work)
        await at.app.run_until_idle()
        assert len(at.post.sent) == 3
        after = await at.app.store.records.get(NAMESPACE, KEY)
        assert after is not None
        moved_back = Cursor(0, "").document()
        assert await at.app.store.records.put(NAMESPACE, KEY, moved_back, if_version=after.version)
        for forwarder in at.relay.register_services(at.app.store):
            await forwarder.run_once()
        await at.app.run_until_idle()
        assert len(at.post.sent) == 3
        assert len(await deliveries(at)) == 3


async def test_a_worker_listens_for_an_endpoint_whose_maker_died_before_it_could(registry: Registry) -> None:
    work = jobs(registry)
    async with world(registry) as at:
        endpoint, _ = await at.webhooks.add("a", A, events=["job.completed"])
        await at.app.store.stream.unlisten(listener_of(endpoint.name))
        await at.app.run_until_idle()
        await at.app.enqueue(work)
        await at.app.run_until_idle()
        assert at.post.types() == ["job.completed"]


async def test_a_store_with_a_younger_feed_is_gone_on_with_at_its_end(
    registry: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    work = jobs(registry)
    async with world(registry) as at:
        endpoint, _ = await at.webhooks.add("a", A, events=["job.completed"])
        late = endpoint.model_copy(update={"since": 10**9, "asked_at": 10**9})
        await at.app.store.records.put("webhook.endpoints", "a", late.model_dump_json().encode())
        await at.app.store.records.put(NAMESPACE, KEY, Cursor(10**9).document())
        await at.app.run_until_idle()
        assert "going on at its end" in caplog.text
        await at.app.enqueue(work)
        await at.app.run_until_idle()
        assert at.post.types() == ["job.completed"]


@pytest.mark.parametrize("verb", ["enqueue", "put"])
async def test_what_fails_between_page_and_cursor_is_done_again(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    """The store goes away while deliveries are written, or right after: none is lost, none is made twice."""
    work = jobs(registry)
    async with world(registry) as at:
        await at.webhooks.add("a", A, events=["job.enqueued"])
        await at.app.enqueue(work)
        part = at.app.store.jobs if verb == "enqueue" else at.app.store.records
        whole = getattr(part, verb)

        async def broken(*args: Any, **kwargs: Any) -> Any:
            monkeypatch.setattr(part, verb, whole)
            raise StoreUnreachable("gone for a moment")

        [forwarder] = at.relay.register_services(at.app.store)
        monkeypatch.setattr(part, verb, broken)
        with pytest.raises(StoreUnreachable):
            await forwarder.run_once()
        assert len(await deliveries(at)) == (0 if verb == "enqueue" else 1)
        await forwarder.run_once()
        assert len(await deliveries(at)) == 1
        await at.app.run_until_idle()
        assert at.post.types() == ["job.enqueued"]


async def test_only_enabled_events_are_listened_to_and_sent(registry: Registry) -> None:
    work = jobs(registry)
    async with world(registry, enabled_events=["job.completed"]) as at:
        await at.webhooks.add("a", A)
        await at.app.enqueue(work)
        await at.app.run_until_idle()
        assert at.post.types() == ["job.completed"]
        kept = (await at.app.store.stream.read_after(FEED, 0)).entries
        assert [entry.type for entry in kept] == ["job.completed"]


async def test_a_payload_function_changes_what_is_sent_and_its_failure_is_the_attempts(registry: Registry) -> None:
    work = jobs(registry)
    broken = True

    async def only_the_name(event: Any) -> dict[str, Any]:
        if broken:
            raise ZeroDivisionError("not yet")
        return {"name": event.data["job_name"]}

    funcs = {"dispatch.job.completed": only_the_name}
    async with world(registry, payload_funcs=funcs, retry_schedule=["1s"]) as at:
        await at.webhooks.add("a", A, events=["job.completed", "job.started"])
        await at.app.enqueue(work)
        await at.app.run_until_idle()
        assert at.post.types() == ["job.started"]
        broken = False
        await at.app.travel(timedelta(seconds=2))
        assert at.post.sent[-1].body["data"] == {"name": "work"}


async def test_workflow_and_cron_events_are_told_too(registry: Registry) -> None:
    work = jobs(registry)
    registry.cron("@every 1m", name="minutely")(work)

    @registry.workflow
    async def order(ctx: Any) -> None:
        await ctx.step("charge", charged)

    async def charged() -> str:
        return "ok"

    async with world(registry) as at:
        await at.webhooks.add("a", A, events=["workflow.*", "cron.*"])
        run = await order.start()
        await at.app.run_until_idle()
        assert sorted(at.post.types()) == ["workflow.completed", "workflow.started", "workflow.step_completed"]
        assert {sent.body["data"]["run_id"] for sent in at.post.sent} == {run.id}
        step = next(sent for sent in at.post.sent if sent.body["type"] == "dispatch.workflow.step_completed")
        assert step.body["data"]["step_name"] == "charge"
        await at.app.travel(timedelta(minutes=1))
        fired = next(sent for sent in at.post.sent if sent.body["type"] == "dispatch.cron.fired")
        assert fired.body["data"]["entry_name"] == "minutely"


async def test_the_configurations_endpoints_are_stored_by_the_first_worker_and_changed_by_the_next(
    registry: Registry,
) -> None:
    work = jobs(registry)
    old, new = new_secret(), new_secret()
    async with world(registry, endpoints={"a": {"url": A, "secret": old, "events": ["job.completed"]}}) as at:
        assert [endpoint.name for endpoint in await at.webhooks.list()] == ["a"]
        await at.app.run_until_idle()
        await at.app.enqueue(work)
        await at.app.run_until_idle()
        assert Webhook(old).verify(at.post.sent[-1].raw, at.post.sent[-1].headers)
        changed = {"a": {"url": B, "secret": new, "events": ["job.completed"], "rate": "10/s"}}
        later = RelayExtension(endpoints=changed, sender=at.post)
        for service in later.register_services(at.app.store):
            await service.run_once()
        await at.app.enqueue(work)
        await at.app.run_until_idle()
        sent = at.post.sent[-1]
        assert sent.url == B
        assert Webhook(old).verify(sent.raw, sent.headers) == Webhook(new).verify(sent.raw, sent.headers)
        assert (await at.webhooks.get("a")).rate == 10.0


async def test_two_workers_forward_each_event_once(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dispatch_relay.forwarder.PATIENCE", 0.0)
    work = jobs(registry)
    async with world(registry) as at:
        await at.webhooks.add("a", A)
        others = [*at.relay.register_services(at.app.store), *at.relay.register_services(at.app.store)]
        for _ in range(2):
            await at.app.enqueue(work)
            for forwarder in others:
                await forwarder.run_once()
        await at.app.run_until_idle()
        assert len(at.post.sent) == 6
        assert len(await deliveries(at)) == 6
        assert {job.state for job in await deliveries(at)} == {JobState.COMPLETED}


async def test_the_last_worker_keeps_the_feed_until_it_lets_events_wait(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dispatch_relay.forwarder.PATIENCE", 60.0)
    work = jobs(registry)
    async with world(registry) as at:
        await at.webhooks.add("a", A)
        [first], [second] = (at.relay.register_services(at.app.store) for _ in range(2))
        await at.app.enqueue(work)
        await first.run_once()
        assert len(await deliveries(at)) == 1
        await at.app.enqueue(work)
        await second.run_once()
        assert len(await deliveries(at)) == 1
        monkeypatch.setattr("dispatch_relay.forwarder.PATIENCE", 0.0)
        await second.run_once()
        assert len(await deliveries(at)) == 2


async def test_events_that_retention_removed_before_they_were_forwarded_are_told_of_in_the_log(
    registry: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    work = jobs(registry)
    async with world(registry) as at:
        await at.webhooks.add("a", A, events=["job.enqueued"])
        await at.app.enqueue(work)
        await at.app.run_until_idle()
        assert len(at.post.sent) == 1
        assert "removed by retention" not in caplog.text
        await at.app.enqueue(work)
        at.app.clock.advance(timedelta(days=1))
        assert await at.app.store.stream.prune(older_than=60.0)
        await at.app.enqueue(work)
        await at.app.run_until_idle()
        assert len(at.post.sent) == 2
        assert "job.enqueued were removed by retention" in caplog.text


async def test_what_is_rolled_back_with_the_users_transaction_is_told_to_nobody(
    registry: Registry, tmp_path: Path
) -> None:
    work = jobs(registry)
    path = tmp_path / "dispatch.db"
    post = Postbox()
    relay = RelayExtension(sender=post)
    async with Dispatch(f"sqlite:///{path}", config=Config(), registry=registry, plugins=[relay]) as app:
        await relay.webhooks(app).add("a", A, events=["job.enqueued"])
        with sqlite3.connect(path) as connection:
            kept = await work.options(connection=connection).enqueue("kept")
        connection.close()
        connection = sqlite3.connect(path)
        await work.options(connection=connection).enqueue("rolled back")
        connection.rollback()
        connection.close()
        await app.start()
        await post.reached(1)
        later = await app.enqueue(work)
        await post.reached(2)
        assert [sent.body["data"]["job_id"] for sent in post.sent] == [kept.id, later.id]
