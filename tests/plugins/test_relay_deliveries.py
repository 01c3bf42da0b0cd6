"""What becomes of deliveries: retries, dead letters, endpoints that are gone, slow, full or disabled."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest
from dispatch_relay import EndpointConfigured, EndpointExists, EndpointNotFound, InvalidEndpoint, RelayExtension
from dispatch_relay.endpoints import listener_of
from dispatch_relay.sender import Answer
from dispatch_relay.signing import new_secret
from standardwebhooks import Webhook

from dispatch import Config, Dispatch
from dispatch.dlq.model import ListOptions as Letters
from dispatch.errors import JobNotFound, JobNotRetryable
from dispatch.ids import JobID
from dispatch.jobs.model import JobState, ListOptions, NewJob
from dispatch.registry import Registry
from dispatch.streams import StreamEntry

from .relay_world import Sent, World, world

A, B = "https://a.example/hook", "https://b.example/hook"


async def happen(at: World, *numbers: int, kind: str = "job.completed", tenant: str = "") -> None:
    """State changes as a store's feed tells of them."""
    data = {"job_name": "work", "queue": "default", "attempt": 1, "elapsed_ms": 5}
    entries = [
        StreamEntry(kind, f"job_{n}:1", kind, json.dumps({"job_id": f"job_{n}", **data}).encode(), tenant)
        for n in numbers
    ]
    await at.app.store.stream.append(entries)
    await at.app.run_until_idle()


async def deliveries(at: World, *states: JobState) -> list[Any]:
    return list((await at.webhooks.deliveries(states=states, limit=500)).items)


async def letters(at: World) -> list[Any]:
    return list((await at.app.dlq.list(Letters())).items)


async def test_a_failed_delivery_is_tried_by_the_schedule_and_then_a_dead_letter() -> None:
    async with world(answer=lambda _: 500) as at:
        await at.webhooks.add("a", A)
        await happen(at, 1)
        seen = [len(at.post.sent)]
        for pause in ("5s", "5m", "30m", "2h", "5h", "10h", "14h", "20h"):
            await at.app.travel(timedelta(seconds=_seconds(pause) * 1.21))
            seen.append(len(at.post.sent))
        assert seen == list(range(1, 10))
        assert await letters(at) == []
        await at.app.travel("29h")
        assert len(at.post.sent) == 10
        [letter] = await letters(at)
        assert letter.error.message == "HTTP 500"
        assert len({sent.id for sent in at.post.sent}) == 1
        assert len({sent.raw for sent in at.post.sent}) == 1


def _seconds(text: str) -> float:
    from dispatch.clock import seconds

    return seconds(text)


async def test_a_dead_letter_that_is_replayed_is_delivered_under_the_same_id_and_tells_nobody() -> None:
    fails = True
    async with world(answer=lambda _: 500 if fails else 200, retry_schedule=["1s"]) as at:
        await at.webhooks.add("a", A)
        await happen(at, 1)
        await at.app.travel("10s")
        fails = False
        [letter] = await letters(at)
        await at.app.dlq.replay(letter.id)
        await at.app.travel("10s")
        assert [sent.id for sent in at.post.sent] == ["job_1:1"] * 3
        assert (await deliveries(at, JobState.COMPLETED))[0].kind == "delivery"


async def test_gone_disables_the_endpoint_stops_what_waits_and_leaves_an_audit_record() -> None:
    async with world(answer=lambda sent: 410 if sent.url == A else 200) as at:
        await at.webhooks.add("a", A, concurrency=1)
        await at.webhooks.add("b", B)
        await happen(at, 1, 2, 3)
        assert len([sent for sent in at.post.sent if sent.url == A]) == 1
        assert len([sent for sent in at.post.sent if sent.url == B]) == 3
        endpoint = await at.webhooks.get("a")
        assert (endpoint.enabled, endpoint.disabled_reason) == (False, "answered 410 Gone")
        assert await letters(at) == []
        failed = await deliveries(at, JobState.FAILED)
        assert len(failed) == 3
        assert "is disabled (answered 410 Gone)" in failed[0].error.message
        await happen(at, 4)
        assert len([sent for sent in at.post.sent if sent.url == A]) == 1
        record = next(r for r in await at.app.audit.list() if r.verb == "webhook.disable")
        assert record.ids == ("a",)


