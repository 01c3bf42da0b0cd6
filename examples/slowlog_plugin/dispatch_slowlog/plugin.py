"""The plugin: its section of the configuration, its middleware, its hook and its commands."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from dispatch import Job, Middleware, Next, hookimpl
from dispatch.hookspecs import CLI
from dispatch_slowlog.commands import add_commands
from dispatch_slowlog.log import Log
from dispatch_slowlog.settings import Settings


class SlowLog:
    """Notes attempts that took longer than `threshold` seconds, and jobs that failed for good."""

    def __init__(self, path: Path, threshold: float) -> None:
        self._log = Log(path)
        self._threshold = threshold

    @staticmethod
    @hookimpl
    def register_config() -> type[BaseModel]:
        return Settings

    @hookimpl
    def register_middleware(self) -> list[Middleware]:
        return [self._timed]

    @hookimpl
    def job_failed(self, job: Job, error: Any) -> None:
        self._log.append({"what": "failed", "id": job.id, "name": job.name, "detail": f"{error.type}: {error.message}"})

    @hookimpl
    def register_commands(self, cli: CLI) -> None:
        add_commands(cli, self._log)

    async def _timed(self, job: Job, call_next: Next, /) -> Any:
        start = time.perf_counter()
        try:
            return await call_next(job)
        finally:
            took = time.perf_counter() - start
            if took > self._threshold:
                self._log.append({"what": "slow", "id": job.id, "name": job.name, "detail": f"{took:.3f} s"})
