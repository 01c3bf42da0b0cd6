"""Runs in transfer: journals, children, waits and signals go out as documents, and come back as they were."""

from __future__ import annotations

from typing import Any

from dispatch.entity import Reply
from dispatch.errors import DataRejected
from dispatch.events import Event
from dispatch.ids import RunID
from dispatch.jobs.model import JobState, Unique, Verdict
from dispatch.scope import Scope
from dispatch.testing.conformance.dumps import Dump, dump_of, elsewhere, load_all
from dispatch.testing.conformance.env import BOOM, Env, raises
from dispatch.testing.conformance.flows import begin, drive, made, new_run, step, with_job, with_run
from dispatch.testing.conformance.registry import case
from dispatch.transfer import KINDS, RUN_KINDS, Document, TransferKind
from dispatch.workflows.model import Group, ListOptions, NewCheckpoint, RunState

_A = Scope("shop", "a")


async def populate_runs(env: Env) -> None:
    """Runs in every state, with what can hang on them."""
    await made(env, new_run("pending", delay=3600.0, scope=_A, tags=("x",), metadata={"n": 1}))
    running = await begin(env, name="running", payload=b'{"a": 1}', unique=Unique("only one"))
    await running.record(step("charge", b'"ok"', attempt=2, started_at=env.after(-3)), step("empty", b""))
    await running.undoing()
    await _add_waiting(env)
    await _add_family(env)
    await _add_ended(env)
    blocked = await begin(env, name="blocked")
    await blocked.leave(Verdict.RETRY, failure=BOOM, delay=0.0)
    blocked = await drive(env, blocked.id)
    await blocked.block("charge is a sleep now")
    compensating = await begin(env, name="undoing")
    await compensating.record(step("a"), step("b"))
    await compensating.compensate(failure=BOOM)
    await compensating.undoing()
    await compensating.park(until=env.after(600))
    moved = await begin(env, name="moved")
    await moved.park(until=env.after(60))
    await env.store.workflows.migrate(moved.id, version=2)
    fork = new_run("fork", delay=60.0)
    await env.store.workflows.fork(running.id, before="empty", run=fork, edits={"charge": b"0"})


async def _add_waiting(env: Env) -> None:
    """Parked for events, some of which have come, one of them consumed."""
    waiting = await begin(env, name="waiting", scope=_A)
    await env.store.events.publish(Event("signal", b"1", run_id=waiting.id))
    await env.store.events.publish(Event("signal", b"2", run_id=waiting.id))
    found = (await waiting.wait("first", "signal", "other")).event
    assert found is not None
    await waiting.record(NewCheckpoint("first", "wait", found.payload, event_id=found.id))
    await waiting.wait("second", "paid", key="7", timeout=500.0)
    await waiting.wait("third", "sent", "late", since=env.after(-60))
    assert await waiting.park(until=env.after(500)) is Reply.APPLIED


async def _add_family(env: Env) -> None:
    """A parent that is parked on three children, of which one has failed, and on a job, for ever."""
    parent = await begin(env, name="parent")
    first = await with_run(parent, "one")
    await with_run(parent, "two", abandon=True)
    await with_run(parent, "three", awaited=False)
    job = await with_job(parent, "work")
    child = await drive(env, first)
    await child.finish("failed", failure=BOOM, reason="exhausted")
    groups = Group(("one", "two"), "all"), Group(("work",), "any")
    assert await parent.park(*groups) is Reply.APPLIED
    assert (await env.job(job)).state is JobState.PENDING


async def _add_ended(env: Env) -> None:
    completed = await begin(env, name="completed")
    await completed.record(step("a"))
    await completed.finish("completed", result=b"[1, 2]")
    failed = await begin(env, name="failed")
    await failed.compensate(failure=BOOM)
    await failed.undoing()
    await failed.finish("failed", failure=BOOM, compensation_failed=True)
    cancelled = await begin(env, name="cancelled")
    await env.store.workflows.cancel(cancelled.id, reason="no more")
    await cancelled.finish("cancelled")
    retried = await begin(env, name="retried")
    await retried.finish("failed", failure=BOOM)
    await env.store.workflows.retry(retried.id)


async def _seen(env: Env) -> dict[RunID, Any]:
    """All that the verbs tell of each run."""
    workflows = env.store.workflows
    found = {}
    for listed in (await workflows.list(ListOptions(limit=500))).items:
        run = await workflows.get(listed.id)
        (activation,) = await workflows.load([listed.driver])
        waits = sorted(await workflows.waits(listed.id), key=lambda wait: wait.name)
        results = sorted(await workflows.children(listed.id), key=lambda result: result.step)
        found[listed.id] = (run, list(await workflows.timeline(listed.id)), waits, results, activation)
    return found