async def test_retry_after_is_kept_and_the_schedule_is_the_least() -> None:
    asked = iter([Answer(429, "", 0.0, 100.0), Answer(503, "", 0.0, 1.0), Answer(200, "", 0.0)])
    async with world(answer=lambda _: next(asked), retry_schedule=["10s", "10s", "10s"]) as at:
        await at.webhooks.add("a", A)
        await happen(at, 1)
        await at.app.travel("99s")
        assert len(at.post.sent) == 1
        await at.app.travel("2s")
        assert len(at.post.sent) == 2
        await at.app.travel("9s")
        assert len(at.post.sent) == 2
        await at.app.travel("4s")
        assert len(at.post.sent) == 3
        assert len(await deliveries(at, JobState.COMPLETED)) == 1


async def test_an_endpoint_that_cannot_be_reached_delays_no_other() -> None:
    async with world(answer=lambda sent: 0 if sent.url == A else 200) as at:
        await at.webhooks.add("a", A)
        await at.webhooks.add("b", B)
        await happen(at, *range(20))
        assert len([sent for sent in at.post.sent if sent.url == B]) == 20
        assert {job.state for job in await deliveries(at)} == {JobState.COMPLETED, JobState.RETRYING}
        jobs = await deliveries(at)
        assert {(job.concurrency_key, job.concurrency_max) for job in jobs} == {("relay|a", 2), ("relay|b", 2)}


async def test_what_waits_for_an_endpoint_that_was_removed_is_not_sent() -> None:
    async with world(answer=lambda _: 500) as at:
        await at.webhooks.add("a", A)
        await happen(at, 1)
        await at.webhooks.remove("a", reason="closed")
        await at.app.travel("1h")
        assert len(at.post.sent) == 1
        [failed] = await deliveries(at, JobState.FAILED)
        assert "no webhook endpoint 'a'" in failed.error.message
        assert await letters(at) == []


async def test_nobody_can_have_something_signed_by_enqueuing_a_delivery() -> None:
    async with world() as at:
        await at.webhooks.add("a", A, events=["cron.fired"])
        forged = {"id": "x", "type": "dispatch.job.failed", "at": "2026-01-01T00:00:00Z", "data": {"forged": True}}
        payload = json.dumps({"endpoint": "a", "event": forged}).encode()
        await at.app.store.jobs.enqueue([NewJob(JobID.new(), "relay.deliver", payload, queue="relay")])
        await at.app.run_until_idle()
        assert at.post.sent == []
        job = (await at.app.jobs.list(ListOptions(names=["relay.deliver"]))).items[0]
        assert job.error is not None and "only the relay makes deliveries" in job.error.message


async def test_a_rate_is_kept_over_all_workers() -> None:
    from dispatch_relay.pace import LONGEST_WAIT, Pace

    async with world() as at:
        here, there = Pace(at.app.store.records), Pace(at.app.store.records)
        now = at.app.now()
        waits = [await pace.turn("a", 2.0, now) for pace in (here, there, here, there)]
        assert waits == [(True, 0.0), (True, 0.5), (True, 1.0), (True, 1.5)]
        assert await here.turn("b", 2.0, now) == (True, 0.0)
        assert await here.turn("c", 1 / 60, now) == (True, 0.0)
        assert await there.turn("c", 1 / 60, now) == (False, 60.0)
        assert LONGEST_WAIT < 60
        assert await here.turn("a", 2.0, now + timedelta(minutes=1)) == (True, 0.0)


async def test_deliveries_beyond_a_slow_rate_come_back_later_and_count_no_attempt() -> None:
    async with world() as at:
        await at.webhooks.add("a", A, rate="1/m")
        await happen(at, 1, 2)
        assert len(at.post.sent) == 1
        await at.app.travel("3m")
        assert len(at.post.sent) == 2
        assert {job.failures for job in await deliveries(at)} == {0}


