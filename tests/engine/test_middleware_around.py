"""Middleware stands around the handler: in order, of the definition and of plugins, and may answer in its place."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from dispatch import WorkflowContext, hookimpl
from dispatch.errors import Fail, JobFailed
from dispatch.jobs.context import current_job
from dispatch.jobs.handler import Middleware, Next
from dispatch.jobs.model import Job
from dispatch.registry import Registry
from dispatch.scope import capture, use_scope

from .conftest import Start


def marking(name: str, seen: list[str]) -> Any:
    async def middleware(job: Job, call_next: Next) -> Any:
        seen.append(f"{name} in")
        try:
            return await call_next(job)
        finally:
            seen.append(f"{name} out")

    return middleware


async def test_middleware_stands_around_the_handler_in_order(registry: Registry, start: Start) -> None:
    seen: list[str] = []

    class Plugin:
        @hookimpl
        def register_middleware(self) -> list[Any]:
            return [marking("plugin", seen)]

    @registry.job(middleware=[marking("own", seen)])
    async def work() -> None:
        seen.append("work")

    app = await start(app={"middleware": [marking("first", seen), marking("second", seen)], "plugins": [Plugin()]})
    await (await app.enqueue(work)).result(timeout=5)
    assert seen == [
        "plugin in",
        "first in",
        "second in",
        "own in",
        "work",
        "own out",
        "second out",
        "first out",
        "plugin out",
    ]


async def test_a_definition_s_middleware_is_its_own(registry: Registry, start: Start) -> None:
    seen: list[str] = []

    @registry.job(middleware=[marking("own", seen)])
    def plain() -> int:
        return 1

    @registry.job
    def other() -> int:
        return 2

    app = await start()
    assert await (await app.enqueue(other)).result(timeout=5) == 2
    assert seen == []
    assert await (await app.enqueue(plain)).result(timeout=5) == 1
    assert seen == ["own in", "own out"]


async def test_bodies_and_steps_of_workflows_have_no_middleware_but_steps_on_the_workers_have(
    registry: Registry, start: Start
) -> None:
    seen: list[str] = []

    def noting(who: str) -> Middleware:
        async def note(job: Job, call_next: Next) -> Any:
            seen.append(f"{who} {job.name}")
            return await call_next(job)

        return note

    @registry.job(middleware=[noting("definition's")])
    async def work() -> None: ...

    @registry.workflow
    async def flow(ctx: WorkflowContext) -> None:
        await ctx.step("here", work)
        await ctx.step("there", work).on_workers()

    app = await start(app={"middleware": [noting("app's")]})
    run = await app.start_workflow(flow)
    await run.result(timeout=5)
    assert seen == ["app's work", "definition's work"]


async def test_middleware_may_answer_instead_of_the_handler_and_change_its_result(
    registry: Registry, start: Start
) -> None:
    async def cached(job: Job, call_next: Next) -> Any:
        return "from the cache" if job.metadata.get("cached") else f"fresh: {await call_next(job)}"

    calls = 0

    @registry.job
    async def work() -> str:
        nonlocal calls
        calls += 1
        return "value"

    await start(app={"middleware": [cached]})
    assert await (await work.options(metadata={"cached": True}).enqueue()).result(timeout=5) == "from the cache"
    assert calls == 0
    assert await (await work.enqueue()).result(timeout=5) == "fresh: value"


async def test_what_middleware_raises_is_the_attempt_s_outcome(registry: Registry, start: Start) -> None:
    async def closed(job: Job, call_next: Next) -> Any:
        raise Fail("closed on Sundays", dead_letter=False)

    @registry.job
    async def work() -> None: ...

    app = await start(app={"middleware": [closed]})
    with pytest.raises(JobFailed, match="closed on Sundays"):
        await (await app.enqueue(work)).result(timeout=5)
    assert await app.dlq.count() == 0


async def test_middleware_sees_the_job_in_its_tenant_and_knows_the_current_job(
    registry: Registry, start: Start
) -> None:
    async def looks(job: Job, call_next: Next) -> Any:
        return [capture().tenant, current_job().id == job.id, await call_next(job)]

    @registry.job
    async def work() -> str:
        return capture().tenant

    app = await start(app={"middleware": [looks]})
    with use_scope("shop", "t-1"):
        handle = await app.enqueue(work)
    assert await handle.result(timeout=5) == ["shop/t-1", True, "shop/t-1"]


async def test_a_meter_and_a_tracer_that_were_given_are_used(registry: Registry, start: Start) -> None:
    reader, spans = InMemoryMetricReader(), InMemorySpanExporter()
    tracers = TracerProvider()
    tracers.add_span_processor(SimpleSpanProcessor(spans))

    @registry.job
    async def work() -> None: ...

    meters = MeterProvider([reader])
    app = await start(app={"meter_provider": meters, "tracer_provider": tracers})
    await (await app.enqueue(work)).result(timeout=5)
    data = reader.get_metrics_data()
    assert data is not None
    names = {m.name for r in data.resource_metrics for s in r.scope_metrics for m in s.metrics}
    assert {"dispatch.job.enqueued", "dispatch.job.duration", "dispatch.store.call.duration"} <= names
    names = {span.name: (span.attributes or {})["dispatch.job.name"] for span in spans.get_finished_spans()}
    assert names == {"send default": "work", "process default": "work"}
    meters.shutdown()
    tracers.shutdown()