@case("I1", "I18", "I23")
async def runs_load_elsewhere_and_export_the_same(env: Env) -> None:
    await populate_runs(env)
    dump, other = await dump_of(env.store), await elsewhere(env)
    assert all(dump[kind] for kind in RUN_KINDS), f"nothing of {[kind for kind in RUN_KINDS if not dump[kind]]}"
    assert {document["state"] for document in dump["runs"]} == set(RunState)
    assert {document["consumed"] for document in dump["events"]} == {True, False}
    (parent,) = (document for document in dump["runs"] if document["name"] == "parent")
    assert parent["groups"] == [{"mode": "all", "steps": ["two"]}, {"mode": "any", "steps": ["work"]}]
    assert await load_all(other.store, dump) == {kind: len(dump[kind]) for kind in KINDS}
    assert await dump_of(other.store) == dump
    assert await dump_of(env.store, limit=2) == dump
    assert await other.dump() == await env.dump()
    assert await _seen(other) == await _seen(env)


@case("I1", "I18")
async def runs_that_another_store_exported_load_and_export_the_same(env: Env) -> None:
    other = await elsewhere(env)
    await populate_runs(other)
    dump = await dump_of(other.store)
    assert await load_all(env.store, dump) == {kind: len(dump[kind]) for kind in KINDS}
    assert await dump_of(env.store) == dump
    assert await env.store.transfer.count() == {kind: len(dump[kind]) for kind in KINDS}
    assert await env.dump() == await other.dump()
    assert await _seen(env) == await _seen(other)
    assert await env.store.workflows.count() == await other.store.workflows.count()


@case("I2", "I18")
async def loading_runs_again_changes_nothing_whatever_the_documents_say(env: Env) -> None:
    await populate_runs(env)
    dump = await dump_of(env.store)
    other: Dump = {kind: [_altered(kind, document) for document in documents] for kind, documents in dump.items()}
    for again in (dump, other):
        assert await load_all(env.store, again) == dict.fromkeys(KINDS, 0)
        assert await dump_of(env.store) == dump


def _altered(kind: TransferKind, document: Document) -> Document:
    changes: dict[str, Any] = {
        "runs": {"wake_seq": 99, "groups": [{"mode": "any", "steps": ["nobody"]}]},
        "checkpoints": {"data": b"other"},
        "child_results": {"state": "cancelled"},
        "waits": {"events": ["other"], "deadline": 1},
        "jobs": {"step": "other"},
        "events": {"payload": b"other", "consumed": not document.get("consumed")},
    }
    return {**document, **changes.get(kind, {})}


@case("I18", "I22")
async def a_checkpoint_whose_place_name_or_event_is_taken_is_not_loaded(env: Env) -> None:
    other = await elsewhere(env)
    await populate_runs(other)
    dump = await dump_of(other.store)
    await load_all(env.store, dump)
    taken = next(document for document in dump["checkpoints"] if document["event_id"] is not None)
    fresh: Document = {**taken, "id": "chk_00000000000000000000000009"}
    for changes in (
        {"position": 99, "event_id": None},
        {"position": 99, "name": "n"},
        {"name": "n", "event_id": None},
    ):
        assert await env.store.transfer.load("checkpoints", [{**fresh, **changes}]) == 0
    assert await env.store.transfer.load("checkpoints", [{**fresh, "position": 99, "name": "n", "event_id": None}]) == 1


@case()
async def a_document_of_a_run_with_other_fields_is_refused_and_nothing_is_written(env: Env) -> None:
    other = await elsewhere(env)
    await populate_runs(other)
    dump = await dump_of(other.store)
    for kind in RUN_KINDS:
        good, bad = dump[kind], {**dump[kind][-1]}
        bad.popitem()
        with raises(DataRejected):
            await env.store.transfer.load(kind, [*good[:-1], bad])
        with raises(DataRejected):
            await env.store.transfer.load(kind, [*good, {**good[0], "unheard_of": 1}])
        assert await env.store.transfer.count() == {each: len(dump[each]) * (each in _before(kind)) for each in KINDS}
        await env.store.transfer.load(kind, good)


def _before(kind: TransferKind) -> tuple[TransferKind, ...]:
    return RUN_KINDS[: RUN_KINDS.index(kind)]


@case()
async def large_results_of_runs_come_in_smaller_pages_but_they_come(env: Env) -> None:
    held = await begin(env)
    large = b'"' + b"x" * 3_000_000 + b'"'
    for name in ("a", "b", "c"):
        await held.record(step(name, large))
    await held.finish(result=large)
    dump = await dump_of(env.store)
    assert [document["name"] for document in dump["checkpoints"]] == ["a", "b", "c"]
    assert {len(document["data"]) for document in dump["checkpoints"]} == {len(large)}
    assert len(dump["runs"][0]["result"]) == len(large)
    page = await env.store.transfer.export("checkpoints", limit=3)
    assert 1 <= len(page.items) <= 3
