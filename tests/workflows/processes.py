"""`python -m workflows.processes URL NAMESPACE FOLDER`: a worker whose runs note effects and die where told to."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from datetime import datetime
from pathlib import Path

from dispatch import Config, Dispatch, Registry, WorkflowContext
from dispatch.engine.run import RunOptions, run_worker

registry = Registry()
TIMES = {"heartbeat_interval": "0.3s", "lease": "2.5s", "poll_interval": "0.1s", "grace": "0s"}
_folder: list[Path] = []


def note(*words: object) -> None:
    """Adds a line to what has happened, in one write."""
    with (_folder[0] / "log").open("ab", buffering=0) as log:
        log.write((" ".join(map(str, words)) + "\n").encode())


def die(point: str) -> None:
    """Ends this process if the file `die-POINT` is there, which it is never again."""
    try:
        (_folder[0] / f"die-{point}").unlink()
    except FileNotFoundError:
        return
    note("died", point)
    os.kill(os.getpid(), signal.SIGKILL)


async def effect(name: str) -> str:
    """A step's effect, with a point to die at before and after it."""
    die(f"early-{name}")
    note("did", name)
    die(f"late-{name}")
    return name


async def undo(name: str) -> None:
    """What takes an effect back."""
    die(f"early-undo-{name}")
    note("undid", name)
    die(f"late-undo-{name}")


@registry.workflow
async def ten_steps(ctx: WorkflowContext) -> list[str]:
    """Ten steps in a row."""
    done = []
    for number in range(10):
        die(f"before-{number}")
        done.append(await ctx.step(f"step-{number}", effect, str(number)))
    die("before-end")
    return done


@registry.workflow(max_retries=0)
async def saga(ctx: WorkflowContext) -> None:
    """Five steps that are taken back."""
    for name in "abcde":
        await ctx.step(name, effect, name).compensate(undo)
    raise ValueError("no")


@registry.workflow
async def child(ctx: WorkflowContext, number: int) -> int:
    """Squares a number."""
    await ctx.step("work", effect, f"child-{number}")
    return number * number


@registry.workflow
async def parent(ctx: WorkflowContext, numbers: list[int]) -> list[int]:
    """Fans out over children, and notes that it went on."""
    squares: list[int] = await ctx.fan_out("fan", child, numbers)
    await ctx.step("resumed", effect, f"resumed-{numbers[0]}")
    return squares


@registry.workflow
async def waiter(ctx: WorkflowContext, key: str) -> str:
    """Waits for one event."""
    event = await ctx.wait_for_event("go", key=key)
    return str(event.data)


@registry.workflow
async def napper(ctx: WorkflowContext, length: float) -> None:
    """Sleeps and waits that long from its first visits, at the same time."""
    note("visit")
    await ctx.parallel(ctx.sleep(length), ctx.wait_for_any("never", timeout=length))


@registry.workflow
async def sleeper(ctx: WorkflowContext, until: str) -> None:
    """Sleeps until then."""
    await ctx.sleep_until(datetime.fromisoformat(until))


async def hold(name: str) -> None:
    """A step that says which process runs it and goes on when the test says so."""
    note("holds", name, os.getpid())
    while not (_folder[0] / f"go-on-{name}").exists():
        await asyncio.sleep(0.02)


@registry.workflow
async def holder(ctx: WorkflowContext, name: str) -> None:
    """One long step."""
    await ctx.step("hold", hold, name)


async def main(url: str, namespace: str, folder: Path) -> None:
    """Works until a signal ends it."""
    _folder[:] = [folder]
    config = Config.model_validate({**TIMES, "namespace": namespace})
    async with Dispatch(url, config=config, registry=registry) as app:
        await run_worker(app, RunOptions(queues={"default": 0}, concurrency=50, on_ready=lambda _: note("ready")))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], Path(sys.argv[3])))
