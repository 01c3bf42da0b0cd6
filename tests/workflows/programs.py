"""Plays random workflow programs by a workflow.

`python -m workflows.programs URL NAMESPACE FOLDER` is a worker that plays them and notes effects in a file.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dispatch import Config, Dispatch, Fail, Limit, Registry, WorkflowContext, event
from dispatch.engine.run import RunOptions, run_worker
from dispatch.errors import EventTimeout, StepFailed
from dispatch.jobs.context import current_job

from .random_programs import Program, height

registry = Registry()
told = event("told", str)
CHILDREN = 2
"""How many children of a height, of one run and those that it started, may be open at once."""
EVER = datetime(2020, 1, 1, tzinfo=UTC)
"""Children begin after what they wait for may have been published."""
note: Callable[[str], object] = print
"""Where effects are noted: the test, or a worker's main, says."""
failed_before: Counter[str] = Counter()
"""How often a flaky step has failed in this process."""


# -- playing -----------------------------------------------------------------------------------------------------------


async def effect(run: str, name: str) -> str:
    """What a step does."""
    note(f"{run} did {name}")
    return name


async def take_back(result: str, run: str) -> None:
    """Its undo; and an intent's."""
    note(f"{run} undid {result}")


async def intend(name: str, run: str) -> None:
    """What an intent does."""
    note(f"{run} undid {name}")


async def flaky(run: str, name: str, times: int) -> str:
    """Fails so often, in each process."""
    if failed_before[f"{run} {name}"] < times:
        failed_before[f"{run} {name}"] += 1
        raise ConnectionError(name)
    return await effect(run, name)


async def break_down(name: str) -> str:
    """Fails always."""
    raise ValueError(name)


async def seen(run: str, name: str, value: float) -> None:
    """Notes a value that must come out the same each time."""
    note(f"{run} saw {name} {value!r}")


async def item(number: int, run: str, name: str, broken: bool) -> str:
    """One item of a fan_out."""
    if broken and number == 0:
        raise ValueError(name)
    return await effect(run, f"{name}[{number}]")


@registry.job(max_retries=0)
async def remote(run: str, name: str) -> str:
    """A step on the workers."""
    return await effect(run, name)


@registry.job(max_retries=0)
async def queued(run: str, what: str) -> None:
    """A job that a run has queued."""
    note(f"{run} job {what} {current_job().job.id}")


@registry.workflow(max_retries=0)
async def play(ctx: WorkflowContext, run: str, nodes: Program) -> list[Any]:
    """Plays a program."""
    return await _play(ctx, run, nodes)


@registry.workflow(max_retries=0, concurrency=Limit(key=lambda nodes, run: f"{run} {height(nodes)}", max=CHILDREN))
async def part(ctx: WorkflowContext, nodes: Program, run: str) -> list[Any]:
    """A child: plays a part of one."""
    return await _play(ctx, run, nodes)


async def _play(ctx: WorkflowContext, run: str, nodes: Program) -> list[Any]:
    return [await _verb(ctx, run, node) for node in nodes]


async def _verb(ctx: WorkflowContext, run: str, node: list[Any]) -> Any:
    match node:
        case ["step", name, undone]:
            step = ctx.step(name, effect, run, name)
            return await (step.compensate(take_back, run) if undone else step)
        case ["flaky", name, times]:
            return await ctx.step(name, flaky, run, name, times).retry(times)
        case ["bad", name]:
            return await ctx.step(name, break_down, name)
        case ["fail"]:
            raise Fail("as it should", dead_letter=False)
        case ["sleep", name, length]:
            return await ctx.sleep(length, name=name)
        case ["random", name]:
            return await ctx.step(f"{name} seen", seen, run, name, ctx.random(name=name))
        case ["wait", name]:
            return await ctx.wait_for_event(told, key=f"{run}/{name}", since=EVER, name=name)
        case ["never", name]:
            return await ctx.wait_for_event("never", key=f"{run}/{name}", timeout=0.02, name=name)
        case ["enqueue", name]:
            await ctx.enqueue(queued, run, name, name=name)
            return None
        case ["intent", name]:
            return await ctx.on_failure(name, intend, name, run)
        case ["fan", name, number, broken, collect]:
            fan = ctx.fan_out(name, item, range(number), run, name, broken).limit(2)
            return _told(await (fan.on_error("collect") if collect else fan))
        case ["remote", name]:
            return await ctx.step(name, remote, run, name).on_workers()
        case ["child", name, inner]:
            return await ctx.run_child(part, inner, run, name=name)
        case ["kids", name, parts, collect]:
            kids = ctx.fan_out(name, part, parts, run)
            return _told(await (kids.on_error("collect") if collect else kids))
        case ["parallel", parts]:
            return list(await ctx.parallel(*(_play(ctx, run, inner) for inner in parts)))
        case ["catch", inner]:
            try:
                return await _play(ctx, run, inner)
            except (StepFailed, EventTimeout):
                return "caught"
    raise AssertionError(f"nobody plays {node}")


def _told(results: list[Any]) -> list[Any]:
    return ["failed" if isinstance(result, StepFailed) else result for result in results]


# -- a worker ----------------------------------------------------------------------------------------------------------


async def main(url: str, namespace: str, folder: Path) -> None:
    """Works until a signal ends it."""
    global note
    log = (folder / "log").open("ab", buffering=0)
    note = lambda line: log.write(f"{line}\n".encode())  # noqa: E731
    times = {
        "heartbeat_interval": "0.3s",
        "lease": "2.5s",
        "poll_interval": "0.1s",
        "grace": "0s",
        "park_after": "0.05s",
        "max_crashes": 30,  # more than anybody is killed
    }
    config = Config.model_validate({**times, "namespace": namespace})
    async with Dispatch(url, config=config, registry=registry) as app:
        await run_worker(app, RunOptions(queues={"default": 0}, concurrency=50))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], Path(sys.argv[3])))
