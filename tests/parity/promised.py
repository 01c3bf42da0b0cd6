"""Every public name that is promised so far, by the rows of the table that promises them."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from dispatch.config import Config as Settings

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
    28: ("dispatch.engine.scheduler.CronScheduler", "dispatch.services.CronService"),
    29: (
        "dispatch.dlq.DLQEntry",
        "dispatch.dlq.DLQStore",
        "dispatch.dlq.ListOptions",
        "dispatch.services.DLQService",
    ),
    30: ("dispatch.events.Event", "dispatch.events.EventStore", "dispatch.events.ListOptions", "dispatch.Event"),
    31: ("dispatch.cluster.Worker", "dispatch.cluster.WorkerState"),
    32: ("dispatch.cluster.ClusterStore",),
    33: (
        "dispatch.cluster.Worker",
        "dispatch.cluster.Leadership",
        "dispatch.cluster.LeaderElector",
        "dispatch.jobs.JobState",
    ),
    34: ("dispatch_k8s.KubernetesLeaderElector", "dispatch_k8s.KubernetesPlugin", "dispatch.cluster.OpenElector"),
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
    40: ("dispatch.observability.MetricsExtension",),
    41: (
        "dispatch.ids.JobID",
        "dispatch.ids.RunID",
        "dispatch.ids.CronID",
        "dispatch.ids.DLQID",
        "dispatch.ids.EventID",
        "dispatch.ids.WorkerID",
        "dispatch.ids.CheckpointID",
    ),
    42: ("dispatch.api.API",),
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
    45: (
        "dispatch.integrations.asgi.DispatchExtension",
        "dispatch.integrations.asgi.dispatch_lifespan",
    ),
    46: ("dispatch.wire.WireServer", "dispatch.wire.WireHandler"),
    47: ("dispatch.wire.Frame", "dispatch.wire.FrameType", "dispatch.wire.JSONCodec", "dispatch.wire.MsgpackCodec"),
    48: ("dispatch.wire.Identity", "dispatch.wire.APIKeyEntry", "dispatch.wire.APIKeyAuthenticator"),
    49: ("dispatch.api.server.served",),
    50: ("dispatch.client.Client", "dispatch.client.SyncClient"),
    51: (
        "dispatch.streams.Broker",
        "dispatch.streams.Broker.publish",
        "dispatch.streams.Broker.subscribe",
        "dispatch.streams.Broker.unsubscribe",
        "dispatch.streams.Broker.close",
    ),
    52: ("dispatch.stores.memory.MemoryStore",),
    53: ("dispatch.stores.sqlite.SQLiteStore",),
    54: ("dispatch.stores.redis.RedisStore",),
    55: ("dispatch.stores.postgres.PostgresStore",),
    56: ("dispatch.stores.sqlalchemy.SQLAlchemyStore",),
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
