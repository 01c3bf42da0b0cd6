"""One playing of a run's body: which verbs act, which wait, and how the body is made to let go."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypeVar

from dispatch.engine.runs.raw import RawAwait, raw_awaits
from dispatch.errors import StepMisused
from dispatch.ids import RunID
from dispatch.workflows.signals import RunUnwound

T = TypeVar("T")

_TURNS_ALONE = 4
_TURNS = 32
"""Turns of the loop in which nothing may happen before a run counts as quiet: a body with branches needs more of them
to hand a result on from task to task."""
_PATIENCE = 20
"""How often a body may swallow the signal before it is slowed down."""
_SLOWEST = 1.0


@dataclass(slots=True, eq=False)
class Waiting:
    """A verb that can go on only when time passes, an event comes, or a child ends."""

    name: str
    kind: Literal["time", "event", "child", "never"]
    until: datetime | None = None
    group: str = ""
    future: asyncio.Future[None] | None = None
    task: asyncio.Task[Any] | None = None


class Stage:
    """Counts verbs in flight; the runner looks at it to know when the run is quiet, and unwinds the body through it."""

    def __init__(self, run_id: RunID) -> None:
        self._run_id = run_id
        self._acting: dict[asyncio.Task[Any], asyncio.Task[Any] | None] = {}
        """What is in flight, and the task of the body that waits for it."""
        self.waits: list[Waiting] = []
        self.changed = asyncio.Event()
        self.unwound: str | None = None
        """Why the body is to let go."""
        self.aborted = False
        """What is in flight is to record nothing."""
        self.main: asyncio.Task[Any] | None = None
        self._joins: dict[asyncio.Task[Any], Sequence[asyncio.Future[Any]]] = {}
        """Tasks of the body that wait for several others, in a verb."""
        self._version = 0
        self._open = asyncio.Event()
        self._open.set()
        self._raised = 0

    # -- for verbs -----------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Raises the signal once the body is to let go."""
        if self.unwound is not None:
            self._raised += 1
            self._retrieve_quietly()
            raise self.signal()

    async def enter(self) -> None:
        """As `check`, for verbs that may wait: also while the run is being parked, until it is known whether it is."""
        self._version += 1
        if self.main is not None and asyncio.current_task() is not self.main and _in_task_group(self.main):
            raise StepMisused(
                "asyncio.TaskGroup cannot hold verbs of a workflow: it cancels steps that are at work when another one "
                "fails, and wraps what makes the body let go. Use ctx.parallel(...) or asyncio.gather(...)"
            )
        while not self._open.is_set():
            await self._open.wait()
        if self.unwound is not None and self._raised >= _PATIENCE:
            await asyncio.sleep(min(0.001 * 2.0 ** min(self._raised - _PATIENCE, 20), _SLOWEST))
        self.check()

    async def act(self, work: Coroutine[Any, Any, T]) -> T:
        """Runs what a verb does in a task of its own, so that it is settled whatever becomes of the body."""
        task = asyncio.get_running_loop().create_task(work)
        self._acting[task] = asyncio.current_task()
        task.add_done_callback(self._acted)
        try:
            value = await asyncio.shield(task)
        except asyncio.CancelledError:
            if not task.done():  # the body's own code gave up on this verb
                task.cancel()
                while not task.done():
                    try:
                        await asyncio.wait([task])
                    except asyncio.CancelledError:
                        continue
            self.check()
            raise
        except BaseException:
            self.check()
            raise
        self.check()
        return value

    async def wait(self, waiting: Waiting) -> None:
        """Waits until the runner says that there may be something new."""
        waiting.future = asyncio.get_running_loop().create_future()
        waiting.task = asyncio.current_task()
        self.waits.append(waiting)
        self.touch()
        self._retrieve_quietly()
        try:
            await waiting.future
        finally:
            self.waits.remove(waiting)
            self.touch()
        self.check()

    async def join(self, tasks: Sequence[asyncio.Future[Any]]) -> None:
        """Waits until all have ended; whoever is cancelled meanwhile cancels them."""
        current = asyncio.current_task()
        assert current is not None, "a verb runs in a task"
        self._joins[current] = tasks
        try:
            await asyncio.wait(tasks)
        except asyncio.CancelledError:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            self.check()
            raise
        finally:
            del self._joins[current]

    # -- for the runner ------------------------------------------------------------------------------------------

    def touch(self) -> None:
        """Something has changed: the runner looks again."""
        self._version += 1
        self.changed.set()

    def ended(self, task: asyncio.Task[Any]) -> None:
        """The body has ended."""
        _retrieve(task)
        self.touch()

    @property
    def branch(self) -> asyncio.Task[Any] | None:
        """The task of the body that this code works for."""
        task = asyncio.current_task()
        return self._acting.get(task, task) if task is not None else None

    def signal(self) -> RunUnwound:
        """What makes the body let go."""
        return RunUnwound(self._run_id, self.unwound or "is being left")

    @property
    def busy(self) -> bool:
        """Whether a verb is in flight."""
        return bool(self._acting)

    async def quiet(self) -> bool:
        """Whether every verb waits and nothing happens in a few turns of the loop; if not, `changed` will tell."""
        turns = 0
        while not self.busy and self.waits and self.unwound is None and not (self.main and self.main.done()):
            alone = len(self.waits) == 1 and self.waits[0].task is self.main
            if turns >= (_TURNS_ALONE if alone else _TURNS):
                return True
            seen = self._version
            await asyncio.sleep(0)
            turns = turns + 1 if self._version == seen else 0
        return False

    def raw(self) -> list[RawAwait]:
        """What the body awaits that is no verb."""
        if self.main is None:
            return []
        waits = {waiting.future for waiting in self.waits if waiting.future is not None}
        return raw_awaits(self.main, waits, self._joins)

    def close(self) -> None:
        """Holds verbs back while the store is asked to park the run."""
        self._open.clear()

    def reopen(self) -> None:
        """Lets verbs go on."""
        self._open.set()

    def unwind(self, why: str, *, abort: bool = False) -> None:
        """Makes the body let go; with `abort` what is in flight is cancelled and records nothing."""
        self.unwound = self.unwound or why
        if abort:
            self.aborted = True
            for task in list(self._acting):
                task.cancel()
        for waiting in list(self.waits):
            if waiting.future is not None and not waiting.future.done():
                waiting.future.set_exception(self.signal())
        self.touch()

    async def settled(self) -> None:
        """Waits until nothing is in flight."""
        while self._acting:
            await asyncio.wait(list(self._acting))

    def resolve(self, chosen: Callable[[Waiting], bool]) -> int:
        """Lets the chosen verbs look again; answers how many."""
        number = 0
        for waiting in self.waits:
            if waiting.future is not None and not waiting.future.done() and chosen(waiting):
                waiting.future.set_result(None)
                number += 1
        return number

    # -- inside --------------------------------------------------------------------------------------------------

    def _acted(self, task: asyncio.Task[Any]) -> None:
        self._acting.pop(task, None)
        if not task.cancelled():
            task.exception()  # retrieved, so that asyncio does not complain of one that a settled branch left behind
        self.touch()

    def _retrieve_quietly(self) -> None:
        """The signal may end a task that nobody awaits any more; asyncio is not to complain of it."""
        task = asyncio.current_task()
        if task is not None and task is not self.main:
            task.add_done_callback(_retrieve)


def _in_task_group(task: asyncio.Task[Any]) -> bool:
    """Whether the task's code waits for the end of a TaskGroup block."""
    awaited: Any = task.get_coro()
    while awaited is not None:
        if getattr(awaited, "cr_code", None) is asyncio.TaskGroup.__aexit__.__code__:
            return True
        awaited = getattr(awaited, "cr_await", None)
    return False


def _retrieve(task: asyncio.Task[Any]) -> None:
    if not task.cancelled():
        task.exception()