async def test_the_secret_is_given_once_and_shown_nowhere_else(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    async with world(answer=lambda _: 500) as at:
        headers = {"Authorization": "Bearer s3cr3t-token", "X-Team": "core"}
        endpoint, key = await at.webhooks.add("a", f"{A}?token=t0p-s3cr3t", headers=headers)
        await happen(at, 1)
        assert at.post.sent[0].headers["Authorization"] == "Bearer s3cr3t-token"
        shown = f"{endpoint!r} {endpoint} {endpoint.document()} {endpoint.secrets} {caplog.text}"
        shown += str(await at.app.audit.list()) + str([job.error for job in await deliveries(at)])
        for secret in (key, key.removeprefix("whsec_"), "s3cr3t-token", "t0p-s3cr3t"):
            assert secret not in shown
        assert "core" in shown


async def test_rotation_signs_with_both_secrets_for_a_while() -> None:
    async with world() as at:
        _, first = await at.webhooks.add("a", A)
        _, second = await at.webhooks.rotate("a")
        await happen(at, 1)
        sent = at.post.sent[-1]
        assert Webhook(first).verify(sent.raw, sent.headers) == Webhook(second).verify(sent.raw, sent.headers)
        _, third = await at.webhooks.rotate("a", overlap=timedelta(0))
        await happen(at, 2)
        sent = at.post.sent[-1]
        assert Webhook(third).verify(sent.raw, sent.headers)
        for old in (first, second):
            assert not _verifies(old, sent)


def _verifies(key: str, sent: Sent) -> bool:
    from standardwebhooks import WebhookVerificationError

    try:
        Webhook(key).verify(sent.raw, sent.headers)
    except WebhookVerificationError:
        return False
    return True


async def test_a_test_is_sent_at_once_and_tells_what_came_back() -> None:
    async with world(answer=lambda sent: {A: 204, B: 0}.get(sent.url, 500)) as at:
        _, key = await at.webhooks.add("a", A, tenant="shop/t-1")
        await at.webhooks.add("b", B)
        await at.webhooks.add("c", "https://c.example/")
        tried = await at.webhooks.test("a")
        assert (tried.arrived, tried.status) == (True, 204)
        assert at.post.sent[0].body["type"] == "dispatch.test"
        assert Webhook(key).verify(at.post.sent[0].raw, at.post.sent[0].headers)
        assert ((await at.webhooks.test("b")).arrived, (await at.webhooks.test("b")).status) == (False, None)
        assert ((await at.webhooks.test("c")).arrived, (await at.webhooks.test("c")).status) == (False, 500)
        with pytest.raises(EndpointNotFound):
            await at.webhooks.test("nope")


async def test_redelivery_sends_again_under_the_same_id() -> None:
    fails = True
    async with world(answer=lambda _: 500 if fails else 200, retry_schedule=["1s"]) as at:
        await at.webhooks.add("a", A)
        await happen(at, 1)
        [waiting] = await deliveries(at)
        with pytest.raises(JobNotRetryable, match="on its way"):
            await at.webhooks.redeliver(waiting.id)
        await at.app.travel("5s")
        fails = False
        assert await at.webhooks.redeliver(waiting.id) == waiting.id
        await at.app.run_until_idle()
        assert await letters(at) == []
        again = await at.webhooks.redeliver(waiting.id)
        assert again != waiting.id
        await at.app.run_until_idle()
        assert [sent.id for sent in at.post.sent] == ["job_1:1"] * 4
        other = await at.app.store.jobs.get(again)
        assert other is not None and other.state is JobState.COMPLETED
        with pytest.raises(JobNotFound, match="no delivery"):
            await at.webhooks.redeliver(JobID.new())


async def test_deliveries_are_listed_by_endpoint_and_state() -> None:
    async with world(answer=lambda sent: 500 if sent.url == A else 200) as at:
        await at.webhooks.add("a", A)
        await at.webhooks.add("b", B)
        await happen(at, 1, 2)
        assert len((await at.webhooks.deliveries(endpoint="a")).items) == 2
        assert (await at.webhooks.deliveries(endpoint="a", states=[JobState.COMPLETED])).items == []
        with pytest.raises(EndpointNotFound):
            await at.webhooks.deliveries(endpoint="nope")
        assert (await at.app.jobs.list(ListOptions())).items == []


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"name": "a b"}, "no endpoint's name"),
        ({"url": "http://a.example/"}, r"not https.*; \[plugin\.relay\] allow_http permits it"),
        ({"url": "https://user:pw@a.example/"}, "credentials"),
        ({"url": "https://a.example/#x"}, "fragment"),
        ({"url": "https://127.0.0.1/"}, "loopback"),
        ({"url": "https://[::ffff:10.0.0.1]/"}, "private"),
        ({"url": "ftp://a.example/"}, "https://host/path"),
        ({"url": "https://a.example/" + "x" * 3000}, "characters"),
        ({"events": []}, "never called"),
        ({"events": ["job.exploded"]}, "no event type"),
        ({"headers": {"Host": "x"}}, "relay's own"),
        ({"headers": {"Webhook-Id": "x"}}, "relay's own"),
        ({"headers": {"X-A": "1\r\nX-B: 2"}}, "printable"),
        ({"headers": {"X A": "1"}}, "no name"),
        ({"rate": "fast"}, "10/s"),
        ({"rate": 0}, "10/s"),
        ({"concurrency": 0}, "at least 1"),
        ({"secret": "whsec_no"}, "openssl"),
    ],
    ids=lambda value: "" if isinstance(value, dict) else value,
)
async def test_an_endpoint_that_cannot_be_is_refused_and_nothing_is_stored(wrong: dict[str, Any], said: str) -> None:
    async with world() as at:
        with pytest.raises(InvalidEndpoint, match=said):
            await at.webhooks.add(**{"name": "a", "url": A, **wrong})
        assert await at.webhooks.list() == []


