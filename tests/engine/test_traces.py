"""One trace from a request to the last step of what it asked for."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from dispatch import Config, Dispatch, Scope, WorkflowContext, current_job, testing
from dispatch.backoff import Constant
from dispatch.errors import DuplicateJob
from dispatch.jobs.model import Enqueued, ListOptions, NewJob
from dispatch.portal import run_on
from dispatch.registry import Registry
from dispatch.stores.sql.plan import Do, Plan
from dispatch.stores.sqlite import SQLiteStore
from dispatch.telemetry import trace_ids

from .conftest import Start
from .facts import eventually
from .family import family

DEADLINE = 20.0


class Traces:
    """What was exported, by name and as a tree."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracer = self.provider.get_tracer("test")

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        return self.exporter.get_finished_spans()

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.spans if span.name == name]

    def tree(self) -> list[str]:
        """Every span under its parent, two blanks deeper, siblings in the order of their start."""
        ordered = sorted(self.spans, key=lambda span: span.start_time or 0)

        def below(parent: int | None, depth: int) -> Iterator[str]:
            for span in ordered:
                if (span.parent.span_id if span.parent else None) == parent:
                    yield "  " * depth + span.name
                    assert span.context is not None
                    yield from below(span.context.span_id, depth + 1)

        return list(below(None, 0))


@pytest.fixture
def traces() -> Iterator[Traces]:
    found = Traces()
    yield found
    found.provider.shutdown()


ONE_TRACE = [
    "POST /orders",
    "  send orders",
    "    process orders",
    "      send default",
    "        run checkout",
    "          step charge",
    "          send default",
    "            process default",
    "          send default",
    "            run ship",
    "              step pack",
    "        run checkout",
    "          send default",
    "            process default",
]


async def test_one_trace_leads_from_a_request_through_job_workflow_step_and_child(traces: Traces) -> None:
    registry = Registry()
    order = family(registry)
    async with testing.app(registry, tracer_provider=traces.provider) as app:
        with traces.tracer.start_as_current_span("POST /orders", kind=SpanKind.SERVER):
            await app.enqueue(order)
        await app.run_until_idle()
    assert traces.tree() == ONE_TRACE
    assert len({span.context.trace_id for span in traces.spans if span.context}) == 1
    (charge,) = traces.named("step charge")
    assert charge.kind is SpanKind.INTERNAL
    (pack,) = traces.named("run ship")
    assert (pack.kind, (pack.attributes or {})["dispatch.workflow.version"]) == (SpanKind.CONSUMER, 1)
    consumers = [span for span in traces.spans if span.kind is SpanKind.CONSUMER]
    assert all(span.parent == span.links[0].context for span in consumers)


async def test_a_worker_of_its_own_shows_the_same_tree(registry: Registry, start: Start, traces: Traces) -> None:
    order = family(registry)
    app = await start(app={"tracer_provider": traces.provider})
    with traces.tracer.start_as_current_span("POST /orders", kind=SpanKind.SERVER):
        await app.enqueue(order)
    await eventually(lambda: traces.named("step pack") and len(traces.named("process default")) == 2)
    await app.close()
    (step,) = traces.named("step pack")
    (request,) = traces.named("POST /orders")
    assert step.context is not None and request.context is not None
    assert step.context.trace_id == request.context.trace_id


async def test_with_links_each_attempt_begins_a_trace_of_its_own(traces: Traces) -> None:
    registry = Registry()
    order = family(registry)
    config = Config.model_validate({"telemetry": {"trace": "link"}})
    async with testing.app(registry, tracer_provider=traces.provider, config=config) as app:
        await app.enqueue(order)
        await app.run_until_idle()
    roots = [line for line in traces.tree() if not line.startswith(" ")]
    assert roots[:3] == ["send orders", "process orders", "run checkout"]
    (process,) = traces.named("process orders")
    (send,) = traces.named("send orders")
    assert send.context is not None
    assert [link.context.span_id for link in process.links] == [send.context.span_id]


