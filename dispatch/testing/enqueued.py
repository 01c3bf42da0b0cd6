"""The calls that a memory app holds, with their arguments as the handler would get them."""

from __future__ import annotations

from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic_core import from_json

from dispatch.entity import LARGEST_PAGE
from dispatch.errors import InvalidArguments
from dispatch.jobs.definition import JobDefinition
from dispatch.jobs.model import Job, ListOptions
from dispatch.registry import Registry
from dispatch.store import Store

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class EnqueuedCall:
    """A job that was enqueued; two are equal when name and arguments are."""

    name: str
    arguments: dict[str, Any]
    """By parameter name and validated (models are models), without the defaults that the call left out; as plain JSON
    where the registry has no such job or they do not fit it."""
    job: Job = field(compare=False, repr=False)
    """The row as it is now: state, queue, priority, run_at, scope, tags, metadata, result …"""


def enqueued_calls(store: Store, registry: Registry, which: JobDefinition[..., Any] | str | None) -> list[EnqueuedCall]:
    """The calls of one job, or all, oldest first. InvalidArguments when neither registry nor store knows the name."""
    name = which.name if isinstance(which, JobDefinition) else which
    found: list[Job] = []
    cursor: str | None = None
    while True:
        names = () if name is None else (name,)
        page = answered(store.jobs.list(ListOptions(names=names, limit=LARGEST_PAGE, cursor=cursor)))
        found += page.items
        cursor = page.next_cursor
        if cursor is None:
            break
    if not found and isinstance(which, str) and which not in registry.jobs:
        known = ", ".join(sorted(registry.jobs)) or "none"
        raise InvalidArguments(
            f"no job is called {which!r}: nothing of that name was enqueued, and the app has {known}"
        )
    given = which if isinstance(which, JobDefinition) else None
    return [_call(job, given or registry.jobs.get(job.name)) for job in reversed(found)]


def _call(job: Job, definition: JobDefinition[..., Any] | None) -> EnqueuedCall:
    document = from_json(job.payload)
    if definition is not None:
        try:
            document = definition.signature.validate_document(document)
        except InvalidArguments:
            pass  # what was stored is shown as it is
    return EnqueuedCall(job.name, document, job)


def answered(question: Coroutine[Any, Any, T]) -> T:
    """What a coroutine of the memory store returns, without a loop: it never waits for anything."""
    try:
        question.send(None)
    except StopIteration as answer:
        value: T = answer.value
        return value
    question.close()
    raise AssertionError("the memory store's verbs answer at once, but this one waits")
