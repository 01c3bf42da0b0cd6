"""What `manage.py dispatch run` runs: every installed app's jobs, each with database connections that are alive."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import django
from asgiref.sync import sync_to_async
from django.apps import apps
from django.db import close_old_connections

from dispatch.jobs.base import runs_async
from dispatch.registry import default_registry


def with_fresh_connections(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function as a request would run it: connections that broke, or are too old, are closed around it."""
    if runs_async(function):

        @functools.wraps(function)
        async def call_async(*args: Any, **kwargs: Any) -> Any:
            await sync_to_async(close_old_connections)()
            try:
                return await function(*args, **kwargs)
            finally:
                await sync_to_async(close_old_connections)()

        return call_async

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        close_old_connections()
        try:
            return function(*args, **kwargs)
        finally:
            close_old_connections()

    return call


if not apps.ready:
    django.setup()
for _definition in default_registry.jobs.values():
    _definition.function = with_fresh_connections(_definition.function)
