"""What is promised of middleware, plugins, ids, scopes, stores and the command, used."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from servers.postgres import new_namespace, postgres_url
from servers.redis import forget, redis_url

from dispatch.registry import Registry as Names

from .promised import QUIET, get, row


@row(36)
async def use_chain(middleware: Any, call_next: Any, chain: Any) -> None:
    async def handler(job: Any) -> str:
        return "handler"

    async def around(job: Any, call: Any) -> str:
        return f"around {await call(job)}"

    assert await chain([around, around], handler)(None) == "around around handler"
    assert (callable(middleware), call_next is not None) == (True, True)


@row(37)
def use_members(logging_: Any, recover: Any, timeout: Any, tracing: Any, metrics: Any, scope: Any) -> None:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.trace import TracerProvider

    members = get("dispatch.middleware.standard")(meter_provider=MeterProvider(), tracer_provider=TracerProvider())
    assert [type(member) for member in members] == [logging_, recover, timeout, tracing, metrics, scope]


@row(38)
async def use_plugins(manager: Any, app: Any) -> None:
    seen: list[str] = []
    jobs = ("job_enqueued", "job_started", "job_completed", "job_failed", "job_retrying", "job_dlq", "shutdown")
    runs = ("started", "step_completed", "step_failed", "completed", "failed")
    hooks = (*jobs, *(f"workflow_{name}" for name in runs))

    def hook(name: str) -> Any:
        def implementation() -> None:
            seen.append(name)

        return get("dispatch.hookimpl")(implementation)

    plugin = type("Plugin", (), {name: staticmethod(hook(name)) for name in hooks})()
    assert isinstance(app.plugins, manager)
    app.plugins.register(plugin)

    @app.registry.job(max_retries=1, backoff=get("dispatch.backoff.Constant")(0))
    async def work(fail: bool) -> None:
        if fail:
            raise ValueError

    @app.registry.workflow(max_retries=0)
    async def flow(ctx: Any, fail: bool) -> None:
        await ctx.step("one", work, False)
        if fail:
            await ctx.step("two", work, True)

    await app.start()
    await flow.execute(False, timeout=5)
    with pytest.raises(get("dispatch.errors.RunFailed")):
        await flow.execute(True, timeout=5)
    await (await work.enqueue(False)).result(timeout=5)
    with pytest.raises(get("dispatch.errors.JobFailed")):
        await (await work.enqueue(True)).result(timeout=5)
    await app.close()
    assert set(seen) == set(hooks)
    assert seen[-1] == "shutdown"


@row(39)
def use_backoff(strategy: Any, linear: Any, exponential: Any, jitter: Any, default: Any) -> None:
    assert linear(2, 5).delay(3) == timedelta(seconds=5)
    assert exponential(base=1, max=60).delay(4) == timedelta(seconds=8)
    assert jitter(base=1, max=60).delay(4, lambda: 0.25) == timedelta(seconds=2)
    assert isinstance(default(), strategy)


@row(40)
async def use_the_metrics_extension(extension: Any) -> None:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader

    reader = InMemoryMetricReader()
    registry = Names()

    @registry.job
    async def work() -> None: ...

    plugin = extension(MeterProvider([reader]))
    async with get("dispatch.Dispatch")("memory://", registry=registry, plugins=[plugin], config=QUIET) as app:
        await app.enqueue(work)
    data = reader.get_metrics_data()
    assert data is not None
    names = {metric.name for r in data.resource_metrics for s in r.scope_metrics for metric in s.metrics}
    assert "dispatch.job.enqueued" in names


@row(41)
def use_ids(*kinds: Any) -> None:
    prefixes = ["job", "run", "cron", "dlq", "evt", "wkr", "chk"]
    for kind, prefix in zip(kinds, prefixes, strict=True):
        assert kind.parse(kind.new()).startswith(f"{prefix}_")
        assert kind.parse(f"{prefix}_00000000000000000000000000").uuid.int == 0
        with pytest.raises(ValueError, match="is not a"):
            kind.parse("wrong_00000000000000000000000000")


@row(43)
async def use_scopes(capture: Any, restore: Any, use_scope: Any, scope: Any, app: Any) -> None:
    @app.registry.job
    async def work() -> str:
        return str(capture().tenant)

    await app.start()
    with use_scope("shop", "t-1") as here:
        assert here == scope("shop", "t-1")
        handle = await work.enqueue()
    assert await handle.result(timeout=5) == "shop/t-1"
    restore(scope("other", "t-2"))
    assert capture().org_id == "t-2"
    restore(scope())


async def stores_a_job(store: Any) -> None:
    new_job, job_id = get("dispatch.jobs.NewJob"), get("dispatch.ids.JobID").new()
    await store.open()
    await store.jobs.enqueue([new_job(job_id, "work", b"{}")])
    assert (await store.jobs.get(job_id)).payload == b"{}"
    await store.close()


@row(44)
async def use_relay(extension: Any, register: Any, definitions: Any, payload_func: Any, *types: str) -> None:
    assert [definition.name for definition in definitions()] == list(types) == list(register())
    assert all(definition.schema["properties"]["type"] == {"const": definition.name} for definition in definitions())
    fn = payload_func(types[0], lambda event: {"only": event.id})
    get("dispatch_relay.message._shared").clear()  # what is chosen there holds for the whole process
    relay = extension(enabled_events=["job.*"], payload_funcs={types[0]: fn})
    async with get("dispatch.Dispatch")("memory://", registry=Names(), config=QUIET, plugins=[relay]) as app:
        webhooks = relay.webhooks(app)
        await webhooks.add("a", "https://a.example/")
        assert [endpoint.name for endpoint in await webhooks.list()] == ["a"]
        assert "relay" in app.served_queues()


@row(51)
async def use_the_broker(broker: Any, publish: Any, subscribe: Any, unsubscribe: Any, close: Any, app: Any) -> None:
    own = broker(app.store.stream, hints=app.store.wakeups)
    subscription = await subscribe(own, "shop.opened", tenant=None)
    event_id = await publish(own, "shop.opened", {"city": "Bern"})
    (event,) = await subscription.pull()
    assert (event.id, event.data) == (event_id, {"city": "Bern"})
    await unsubscribe(own, subscription)
    assert subscription.closed
    await close(own)


@row(52)
async def use_memory(memory: Any) -> None:
    await stores_a_job(memory())
    assert memory().url == "memory://"


@row(53)
async def use_sqlite(sqlite: Any, tmp_path: Path) -> None:
    await stores_a_job(sqlite(tmp_path / "jobs.db"))
    assert (tmp_path / "jobs.db").stat().st_size > 0


@row(54)
async def use_redis(redis: Any) -> None:
    namespace = new_namespace()
    await stores_a_job(redis(redis_url(), namespace=namespace))
    forget(namespace)


@row(55)
async def use_postgres(postgres: Any) -> None:
    await stores_a_job(postgres(postgres_url(), namespace=new_namespace()))


@row(56)
async def use_sqlalchemy(sqlalchemy: Any, tmp_path: Path) -> None:
    await stores_a_job(sqlalchemy(f"sqlalchemy+sqlite+aiosqlite:///{tmp_path}/jobs.db"))
    assert (tmp_path / "jobs.db").stat().st_size > 0


@row(57)
async def use_open_store(open_store: Any, conformance: Any, tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path}/x.db")
    await store.open()
    status = await store.schema()
    assert (status.current, await store.migrate()) == (status.wanted, [])
    await store.close()
    assert [name for name in dir(conformance) if name.startswith("test_")]


TASKS = """
from dispatch import job

@job
def double(n: int) -> int:
    return n * 2
"""


@row(58)
def use_run(run: Any, tmp_path: Path) -> None:
    (tmp_path / "mytasks.py").write_text(TASKS)
    program = """
import asyncio
from dispatch import Dispatch
from dispatch.engine.run import RunOptions

async def main():
    async with Dispatch("memory://") as app:
        job_id = (await app.jobs.enqueue_named("double", {"n": 4})).id
        report = await app.run("mytasks", options=RunOptions(burst=True))
        print(report.completed, (await app.jobs.get(job_id)).result.decode())

asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=30)
    assert (done.stdout, done.returncode) == ("1 8\n", 0), done.stderr
    assert callable(run)


@row(59)
def use_cli(main: Any, tmp_path: Path) -> None:
    (tmp_path / "mytasks.py").write_text(TASKS)

    def dispatch(*arguments: str) -> str:
        command = [sys.executable, "-m", "dispatch_cli", *arguments]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    job_id = dispatch("job", "enqueue", "double", "n:=4", "-o", "ids")
    dispatch("run", "mytasks", "--burst")
    assert dispatch("job", "result", job_id) == "8"
    assert callable(main)
