"""A request to the HTTP API is a span, in the trace of whoever asked, and the beginning of what it enqueues."""

from __future__ import annotations

from typing import Any

import httpx2
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from dispatch import testing
from dispatch.api import API
from dispatch.registry import Registry

CALLER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


async def ask(app: Any, path: str, **more: Any) -> int:
    transport = httpx2.ASGITransport(API(app).asgi())
    key = await app.keys.create("test", scopes=["job:read", "job:write"])
    headers = {"Authorization": f"Bearer {key.token}", **more.pop("headers", {})}
    async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        return (await client.request(url=path, headers=headers, **more)).status_code


async def test_a_request_leads_to_the_job_it_enqueues_in_the_caller_s_trace() -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    registry = Registry()

    @registry.job
    async def work() -> None: ...

    async with testing.app(registry, tracer_provider=provider) as app:
        assert await ask(app, "/v1/jobs", method="POST", json={"name": "work"}, headers={"traceparent": CALLER}) == 201
        await app.run_until_idle()
        assert await ask(app, "/v1/jobs/job_00000000000000000000000001", method="GET") == 404
        with provider.get_tracer("site").start_as_current_span("site"):
            assert await ask(app, "/v1/jobs", method="GET") == 200
    spans = {span.name: span for span in exporter.get_finished_spans()}
    request, send, process = spans["POST /v1/jobs"], spans["send default"], spans["process default"]
    assert request.parent is not None and request.kind is SpanKind.SERVER
    assert (request.parent.trace_id, request.parent.span_id) == (0x4BF92F3577B34DA6A3CE929D0E0E4736, 0x00F067AA0BA902B7)
    assert send.parent == request.context
    assert process.parent is not None and send.context is not None and process.parent.span_id == send.context.span_id
    assert dict(request.attributes or {}) == {
        "http.request.method": "POST",
        "http.route": "/v1/jobs",
        "http.response.status_code": 201,
    }
    missing = spans["GET /v1/jobs/{job_id}"]
    assert missing.parent is None and missing.status.status_code is StatusCode.UNSET
    assert "GET /v1/jobs" not in spans
    provider.shutdown()
