"""Every public name that is promised so far: imported, used once, with an effect."""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from dispatch.config import Config as Settings
from dispatch.registry import Registry as Names

ROWS: dict[int, tuple[str, ...]] = {
    1: ("dispatch.Dispatch",),
    2: ("dispatch.Config",),
    3: ("dispatch.store.Store",),
    4: ("dispatch.entity.Entity",),
    5: (
        "dispatch.errors.JobNotFound",
        "dispatch.errors.RunNotFound",
        "dispatch.errors.CronNotFound",
        "dispatch.errors.DLQNotFound",
        "dispatch.errors.WorkflowNotFound",
        "dispatch.errors.EventNotFound",
        "dispatch.errors.WorkerNotFound",
        "dispatch.errors.NotFound",
        "dispatch.errors.DispatchError",
        "dispatch.errors.NoOpenApp",
        "dispatch.errors.DuplicateName",
        "dispatch.errors.InvalidArguments",
    ),
    6: ("dispatch.errors.JobAlreadyComplete", "dispatch.errors.JobNotCancellable", "dispatch.errors.NoStore"),
    7: ("dispatch.engine.Engine",),
    8: ("dispatch.job", "dispatch.Dispatch.register"),
    9: ("dispatch.jobs.JobDefinition.enqueue", "dispatch.Dispatch.enqueue", "dispatch.jobs.JobDefinition.options"),
    10: (
        "dispatch.workflows.WorkflowDefinition.start",
        "dispatch.Dispatch.start_workflow",
        "dispatch.workflows.WorkflowDefinition.execute",
        "dispatch.Dispatch.register_workflow",
    ),
    11: ("dispatch.Middleware", "dispatch.hookimpl", "dispatch.backoff.Constant", "dispatch.QueueConfig"),
    12: ("dispatch.jobs.Job", "dispatch.jobs.JobState"),
    13: ("dispatch.jobs.JobDefinition",),
    14: ("dispatch.Registry", "dispatch.jobs.Handler"),
    15: (
        "dispatch.jobs.JobStore",
        "dispatch.jobs.ListOptions",
        "dispatch.jobs.CountOptions",
        "dispatch.jobs.EnqueueOptions",
    ),
    16: (
        "dispatch.workflows.WorkflowDefinition",
        "dispatch.workflow",
        "dispatch.workflows.Run",
        "dispatch.workflows.RunState",
        "dispatch.workflows.Checkpoint",
        "dispatch.workflows.WorkflowStore",
        "dispatch.workflows.ListOptions",
    ),
    17: ("dispatch.WorkflowContext",),
    18: ("dispatch.WorkflowContext.step",),
    19: ("dispatch.workflows.steps.Step.compensate",),
    20: ("dispatch.WorkflowContext.parallel",),
    21: ("dispatch.WorkflowContext.wait_for_event", "dispatch.WorkflowContext.wait_for_any"),
    22: ("dispatch.WorkflowContext.sleep", "dispatch.WorkflowContext.sleep_until"),
    23: ("dispatch.WorkflowContext.run_child", "dispatch.WorkflowContext.spawn_child"),
    24: ("dispatch.WorkflowContext.fan_out",),
    25: ("dispatch.WorkflowContext.run_compensations",),
    26: ("dispatch.testing.crash_after",),
    27: (
        "dispatch.crons.CronEntry",
        "dispatch.engine.scheduler.CronScheduler",
        "dispatch.crons.CronStore",
        "dispatch.crons.ListOptions",
        "dispatch.Dispatch.register_cron",
    ),
    29: (
        "dispatch.dlq.DLQEntry",
        "dispatch.dlq.DLQStore",
        "dispatch.dlq.ListOptions",
        "dispatch.services.DLQService",
    ),
    30: ("dispatch.events.Event", "dispatch.events.EventStore", "dispatch.events.ListOptions", "dispatch.Event"),
    31: ("dispatch.cluster.Worker", "dispatch.cluster.WorkerState"),
    32: ("dispatch.cluster.ClusterStore",),
    35: ("dispatch.queues.QueueConfig", "dispatch.queues.QueueStore", "dispatch.queues.QueueManager"),
    36: ("dispatch.middleware.Middleware", "dispatch.middleware.Next", "dispatch.middleware.chain"),
    37: (
        "dispatch.middleware.Logging",
        "dispatch.middleware.Recover",
        "dispatch.middleware.Timeout",
        "dispatch.middleware.Tracing",
        "dispatch.middleware.Metrics",
        "dispatch.middleware.ScopeMiddleware",
    ),
    38: ("dispatch.plugins.PluginManager",),
    39: (
        "dispatch.backoff.Strategy",
        "dispatch.backoff.Linear",
        "dispatch.backoff.Exponential",
        "dispatch.backoff.ExponentialWithJitter",
        "dispatch.backoff.default_strategy",
    ),
    41: (
        "dispatch.ids.JobID",
        "dispatch.ids.RunID",
        "dispatch.ids.CronID",
        "dispatch.ids.DLQID",
        "dispatch.ids.EventID",
        "dispatch.ids.WorkerID",
        "dispatch.ids.CheckpointID",
    ),
    43: ("dispatch.scope.capture", "dispatch.scope.restore", "dispatch.scope.use_scope", "dispatch.Scope"),
    44: (
        "dispatch_relay.RelayExtension",
        "dispatch_relay.register_all",
        "dispatch_relay.all_definitions",
        "dispatch_relay.payload_func",
        "dispatch_relay.EVENT_JOB_ENQUEUED",
        "dispatch_relay.EVENT_JOB_STARTED",
        "dispatch_relay.EVENT_JOB_COMPLETED",
        "dispatch_relay.EVENT_JOB_FAILED",
        "dispatch_relay.EVENT_JOB_RETRYING",
        "dispatch_relay.EVENT_JOB_DLQ",
        "dispatch_relay.EVENT_WORKFLOW_STARTED",
        "dispatch_relay.EVENT_WORKFLOW_STEP_COMPLETED",
        "dispatch_relay.EVENT_WORKFLOW_STEP_FAILED",
        "dispatch_relay.EVENT_WORKFLOW_COMPLETED",
        "dispatch_relay.EVENT_WORKFLOW_FAILED",
        "dispatch_relay.EVENT_CRON_FIRED",
    ),
    52: ("dispatch.stores.memory.MemoryStore",),
    53: ("dispatch.stores.sqlite.SQLiteStore",),
    57: ("dispatch.stores.open_store", "dispatch.testing.conformance.suite.StoreConformance"),
    58: ("dispatch.Dispatch.run",),
    59: ("dispatch_cli.main.main",),
}
USES: dict[int, Callable[..., Any]] = {}
QUIET = Settings(store="memory://", auto_open=False)


