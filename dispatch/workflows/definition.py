"""The workflow definition: name, version and function, as discovery shows it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, ParamSpec, TypeVar

from dispatch.errors import InvalidDefinition
from dispatch.jobs.base import Definition

P = ParamSpec("P")
R = TypeVar("R")


class WorkflowDefinition(Definition, Generic[P, R]):
    """A durable workflow, identified by name and version; its first parameter is the WorkflowContext."""

    kind = "workflow"

    def __init__(self, function: Callable[..., Any], *, name: str | None = None, version: int = 1) -> None:
        super().__init__(function, name=name)
        if version < 1:
            raise InvalidDefinition(f"{self.name}: version is {version}; it starts at 1")
        if not self.is_async:
            raise InvalidDefinition(f"{self.name}: a workflow is `async def`; put blocking work into its steps")
        if not self.signature.names:
            raise InvalidDefinition(
                f"{self.name}: a workflow's first parameter is its context: async def {self.name}(ctx, ...)"
            )
        self.version = version

    @property
    def key(self) -> tuple[object, ...]:
        return (self.name, self.version)
