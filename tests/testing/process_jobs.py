"""A job that a worker subprocess can import."""

from __future__ import annotations

import os

from dispatch.registry import Registry

registry = Registry()


@registry.job(executor="process", max_retries=0)
def whereabouts(fail: bool = False) -> int:
    if fail:
        raise ValueError("in another process")
    return os.getpid()