async def test_every_way_to_enqueue_has_its_producer_span(traces: Traces) -> None:
    registry = Registry()

    @registry.job(queue="mails")
    async def mail(to: str) -> None: ...

    @registry.workflow
    async def campaign(ctx: WorkflowContext) -> None: ...

    async with testing.app(registry, tracer_provider=traces.provider) as app:
        await mail.enqueue("a")
        await mail.enqueue_many([mail.call("b"), mail.options(queue="slow").call("c"), mail.call("d")])
        await app.jobs.enqueue_named("mail", {"to": "e"})
        await campaign.options(queue="runs").start()
        await app.workflows.start_named("campaign")
        await asyncio.to_thread(lambda: mail.sync.enqueue("f"))
        sent = [span for span in traces.spans if span.name.startswith("send ")]
        jobs = (await app.jobs.list(ListOptions())).items
    assert [span.name for span in sent] == [
        "send mails",
        *("send mails", "send slow"),
        "send mails",
        "send runs",
        "send default",
        "send mails",
    ]
    assert all(span.kind is SpanKind.PRODUCER for span in sent)
    batch = dict(sent[1].attributes or {})
    assert (batch["messaging.batch.message_count"], "messaging.message.id" in batch) == (2, False)
    assert dict(sent[2].attributes or {})["messaging.operation.name"] == "send"
    named = {f"{span.context.span_id:016x}" for span in sent if span.context}
    of_jobs = {job.metadata["traceparent"].split("-")[2] for job in jobs}
    assert len(jobs) == 6 and len(of_jobs) == 5 and of_jobs < named


def test_a_job_inside_of_the_caller_s_transaction_names_its_producer(traces: Traces, tmp_path: Path) -> None:
    registry = Registry()

    @registry.job
    def work() -> None: ...

    url = f"sqlite:///{tmp_path}/a.db"
    with (
        Dispatch(url, config=Config(), registry=registry, tracer_provider=traces.provider) as app,
        contextlib.closing(sqlite3.connect(tmp_path / "a.db")) as connection,
    ):
        with traces.tracer.start_as_current_span("request"), connection:
            handle = work.options(connection=connection).sync.enqueue()
        job = app.sync.jobs.get(handle.id)
    (send,) = traces.named("send default")
    assert send.context is not None and send.parent is not None
    assert job.metadata["traceparent"].split("-")[2] == f"{send.context.span_id:016x}"


