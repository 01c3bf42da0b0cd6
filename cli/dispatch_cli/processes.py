"""Several worker processes under one parent: started, watched, restarted with backoff, stopped together."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Literal

from dispatch.backoff import ExponentialWithJitter
from dispatch.clock import boot_seconds
from dispatch_cli.failures import CHECK, DISCOVERY, FAILED, INTERRUPTED, USAGE
from dispatch_cli.probing import Household, served

_PR_SET_PDEATHSIG = 1
_SIGNALS = (signal.SIGTERM, signal.SIGINT)
RECYCLE = 100
"""The exit code by which a child says that it reached --max-jobs or --max-memory and wants a successor."""
_PERMANENT = (USAGE, DISCOVERY, CHECK)
"""Exit codes that the next start would meet again."""
_LONG_LIFE = 60.0
"""Seconds after which a child counts as healthy, so that its next restart is quick again."""
_BACKOFF = ExponentialWithJitter(base=1.0, max=30.0)


def die_with(parent: int) -> None:
    """In a child: be told to stop when the parent process is gone, however it went."""
    if sys.platform == "linux":
        _on_parents_death(signal.SIGTERM)
    if os.getppid() != parent:
        raise KeyboardInterrupt


def ends_anyway() -> None:
    """In a child that has stopped: the parent's death matters no more.

    The kernel tells it once for each thread that the parent had; without the worker's handlers the next one would kill.
    """
    if sys.platform == "linux":
        _on_parents_death(0)


def _on_parents_death(number: int) -> None:
    import ctypes  # a worker that is nobody's child needs none of it

    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number)


def run_processes(
    count: int,
    arguments: Sequence[str],
    *,
    burst: bool,
    tell: Callable[[str], None],
    changes: AsyncIterator[str] | None = None,
    probe: str | None = None,
    must_start: bool = False,
) -> int:
    """Runs `count` children with this command line until all have ended; answers the exit code.

    changes: yields the name of a file that has changed, at which every child is stopped gracefully and started anew.
    probe: where to answer for the health of all of them, as HOST:PORT.
    must_start: with `changes`, end at once when the very first start meets what a next one would meet again.
    """
    family = _Family(count, arguments, burst=burst, tell=tell, changes=changes, must_start=must_start)
    return asyncio.run(family.run_probed(probe))


class _Family:
    def __init__(
        self,
        count: int,
        arguments: Sequence[str],
        *,
        burst: bool,
        tell: Callable[[str], None],
        changes: AsyncIterator[str] | None,
        must_start: bool,
    ) -> None:
        self._count = count
        self._arguments = arguments
        self._burst = burst
        self._tell = tell
        self._changes = changes
        self._must_start = must_start
        self._changed = asyncio.Event()
        """Set, and replaced, when a file has changed."""
        self._health: Household | None = None
        self._children: dict[int, asyncio.subprocess.Process] = {}
        self._stopping = asyncio.Event()
        self._code = 0

    async def run_probed(self, probe: str | None) -> int:
        if probe is None:
            return await self.run()
        self._health = Household(self._count)
        async with served(probe, self._health.document):
            return await self.run()

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self._pass_on)
        try:
            watching = asyncio.create_task(self._watch())
            async with asyncio.TaskGroup() as members:
                for member in range(1, self._count + 1):
                    members.create_task(self._keep(member))
            watching.cancel()
            await asyncio.wait([watching])
        finally:
            for number in _SIGNALS:
                loop.remove_signal_handler(number)
        return self._code

    def _pass_on(self) -> None:
        """Hands a signal to every child: the first stops them gracefully, the second at once."""
        self._stopping.set()
        for child in self._children.values():
            if child.returncode is None:
                child.send_signal(signal.SIGTERM)

    async def _watch(self) -> None:
        """Stops every child once for each change, so that `_keep` starts the next one."""
        if self._changes is None:
            return
        async for name in self._changes:
            self._tell(f"{name} has changed: starting anew")
            changed, self._changed = self._changed, asyncio.Event()
            changed.set()
            for child in self._children.values():
                if child.returncode is None:
                    child.send_signal(signal.SIGTERM)

    async def _keep(self, member: int) -> None:
        """Keeps one place filled until its child ends on purpose or everything stops."""
        failures, first = 0, True
        while not self._stopping.is_set():
            started, changed = boot_seconds(), self._changed
            code = await self._live(member)
            must_start, first = self._must_start and first, False
            if self._stopping.is_set():
                return
            if changed.is_set():
                failures = 0
                continue
            if self._changes is not None and code in _PERMANENT and not must_start:
                await _either(changed, self._stopping)
                continue
            match after(code, burst=self._burst):
                case "done":
                    self._code = self._code or code
                    return
                case "stop all":
                    self._code = code
                    self._pass_on()
                    return
                case "again":
                    continue
            failures = 1 if boot_seconds() - started > _LONG_LIFE else failures + 1
            pause = _BACKOFF.delay(failures).total_seconds()
            self._tell(f"worker process {member} ended with {_meaning(code)}; a new one starts in {pause:.1f} s")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._stopping.wait()

    async def _live(self, member: int) -> int:
        """One child's life; the code that it ended with."""
        hears, speaks = os.pipe() if self._health is not None else (-1, -1)
        pipe = ("--health-fd", str(speaks)) if self._health is not None else ()
        changed = self._changed
        try:
            child = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "dispatch_cli", *self._arguments),
                *("--processes", "1", "--parent", str(os.getpid()), "--member", str(member), *pipe),
                # A group of its own: Ctrl-C on the terminal reaches the parent only, which passes it on once.
                start_new_session=True,
                pass_fds=(speaks,) if pipe else (),
            )
        except BaseException:
            if pipe:
                os.close(hears)
            raise
        finally:
            if pipe:
                os.close(speaks)
        self._children[member] = child
        if self._stopping.is_set() or changed.is_set():
            child.send_signal(signal.SIGTERM)
        if self._health is None:
            return await child.wait()
        listening = asyncio.create_task(self._health.listen(member, hears))
        code = await child.wait()
        listening.cancel()
        await asyncio.wait([listening])
        return code


async def _either(*events: asyncio.Event) -> None:
    """Waits for the first of them."""
    tasks = [asyncio.create_task(event.wait()) for event in events]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()


def after(code: int, *, burst: bool) -> Literal["done", "again", "again later", "stop all"]:
    """What follows on a child that ended with this exit code without having been told to stop."""
    if code == RECYCLE:
        return "again"
    if code in (0, INTERRUPTED) or (burst and code == FAILED):
        return "done"
    return "stop all" if code in _PERMANENT else "again later"


def _meaning(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
