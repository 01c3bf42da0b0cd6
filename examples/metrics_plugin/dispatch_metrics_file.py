"""A plugin that counts what becomes of jobs and writes it to a file for Prometheus. `pip install ./metrics_plugin`

Configured, where the default does not suit, in dispatch.toml:

    [plugin.metrics_file]
    path = "/var/lib/node_exporter/dispatch.prom"
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from dispatch import Job, hookimpl


class MetricsFile:
    """Keeps counts in memory and writes them after each change; a reader never sees half a file."""

    def __init__(self, path: str = "dispatch.prom") -> None:
        self._path = Path(path)
        self._counts: Counter[tuple[str, str]] = Counter()
        self._seconds: Counter[str] = Counter()

    @hookimpl
    def job_enqueued(self, job: Job) -> None:
        self._count("enqueued", job)

    @hookimpl
    def job_completed(self, job: Job, elapsed: float) -> None:
        self._seconds[job.name] += elapsed  # type: ignore[assignment]
        self._count("completed", job)

    @hookimpl
    def job_retrying(self, job: Job) -> None:
        self._count("retrying", job)

    @hookimpl
    def job_failed(self, job: Job) -> None:
        self._count("failed", job)

    @hookimpl
    def shutdown(self) -> None:
        self._write()

    def _count(self, what: str, job: Job) -> None:
        self._counts[what, job.name] += 1
        self._write()

    def _write(self) -> None:
        lines = ["# TYPE dispatch_jobs_total counter"]
        lines += [
            f'dispatch_jobs_total{{event="{what}",name="{name}"}} {count}'
            for (what, name), count in sorted(self._counts.items())
        ]
        lines += ["# TYPE dispatch_job_seconds_total counter"]
        lines += [f'dispatch_job_seconds_total{{name="{n}"}} {s:.6f}' for n, s in sorted(self._seconds.items())]
        unfinished = self._path.with_suffix(".part")
        unfinished.write_text("\n".join(lines) + "\n")
        unfinished.replace(self._path)