def get(dotted: str) -> Any:
    """What a dotted name means: the longest part that is a module, then attributes of it."""
    parts = dotted.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError as error:
            if error.name is None or not dotted.startswith(error.name):
                raise
            continue
        for name in parts[length:]:
            found = getattr(found, name)
        return found
    raise AssertionError(dotted)


def row(number: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Marks a function as the use of a row's names, which it is given in order."""

    def keep(function: Callable[..., Any]) -> Callable[..., Any]:
        USES[number] = function
        return function

    return keep


@pytest.fixture
async def app(registry: Names) -> AsyncIterator[Any]:
    async with get("dispatch.Dispatch")("memory://", registry=registry, config=QUIET) as opened:
        yield opened


def test_every_row_has_a_use() -> None:
    assert set(USES) == set(ROWS)


@pytest.mark.parametrize(("number", "dotted"), [(number, name) for number, names in ROWS.items() for name in names])
def test_every_name_can_be_imported(number: int, dotted: str) -> None:
    assert get(dotted) is not None


@pytest.mark.parametrize("number", [n for n in ROWS if n not in (58, 59)])
async def test_every_row_works(number: int, app: Any, tmp_path: Path) -> None:
    function = USES[number]
    wanted = function.__code__.co_varnames[: function.__code__.co_argcount]
    given = {"app": app, "tmp_path": tmp_path}
    names = [get(name) for name in ROWS[number]]
    answer = function(*names, **{name: given[name] for name in wanted[len(names) :]})
    if asyncio.iscoroutine(answer):
        await answer


@pytest.mark.slow
@pytest.mark.parametrize("number", [58, 59])
def test_every_row_that_takes_a_process_works(number: int, tmp_path: Path) -> None:
    USES[number](*(get(name) for name in ROWS[number]), tmp_path=tmp_path)


@row(1)
async def use_dispatch(dispatch: Any) -> None:
    log = logging.getLogger("parity")
    opened = dispatch("memory://", logger=log, concurrency=3, queues=["a"], registry=Names(), config=QUIET)
    async with opened:
        engine = await opened.start()
        assert (engine.settings.concurrency, list(engine.settings.queues)) == (3, ["a"])


@row(2)
def use_config(config: Any) -> None:
    default = config.default()
    assert (default.concurrency, default.poll_interval, default.grace) == (
        10,
        timedelta(seconds=1),
        timedelta(seconds=25),
    )
    assert (default.heartbeat_interval, default.lease) == (timedelta(seconds=5), timedelta(seconds=30))


@row(3)
async def use_store(store: Any) -> None:
    parts = {name for name in vars(store) if not name.startswith("_")}
    assert {
        "jobs",
        "workflows",
        "dlq",
        "events",
        "cluster",
        "queues",
        "records",
        "stream",
        "migrate",
        "ping",
        "close",
    } <= parts
    made = get("dispatch.stores.memory.MemoryStore")()
    await made.open()
    await made.ping()
    assert [name for name in parts if not hasattr(made, name)] == []
    await made.close()


@row(4)
def use_entity(entity: Any) -> None:
    now = datetime.now(UTC)
    made = entity(id=get("dispatch.ids.JobID").new(), created_at=now, updated_at=now)
    assert made.created_at is now


@row(5)
def use_not_found(*names: Any) -> None:
    *missing, not_found, base, no_app, duplicate, invalid = names
    for kind in missing:
        with pytest.raises(LookupError):
            raise kind("gone")
        assert issubclass(kind, not_found)
    assert all(issubclass(kind, base) for kind in (not_found, no_app, duplicate, invalid))


@row(6)
async def use_conflicts(complete: Any, not_cancellable: Any, no_store: Any, app: Any) -> None:
    @app.registry.job
    async def work() -> None: ...

    await app.start()
    done = await work.enqueue()
    await done.result(timeout=5)
    with pytest.raises(complete):
        await done.cancel()
    await app.stop()
    waiting = await work.enqueue()
    await waiting.cancel()
    with pytest.raises(not_cancellable):
        await waiting.cancel()
    with pytest.raises(no_store):
        get("dispatch.Dispatch")(None)


@row(7)
async def use_engine(engine: Any, app: Any) -> None:
    assert app.engine is None
    await app.start()
    assert isinstance(app.engine, engine)
    assert app.engine.running


@row(8)
async def use_decorator(decorator: Any, register: Any, app: Any) -> None:
    other = Names()

    @other.job
    async def borrowed() -> int:
        return 1

    assert register(app, borrowed) is app.registry.jobs["borrowed"]
    assert decorator.__func__ is Names.job


@row(9)
async def use_enqueue(enqueue: Any, through_app: Any, options: Any, app: Any) -> None:
    @app.registry.job
    async def work(n: int) -> None: ...

    first = await enqueue(work, 1)
    second = await through_app(app, work, 2)
    when = datetime(2040, 1, 1, tzinfo=UTC)
    third = await options(work, run_at=when, priority=5, queue="other").enqueue(3)
    rows = [await handle.job() for handle in (first, second, third)]
    assert [job.payload for job in rows] == [b'{"n":1}', b'{"n":2}', b'{"n":3}']
    assert (rows[2].run_at, rows[2].priority, rows[2].queue) == (when, 5, "other")


@row(10)
async def use_start(start: Any, through_app: Any, execute: Any, register: Any, app: Any) -> None:
    other = Names()

    @other.workflow
    async def double(ctx: Any, n: int) -> int:
        return n * 2

    assert register(app, double) is app.registry.workflows["double", 1]
    await app.start()
    assert await (await start(double, 2)).result(timeout=5) == 4
    assert await (await through_app(app, double, 3)).result(timeout=5) == 6
    assert await execute(double, 4, timeout=5) == 8


@row(11)
async def use_settings_of_the_app(middleware: Any, hookimpl: Any, constant: Any, queue_config: Any) -> None:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader

    seen: list[str] = []

    async def around(job: Any, call_next: Any) -> Any:
        seen.append("middleware")
        return await call_next(job)

    class Plugin:
        @hookimpl
        def job_retrying(self, job: Any) -> None:
            seen.append("plugin")

    registry = Names()

    @registry.job
    async def work() -> int:
        if seen.count("middleware") == 1:
            raise ValueError
        return 7

    reader = InMemoryMetricReader()
    meters = MeterProvider([reader])
    async with get("dispatch.Dispatch")(
        "memory://",
        registry=registry,
        config=QUIET,
        middleware=[around],
        plugins=[Plugin()],
        backoff=constant(0),
        queue_config=[queue_config("default", max_concurrency=2)],
        meter_provider=meters,
    ) as app:
        await app.start()
        assert await (await app.enqueue(work)).result(timeout=5) == 7
        assert (await app.queues.get("default")).config.max_concurrency == 2
    assert sorted(seen) == ["middleware", "middleware", "plugin"]
    assert reader.get_metrics_data() is not None
    meters.shutdown()
    assert middleware is get("dispatch.middleware.Middleware")


@row(12)
async def use_job(job: Any, state: Any, app: Any) -> None:
    assert [str(s) for s in state] == ["pending", "running", "retrying", "completed", "failed", "cancelled"]

    @app.registry.job
    async def work() -> None: ...

    handle = await work.enqueue()
    stored = await handle.job()
    assert isinstance(stored, job)
    assert stored.state is state.PENDING
    assert await handle.cancel() is state.CANCELLED


@row(13)
async def use_definition(definition: Any, app: Any) -> None:
    starts = 0

    @app.registry.job(max_retries=1, timeout=0.01, backoff=get("dispatch.backoff.Constant")(0))
    async def work() -> None:
        nonlocal starts
        starts += 1
        await asyncio.Event().wait()

    assert isinstance(work, definition)
    await app.start()
    job_id = (await app.jobs.enqueue_named("work")).id
    ended = await app.jobs.wait(job_id, timeout=5)
    assert (starts, ended.error.type) == (2, "HandlerTimeout")


@row(14)
def use_registry(registry: Any, handler: Any, tmp_path: Path) -> None:
    made = registry()

    @made.job
    async def work() -> None: ...

    assert (list(made.jobs), made.workflows, made.crons) == (["work"], {}, {})
    other = registry()
    assert other.add(work) is other.jobs["work"]
    (tmp_path / "parity_found.py").write_text("seen = True\n")
    try:
        assert made.discover("parity_found", folder=tmp_path).modules == ("parity_found",)
    finally:
        sys.path.remove(str(tmp_path))
        del sys.modules["parity_found"]
    assert callable(handler)


@row(15)
async def use_job_store(store: Any, list_options: Any, count_options: Any, enqueue_options: Any, app: Any) -> None:
    await app.jobs.enqueue_named("work", {}, enqueue_options(queue="q", delay=60, max_retries=2, timeout=5))
    (job,) = (await app.store.jobs.list(list_options(queues=["q"]))).items
    assert (job.max_retries, job.timeout) == (2, 5.0)
    assert sum((await app.store.jobs.count(count_options(queues=["q"]))).values()) == 1
    assert [verb for verb in vars(store) if not verb.startswith("_") and not hasattr(app.store.jobs, verb)] == []


async def played(app: Any, body: Any) -> Any:
    """What a run of this body answers, on a worker of the app."""
    flow = app.registry.workflow(name=f"flow-{len(app.registry.workflows)}")(body)
    if app.engine is not None:
        await app.stop()
    await app.start()
    return await (await flow.start()).result(timeout=10)


async def _text(value: str) -> str:
    return value


@row(16)
async def use_workflow(
    definition: Any, decorator: Any, run: Any, state: Any, checkpoint: Any, store: Any, options: Any, app: Any
) -> None:
    @app.registry.workflow(version=2)
    async def flow(ctx: Any) -> str:
        return str(await ctx.step("one", _text, "x"))

    assert isinstance(flow, definition)
    assert decorator.__func__ is Names.workflow
    assert app.registry.workflows["flow", 2] is flow
    await app.start()
    handle = await flow.start()
    await handle.result(timeout=5)
    found = await app.workflows.get(handle.id)
    assert isinstance(found, run)
    assert found.state is state.COMPLETED
    assert [type(c) for c in await app.workflows.timeline(handle.id)] == [checkpoint]
    assert [r.id for r in (await app.workflows.list(options(names=["flow"]))).items] == [handle.id]
    assert hasattr(store, "record")


@row(17)
async def use_context(context: Any, app: Any) -> None:
    async def body(ctx: Any) -> bool:
        return isinstance(ctx, context) and ctx.key("a") == f"{ctx.run_id}/a"

    assert await played(app, body)


@row(18)
async def use_step(step: Any, app: Any) -> None:
    async def body(ctx: Any) -> str:
        return str(await step(ctx, "one", _text, "done"))

    assert await played(app, body) == "done"


@row(19)
async def use_compensate(compensate: Any, app: Any) -> None:
    undone: list[str] = []

    async def undo(result: str) -> None:
        undone.append(result)

    async def body(ctx: Any) -> None:
        await compensate(ctx.step("one", _text, "done"), undo)
        raise get("dispatch.Fail")("no")

    with pytest.raises(get("dispatch.errors.RunFailed")):
        await played(app, body)
    assert undone == ["done"]


@row(20)
async def use_parallel(parallel: Any, app: Any) -> None:
    async def body(ctx: Any) -> list[str]:
        return list(await parallel(ctx, ctx.step("a", _text, "a"), ctx.step("b", _text, "b")))

    assert await played(app, body) == ["a", "b"]


@row(21)
async def use_waits(for_event: Any, for_any: Any, app: Any) -> None:
    async def body(ctx: Any) -> list[Any]:
        first = await for_event(ctx, "paid", key="k", since=datetime(2020, 1, 1, tzinfo=UTC))
        return [first.data, await for_any(ctx, "never", timeout=0.05)]

    await app.events.publish("paid", 7, key="k")
    assert await played(app, body) == [7, None]


@row(22)
async def use_sleeps(sleep: Any, until: Any, app: Any) -> None:
    async def body(ctx: Any) -> bool:
        start = ctx.now()
        await sleep(ctx, 0.05)
        await until(ctx, start + timedelta(seconds=0.1))
        return ctx.now(name="after") >= start + timedelta(seconds=0.1)

    assert await played(app, body)


@row(23)
async def use_children(run_child: Any, spawn_child: Any, app: Any) -> None:
    @app.registry.workflow
    async def child(ctx: Any, n: int) -> int:
        return n + 1

    async def body(ctx: Any) -> list[Any]:
        spawned = await spawn_child(ctx, child, 5, name="spawned")
        return [await run_child(ctx, child, 1), spawned.id]

    two, spawned = await played(app, body)
    assert two == 2
    assert (await app.workflows.wait(spawned, timeout=5)).result == b"6"


@row(24)
async def use_fan_out(fan_out: Any, app: Any) -> None:
    async def body(ctx: Any) -> list[str]:
        return list(await fan_out(ctx, "texts", _text, ["a", "b", "c"]).limit(2))

    assert await played(app, body) == ["a", "b", "c"]


@row(25)
async def use_run_compensations(compensations: Any, app: Any) -> None:
    undone: list[str] = []

    async def undo(result: str) -> None:
        undone.append(result)

    async def body(ctx: Any) -> None:
        await ctx.step("one", _text, "done").compensate(undo)
        await compensations(ctx)

    await played(app, body)
    assert undone == ["done"]


@row(26)
async def use_crash_after(crash_after: Any) -> None:
    ran: list[str] = []

    async def note(name: str) -> str:
        ran.append(name)
        return name

    registry = Names()

    @registry.workflow
    async def flow(ctx: Any) -> list[str]:
        return [await ctx.step(name, note, name) for name in ("a", "b", "c")]

    async with get("dispatch.testing.app")(registry) as app:
        handle = await app.start_workflow(flow)
        with crash_after("b"):
            await app.run_until_idle()
        assert await handle.result() == ["a", "b", "c"]
    assert ran == ["a", "b", "c"]


@row(27)
async def use_crons(entry: Any, scheduler: Any, store: Any, options: Any, register: Any, app: Any) -> None:
    @app.registry.job
    async def tidy(room: str) -> None: ...

    made = register(app, "tidy-attic", "@every 1h", tidy, "attic")
    assert app.registry.crons["tidy-attic"] is made
    created = await app.crons.create("tidy-cellar", "@daily", tidy.call("cellar"))
    assert isinstance(created, entry)
    assert (created.name, created.spec.schedule, created.enabled, created.last_fired_at) == (
        *("tidy-cellar", "@daily"),
        *(True, None),
    )
    await app.crons.disable("tidy-cellar")
    assert [found.name for found in (await app.crons.list(options(enabled=False))).items] == ["tidy-cellar"]
    assert {"fire", "due", "enable", "disable"} <= set(vars(store))
    assert scheduler.name == "scheduler"


@row(29)
async def use_dlq(entry: Any, store: Any, options: Any, service: Any, app: Any) -> None:
    @app.registry.job(max_retries=0)
    async def work() -> None:
        raise ValueError

    await app.start()
    for _ in range(2):
        with pytest.raises(get("dispatch.errors.JobFailed")):
            await (await work.enqueue()).result(timeout=5)
    assert isinstance(app.dlq, service)
    dead = (await app.dlq.list(options(names=["work"]))).items
    assert [type(item) for item in dead] == [entry, entry]
    await app.stop()
    assert await app.dlq.replay(dead[0].id) != dead[0].job_id
    assert await app.dlq.purge() == 2
    assert [verb for verb in vars(store) if not verb.startswith("_") and not hasattr(app.store.dlq, verb)] == []


@row(30)
async def use_events(event: Any, store: Any, options: Any, same: Any, app: Any) -> None:
    published = await app.events.publish("paid", {"n": 1}, key="k")
    assert isinstance(published, event)
    assert event is same
    assert [e.data for e in (await app.events.list(options(names=["paid"], key="k"))).items] == [{"n": 1}]
    assert hasattr(store, "prune")


@row(31)
async def use_worker(worker: Any, state: Any, app: Any) -> None:
    engine = await app.start()
    found = await app.workers.get(engine.worker_id)
    assert isinstance(found, worker)
    assert found.state is state.ACTIVE
    assert (found.queues, found.concurrency, found.pid) == (("default",), 10, os.getpid())
    await app.stop()
    assert (await app.workers.get(engine.worker_id)).state is state.DEAD


@row(32)
async def use_cluster_store(store: Any, app: Any) -> None:
    cluster = app.store.cluster
    first, second = get("dispatch.ids.WorkerID").new(), get("dispatch.ids.WorkerID").new()
    applied, stale = get("dispatch.entity.Reply").APPLIED, get("dispatch.entity.Reply").STALE
    term = (await cluster.acquire_leadership(first, lease=30)).term
    assert (await cluster.acquire_leadership(second, lease=30)).leader == first
    assert await cluster.renew_leadership(first, term, lease=30) is applied
    assert await cluster.renew_leadership(second, term, lease=30) is stale
    assert await cluster.resign(first, term) is applied
    assert (await cluster.acquire_leadership(second, lease=30)).term > term
    assert {"register", "update", "list"} <= set(vars(store))


@row(35)
async def use_queues(config: Any, store: Any, manager: Any, app: Any) -> None:
    await app.queues.configure(config("q", max_concurrency=1, rate_limit=5, rate_burst=2))
    applied, conflict = get("dispatch.entity.Reply").APPLIED, get("dispatch.entity.Reply").CONFLICT
    assert await app.store.queues.take_slot("q", "me", lease=30) is applied
    assert await app.store.queues.take_slot("q", "you", lease=30) is conflict
    assert (await app.queues.get("q")).slots == ["me"]
    assert await app.store.queues.free_slot("q", "me") is applied
    assert hasattr(store, "renew_slot")
    async with app.queues.slot("q", timeout=1) as slot:
        assert (await app.queues.get("q")).slots == [slot.holder]
    assert (await app.queues.get("q")).slots == []
    assert hasattr(manager, "acquire")


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
    relay = extension(enabled_events=["job.*"], payload_funcs={types[0]: fn})
    async with get("dispatch.Dispatch")("memory://", registry=Names(), config=QUIET, plugins=[relay]) as app:
        webhooks = relay.webhooks(app)
        await webhooks.add("a", "https://a.example/")
        assert [endpoint.name for endpoint in await webhooks.list()] == ["a"]
        assert "relay" in app.served_queues()


@row(52)
async def use_memory(memory: Any) -> None:
    await stores_a_job(memory())
    assert memory().url == "memory://"


@row(53)
async def use_sqlite(sqlite: Any, tmp_path: Path) -> None:
    await stores_a_job(sqlite(tmp_path / "jobs.db"))
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
