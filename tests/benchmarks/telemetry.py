"""What observing costs: throughput with telemetry against without, in pairs; and what the unused hooks cost a job."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import AbstractContextManager

from dispatch import Dispatch
from dispatch.engine.report import Report
from dispatch.jobs.model import Job, JobState, Transition, Verdict
from dispatch.registry import Registry
from dispatch.stores.memory import MemoryStore

from .bench import Bench
from .measures import Figures, preload
from .observing import OBSERVED


def pair(place: Callable[[], AbstractContextManager[Bench]], *, jobs: int, work: float, first: bool) -> Figures:
    """A drain without telemetry and one with it, `first` or second; `work` is the CPU that a job takes, in seconds."""
    found: dict[bool, Figures] = {}
    for observed in (first, not first):
        with place() as bench:
            found[observed] = drain(bench, jobs=jobs, observed=observed, work=work)
    off, on = (float(found[observed]["per_second"]) for observed in (False, True))  # type: ignore[arg-type]
    cpu_off, cpu_on = (float(found[observed]["cpu_us"]) for observed in (False, True))  # type: ignore[arg-type]
    return {
        "off_per_second": off,
        "on_per_second": on,
        "ratio": on / off,
        "cpu_ratio": cpu_off / (cpu_on or 1),
        "cpu_us_a_job": cpu_on - cpu_off,
    }


def drain(bench: Bench, *, jobs: int, observed: bool, work: float, concurrency: int = 100) -> Figures:
    """One worker drains a backlog, observed or not."""
    asyncio.run(preload(bench, jobs))
    environment = {"BENCH_WORK": str(work), **({OBSERVED: "1"} if observed else {})}
    bench.start_worker(concurrency=concurrency, environment=environment)
    begun = bench.wait_for(1)
    cpu = bench.cpu_seconds()
    noted = bench.wait_for(jobs)
    used = bench.cpu_seconds() - cpu
    return {
        "per_second": (noted.started - 1) / ((noted.last - noted.first) / 1e9),
        "cpu_us": used / max(1, noted.started - begun.started) * 1e6,
    }


def unused(rounds: int = 20_000) -> Figures:
    """Microseconds of CPU a job that the calls for hooks and telemetry take while nobody listens to either."""
    registry = Registry()

    @registry.job
    async def work() -> None: ...

    app = Dispatch(MemoryStore(), registry=registry)
    jobs, report, plugins = app.jobs, Report(app.plugins, logger=app._logger), app.plugins
    telemetry = app._extensions.telemetry
    job, outcome = _ended()

    def asked() -> None:
        """What an enqueue, a claim and an outcome ask of plugins and telemetry."""
        jobs.trace()
        plugins.has("job_enqueuing")
        _ = telemetry.spans
        plugins.has("job_enqueued")
        report.started(job)
        report.ended(job, outcome, elapsed=0.0)

    best = float("inf")
    for _ in range(9):
        started = time.thread_time()
        for _ in range(rounds):
            asked()
        best = min(best, (time.thread_time() - started) / rounds * 1e6)
    return {"us_a_job": best}


def _ended() -> tuple[Job, Transition]:
    from dispatch.clock import utc_now
    from dispatch.ids import JobID

    job_id, now = JobID.new(), utc_now()
    job = Job(job_id, now, now, "work", "default", JobState.COMPLETED, b"{}", run_at=now)
    return job, Transition(job_id, 1, Verdict.COMPLETE)