async def test_names_are_taken_once_and_those_of_the_configuration_are_its_own() -> None:
    async with world(endpoints={"conf": {"url": A, "secret": new_secret()}}) as at:
        await at.webhooks.add("a", A)
        with pytest.raises(EndpointExists):
            await at.webhooks.add("a", B)
        for act in (at.webhooks.add("conf", B), at.webhooks.rotate("conf"), at.webhooks.remove("conf")):
            with pytest.raises(EndpointConfigured, match=r"plugin\.relay\.endpoints\.conf"):
                await act
        assert not (await at.webhooks.disable("conf", reason="x")).enabled
        assert (await at.webhooks.get("conf")).origin == "config"


async def test_every_change_leaves_an_audit_record() -> None:
    async with world() as at:
        await at.webhooks.add("a", A)
        await at.webhooks.rotate("a")
        await at.webhooks.disable("a", reason="why not")
        await at.webhooks.enable("a")
        await at.webhooks.test("a")
        await at.webhooks.remove("a", reason="done")
        verbs = [record.verb for record in reversed(await at.app.audit.list())]
        assert verbs == [f"webhook.{verb}" for verb in ("add", "rotate", "disable", "enable", "test", "remove")]


@pytest.mark.parametrize("data", [b"no json", b"[1]", b'{"x": NaN}', b"\xff", b"null"], ids=range(5))
async def test_an_odd_entry_of_the_feed_is_told_of_and_holds_up_nothing(
    data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with world() as at:
        await at.webhooks.add("a", A, events=["job.completed"])
        await at.app.store.stream.append([StreamEntry("job.completed", "odd", "job.completed", data)])
        await happen(at, 1)
        assert [sent.id for sent in at.post.sent] == ["job_1:1"]
        assert "the event odd (dispatch.job.completed) is no webhook" in caplog.text


async def test_a_payload_function_that_hangs_is_cut_off_and_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dispatch_relay.delivery.LONGEST_ATTEMPT", 0.1)
    hangs = True

    async def slow(event: Any) -> Any:
        if hangs:
            await asyncio.Event().wait()
        return event.data

    async with world(payload_funcs={"dispatch.job.completed": slow}, retry_schedule=["1s"]) as at:
        await at.webhooks.add("a", A, events=["job.completed"])
        await happen(at, 1)
        assert at.post.sent == []
        hangs = False
        await at.app.travel("2s")
        assert len(at.post.sent) == 1


async def test_nobody_listens_for_endpoints_that_are_gone() -> None:
    async with world() as at:
        await at.webhooks.add("a", A)
        await at.webhooks.add("b", B, events=["job.failed"])
        await at.webhooks.remove("a")
        await happen(at, 1)
        assert (await at.app.store.stream.read_after(["job.completed"], 0)).entries == []
        await happen(at, 2, kind="job.failed")
        assert len(at.post.sent) == 1
        assert listener_of("a") != listener_of("b")


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({"endpoints": {"a": {"url": A}}}, "plugin.relay.endpoints.a.secret"),
        ({"endpoints": {"a": {"url": A, "secret": "hunter2-hunter2"}}}, "openssl"),
        ({"endpoints": {"a": {"url": "http://a.example", "secret": new_secret()}}}, "allow_http"),
        ({"endpoints": {"a": {"url": A, "secret": new_secret(), "colour": "red"}}}, "colour"),
        ({"retry_schedule": []}, "retry_schedule"),
        ({"retry_schedule": ["soon"]}, "duration"),
        ({"enabled_events": ["nope"]}, "no event type"),
    ],
)
def test_settings_that_cannot_be_stop_the_start_and_show_no_secret(section: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidEndpoint, match=said) as refused:
        RelayExtension(**section)
    assert "hunter2" not in str(refused.value)


async def test_it_is_loaded_by_name_with_its_section_of_the_configuration() -> None:
    section = {"allow_hosts": ["10.0.0.0/8"], "endpoints": {"a": {"url": A, "secret": new_secret()}}}
    config = Config(plugins=["dispatch_relay:RelayExtension"], plugin={"dispatch_relay:RelayExtension": section})
    async with Dispatch("memory://", config=config, registry=Registry()) as app:
        assert "relay" in app.served_queues()
        await app.start()
        assert app.engine is not None