def test_an_enqueue_that_the_store_declines_in_the_caller_s_thread_is_sent_once(
    traces: Traces, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = Registry()
    begun, end = threading.Event(), threading.Event()

    @registry.job
    def work() -> None: ...

    def another() -> Plan[None]:
        yield Do("pause_queue", {"queue": "q", "now": 1, "until": None, "by": "", "reason": "", "force": 0})
        begun.set()
        end.wait(DEADLINE)

    with Dispatch(
        f"sqlite:///{tmp_path}/a.db", config=Config(), registry=registry, tracer_provider=traces.provider
    ) as app:
        store, answers = app.store, list[list[Enqueued] | None]()
        assert isinstance(store, SQLiteStore)
        here = store.jobs.enqueue_here

        def asked(jobs: Sequence[NewJob]) -> list[Enqueued] | None:
            answers.append(here(jobs))
            end.set()
            return answers[-1]

        monkeypatch.setattr(store.jobs, "enqueue_here", asked)
        writing = run_on(app.loop, lambda: store._executor.run(another))
        assert begun.wait(DEADLINE)
        job = app.sync.jobs.get(work.sync.enqueue().id)
        writing.result(DEADLINE)
    assert answers == [None]
    (send,) = traces.spans
    assert send.context is not None
    assert job.metadata["traceparent"].split("-")[2] == f"{send.context.span_id:016x}"


async def test_what_a_handler_logs_names_the_span_it_stands_in(traces: Traces) -> None:
    registry = Registry()

    @registry.job
    async def work() -> dict[str, str]:
        return trace_ids()

    async with testing.app(registry, tracer_provider=traces.provider) as app:
        handle = await work.enqueue()
        await app.run_until_idle()
        found = await handle.result(timeout=1)
    (process,) = traces.named("process default")
    assert process.context is not None
    assert found == {"trace_id": f"{process.context.trace_id:032x}", "span_id": f"{process.context.span_id:016x}"}
    assert trace_ids() == {}


async def test_an_enqueue_that_fails_is_an_error_of_its_span(traces: Traces) -> None:
    registry = Registry()

    @registry.job(unique=True, on_conflict="raise")
    async def once() -> None: ...

    async with testing.app(registry, tracer_provider=traces.provider):
        await once.enqueue()
        with pytest.raises(DuplicateJob):
            await once.enqueue()
    assert [span.status.status_code for span in traces.spans] == [StatusCode.UNSET, StatusCode.ERROR]


async def test_a_producer_that_the_caller_names_is_kept(traces: Traces) -> None:
    registry = Registry()

    @registry.job
    async def work() -> None: ...

    parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    async with testing.app(registry, tracer_provider=traces.provider) as app:
        await work.options(metadata={"traceparent": parent}).enqueue()
        await app.run_until_idle()
    (span,) = traces.named("process default")
    assert span.context is not None and span.parent is not None
    assert (span.context.trace_id, span.parent.span_id) == (0x4BF92F3577B34DA6A3CE929D0E0E4736, 0x00F067AA0BA902B7)


async def test_retries_replays_and_forks_go_on_in_the_trace(traces: Traces) -> None:
    registry = Registry()

    @registry.job(max_retries=1, backoff=Constant(1))
    async def fails() -> None:
        raise ValueError("no")

    @registry.workflow
    async def steps(ctx: WorkflowContext) -> None:
        await ctx.step("one", asyncio.sleep, 0)
        await ctx.step("two", asyncio.sleep, 0)

    async with testing.app(registry, tracer_provider=traces.provider) as app:
        with traces.tracer.start_as_current_span("request"):
            await fails.enqueue()
            run = await steps.start()
        await app.travel(60)
        (letter,) = (await app.dlq.list()).items
        await app.dlq.replay(letter.id)
        await app.workflows.fork(run.id, before="two")
        await app.travel(60)
    assert len(traces.named("process default")) == 4
    assert len(traces.named("step two")) == 2
    assert len({span.context.trace_id for span in traces.spans if span.context}) == 1
    assert all(span.status.status_code is StatusCode.ERROR for span in traces.named("process default"))


async def test_a_job_hands_its_trace_on_where_nobody_makes_spans(traces: Traces) -> None:
    registry = Registry()

    @registry.job
    async def second() -> str:
        return str(current_job().metadata.get("traceparent"))

    parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

    @registry.job
    async def outer() -> str:
        return (await second.enqueue()).id

    async with testing.app(registry) as app:
        handle = await outer.options(metadata={"traceparent": parent}).enqueue()
        await app.run_until_idle()
        inner = await app.jobs.get(await handle.result(timeout=1))  # type: ignore[arg-type]
    assert inner.metadata == {"traceparent": parent}


async def test_the_firing_of_a_cron_entry_begins_a_trace(traces: Traces) -> None:
    registry = Registry()

    @registry.cron("* * * * *", name="each")
    @registry.job
    async def tick() -> None: ...

    @registry.workflow
    async def nightly(ctx: WorkflowContext) -> None: ...

    async with testing.app(registry, tracer_provider=traces.provider) as app:
        await app.crons.create("runs", "0 0 1 1 *", nightly.call(), scope=Scope("shop", "t-1"))
        await app.travel(60)
        await app.crons.trigger("runs", scope=Scope("shop", "t-1"))
        await app.run_until_idle()
    assert traces.tree() == ["fire each", "  process default", "fire runs", "  run nightly"]
    assert dict(traces.named("fire runs")[0].attributes or {}) == {
        "dispatch.cron.name": "runs",
        "dispatch.scope.app_id": "shop",
        "dispatch.scope.org_id": "t-1",
    }


async def test_events_and_failures_are_spans(traces: Traces) -> None:
    registry = Registry()

    async def breaks() -> None:
        raise RuntimeError("broken")

    async def undo(value: object) -> None: ...

    @registry.workflow(max_retries=0)
    async def fragile(ctx: WorkflowContext) -> None:
        await ctx.step("one", asyncio.sleep, 0).compensate(undo)
        await ctx.wait_for_event("go")
        await ctx.step("two", breaks)

    async with testing.app(registry, tracer_provider=traces.provider) as app:
        await fragile.start()
        await app.run_until_idle()
        await app.events.publish("go")
        await app.run_until_idle()
    assert [span.name for span in traces.spans if span.status.status_code is StatusCode.ERROR] == [
        "step two",
        "run fragile",
    ]
    assert len(traces.named("step one~undo")) == len(traces.named("publish go")) == 1
