"""Plays a body until it ends, is quiet, or has to let go; what an ending means is decided elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from dispatch.engine.runs.performance import Performance
from dispatch.errors import HandlerCrashed, StepMisused
from dispatch.scope import use_scope
from dispatch.workflows.context import WorkflowContext
from dispatch.workflows.definition import WorkflowDefinition
from dispatch.workflows.signals import RunUnwound

LETTING_GO = 5.0
"""Seconds a body gets to leave once it was told to."""


async def play(
    performance: Performance,
    definition: WorkflowDefinition[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    *,
    rest: Callable[[], Awaitable[None]],
) -> asyncio.Task[Any]:
    """Runs the body until it ends or is unwound; each time that it is quiet, `rest` says what to do.

    Answers the body's task, done, with nothing in flight; unfinished only when the body refuses to let go.
    """
    stage = performance.stage
    context = WorkflowContext(performance)
    main = asyncio.get_running_loop().create_task(_body(performance, definition, context, args, kwargs))
    stage.main = main
    main.add_done_callback(stage.ended)
    while not main.done() and stage.unwound is None:
        stage.changed.clear()
        if await stage.quiet():
            await rest()
        else:
            await stage.changed.wait()
    stage.unwind("has ended")
    await stage.settled()
    if not main.done():
        await asyncio.wait([main], timeout=LETTING_GO)
    if not main.done():
        main.cancel()
        await asyncio.wait([main], timeout=LETTING_GO / 5)
    if not main.done():
        performance.means.report.swallowed(performance.run)
    return main


async def _body(
    performance: Performance,
    definition: WorkflowDefinition[..., Any],
    context: WorkflowContext,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
) -> Any:
    """The user's body in its tenant's scope; what would end the process becomes HandlerCrashed."""
    with use_scope(*performance.run.scope):
        try:
            return await definition.function(context, *args, **kwargs)
        except (Exception, asyncio.CancelledError, RunUnwound, BaseExceptionGroup):
            raise
        except BaseException as error:
            raise HandlerCrashed(
                f"{definition.name} raised {type(error).__name__}({error}), which would have ended the worker"
            ) from error


def error_of(main: asyncio.Task[Any]) -> BaseException | None:
    """What left the body; None when it returned or has merely let go."""
    if not main.done():
        return None
    if main.cancelled():
        return RuntimeError("the body ended with CancelledError: its own code cancelled it")
    return _told(main.exception())


def let_go(main: asyncio.Task[Any]) -> bool:
    """Whether the body ended because it was told to."""
    if not main.done() or main.cancelled():
        return True
    error = main.exception()
    return isinstance(error, RunUnwound) or (
        isinstance(error, BaseExceptionGroup) and error.subgroup(RunUnwound) is not None
    )


def _told(error: BaseException | None) -> BaseException | None:
    """Of a group: what refuses the TaskGroup that made it, or the one exception inside."""
    if not isinstance(error, BaseExceptionGroup):
        return error
    refused: BaseException | None = error.subgroup(StepMisused)
    while isinstance(refused, BaseExceptionGroup):
        refused = refused.exceptions[0]
    first, *others = error.exceptions
    return refused or (error if others else _told(first))
