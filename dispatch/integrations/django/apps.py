"""The Django app: takes DISPATCH from the settings, imports every app's tasks.py, opens the app before transactions."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core import checks
from django.db.backends.signals import connection_created
from django.utils.module_loading import autodiscover_modules

from dispatch.config import load
from dispatch.current import app_for_blocking
from dispatch.errors import DispatchError
from dispatch.integrations.django.configuration import variables
from dispatch.stores.sqlite_schema import APPLICATION_ID

_logger = logging.getLogger("dispatch.django")


class DispatchConfig(AppConfig):  # type: ignore[misc]
    """What INSTALLED_APPS names by "dispatch.integrations.django"."""

    name = "dispatch.integrations.django"
    label = "dispatch"
    verbose_name = "Dispatch"
    _tried: int | None = None

    def ready(self) -> None:
        """Puts the settings where every part of Dispatch, in this process and its children, looks: the environment."""
        for variable, text in variables(getattr(settings, "DISPATCH", {})).items():
            os.environ.setdefault(variable, text)
        checks.register(configuration_is_sound)
        connection_created.connect(self._connected, dispatch_uid="dispatch")
        autodiscover_modules("tasks")

    def _connected(self, connection: Any, **signal: Any) -> None:
        """Opens the app, once a process, before the first transaction on a SQLite file that holds the store, too:
        opening it writes, and would wait in vain for a transaction of its own thread."""
        if connection.vendor != "sqlite" or self._tried == os.getpid():
            return
        with connection.cursor() as cursor:
            if cursor.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
                return
        self._tried = os.getpid()
        try:
            app_for_blocking()
        except DispatchError as error:
            _logger.warning("the app cannot be opened yet, the first enqueue will try again: %s", error)


def configuration_is_sound(**given: Any) -> Sequence[Any]:
    """A system check: what DISPATCH, the environment and dispatch.toml say together can be read."""
    try:
        load()
    except DispatchError as error:
        return [checks.Error(str(error), hint="see settings.DISPATCH and dispatch.toml", id="dispatch.E001")]
    return []
