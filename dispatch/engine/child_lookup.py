"""Finds, inside a worker subprocess, the definition that a job of the worker names."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from dispatch.discovery import discover
from dispatch.engine.child_documents import Place
from dispatch.errors import InvalidDefinition
from dispatch.jobs.definition import JobDefinition
from dispatch.registry import Registry, default_registry

_MAIN = "__mp_main__"
"""The name that multiprocessing, too, gives to a main module that is imported again, so that its guard holds."""


class Lookup:
    """Imports the targets at once, and other modules as definitions ask for them."""

    def __init__(self, targets: Sequence[str], folder: Path | None) -> None:
        found = discover(*targets, folder=folder)
        self._registries = [r for o in found.objects if isinstance(r := getattr(o, "registry", o), Registry)]
        self._known: dict[Place, tuple[Registry, JobDefinition[..., Any]]] = {}

    def known(self, place: Place) -> bool:
        """Whether `find` needs no import."""
        return place in self._known

    def find(self, place: Place) -> tuple[Registry, JobDefinition[..., Any]]:
        """The definition at that place and its registry; InvalidDefinition when it is not there."""
        if place not in self._known:
            self._known[place] = self._search(place)
        return self._known[place]

    def _search(self, place: Place) -> tuple[Registry, JobDefinition[..., Any]]:
        module = _import_main(place) if place.module == "__main__" else importlib.import_module(place.module)
        for registry in self._candidates(module):
            definition = registry.jobs.get(place.name)
            if definition is not None and definition.function.__qualname__ == place.qualname:
                return registry, definition
        where = place.file or f"the module {place.module}"
        hint = (
            "move the function out of the function that defines it"
            if "<locals>" in place.qualname
            else f"define it where importing {where} reaches it (not under `if __name__ == '__main__':`)"
        )
        raise InvalidDefinition(
            f"the job {place.name!r} ({place.qualname}) is not defined in a fresh import of {where}, which is how "
            f"executor='process' finds it: {hint}, or drop executor='process'"
        )

    def _candidates(self, module: ModuleType) -> Iterator[Registry]:
        yield from self._registries
        yield default_registry
        yield from (value for value in list(vars(module).values()) if isinstance(value, Registry))


def _import_main(place: Place) -> ModuleType:
    if place.file is None or not Path(place.file).is_file():
        raise InvalidDefinition(
            f"the job {place.name!r} is defined in an interactive session, which a worker subprocess cannot import: "
            "put it in a module or a file, or drop executor='process'"
        )
    if _MAIN in sys.modules:
        return sys.modules[_MAIN]
    spec = importlib.util.spec_from_file_location(_MAIN, place.file)
    if spec is None or spec.loader is None:
        raise InvalidDefinition(
            f"the job {place.name!r} is defined in {place.file}, which cannot be imported as Python: "
            "put it in a module, or drop executor='process'"
        )
    module = importlib.util.module_from_spec(spec)
    sys.modules[_MAIN] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[_MAIN]
        raise
    return module
