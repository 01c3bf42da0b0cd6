"""Workflow runs: this store keeps none, and says so to whoever asks."""

from __future__ import annotations

from typing import NoReturn

from dispatch.errors import UsageError


class NoRuns:
    """Stands where other stores have their workflows part; every verb is refused, nothing is written."""

    def __init__(self, url: str) -> None:
        self._url = url

    def __getattr__(self, verb: str) -> NoReturn:
        if verb.startswith("__"):
            raise AttributeError(verb)
        raise UsageError(
            f"{self._url}: a Redis store keeps jobs and cron entries, but no workflow runs, so {verb} is refused; "
            "nothing was written. Workflows run on sqlite:/// and memory://"
        )
