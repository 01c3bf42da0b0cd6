"""The workflows side of a worker: makes an activation of every driver that it claims."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from dispatch.clock import boot_seconds
from dispatch.engine.execution import Execution
from dispatch.engine.report import Report
from dispatch.engine.runs.activation import Activation, Rules
from dispatch.engine.runs.ledger import Means
from dispatch.engine.runs.report import RunReport
from dispatch.engine.runs.step_runner import StepRunner
from dispatch.engine.runs.writer import RunWriter
from dispatch.engine.settings import Settings
from dispatch.ids import WorkerID
from dispatch.jobs.model import Job, NewJob
from dispatch.plugins import PluginManager
from dispatch.telemetry import OFF, Telemetry
from dispatch.workflows.definition import WorkflowDefinition
from dispatch.workflows.store import WorkflowStore

_LOGGER = logging.getLogger("dispatch.workflow")
Prepare = Callable[[NewJob], Awaitable[NewJob]]


async def unprepared(job: NewJob) -> NewJob:
    """A child's row as it is."""
    return job


class Runner:
    """Plays the runs of one worker."""

    def __init__(
        self,
        store: WorkflowStore,
        worker_id: WorkerID,
        settings: Settings,
        *,
        definitions: Mapping[str, WorkflowDefinition[..., Any]],
        execution: Execution,
        report: Report,
        plugins: PluginManager,
        resources: Sequence[object],
        prepare: Prepare,
        telemetry: Telemetry = OFF,
        progress: Callable[[Job, float, str | None], None],
        give_up: Callable[[], bool],
        logger: logging.Logger,
        elapsed: Callable[[], float] = boot_seconds,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
        writer: type[RunWriter] = RunWriter,
        run_logger: logging.Logger = _LOGGER,
    ) -> None:
        self._definitions = definitions
        self._rules = Rules(park_after=settings.park_after, result_limit=settings.result_limit, policy=settings.policy)
        steps = StepRunner(
            execution=execution,
            resources=resources,
            policy=settings.policy,
            result_limit=settings.result_limit,
            progress=progress,
            pause=pause,
        )
        self.writer = writer(store, worker_id, give_up=give_up, call_timeout=settings.call_timeout, logger=logger)
        self._means = Means(
            writer=self.writer,
            steps=steps,
            report=RunReport(report, plugins, logger=run_logger),
            prepare=prepare,
            telemetry=telemetry,
            idempotency_ttl=settings.idempotency_ttl,
            elapsed=elapsed,
        )

    @property
    def names(self) -> Sequence[str]:
        """The drivers it can play."""
        return list(self._definitions)

    def activation(self, job: Job) -> Activation:
        """What plays the run of a claimed driver."""
        return Activation(job, self._definitions[job.name], means=self._means, rules=self._rules)
