"""Runs over real worker processes that are killed, on three stores: nothing is lost, doubled or orphaned."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dispatch import Dispatch
from dispatch.clock import boot_seconds, seconds
from dispatch.entity import LARGEST_PAGE
from dispatch.ids import RunID
from dispatch.workflows import RunState
from dispatch.workflows.model import ListOptions

from .fleet import Fleet, Scene, counted
from .processes import TIMES, holder, napper, parent, saga, sleeper, ten_steps, waiter

STORES = ("sqlite", *(pytest.param(kind, marks=pytest.mark.proof) for kind in ("postgres", "redis")))


@pytest.fixture(params=STORES)
def scene(request: pytest.FixtureRequest, tmp_path: Path) -> Scene:
    return Scene(request.param, tmp_path)


# -- steps -------------------------------------------------------------------------------------------------------------


async def survive_ten_steps(scene: Scene, points: Sequence[str]) -> None:
    """One run, whose worker dies at each of the points."""
    scene.plan_death(*points)
    async with scene.app() as app:
        run = await app.start_workflow(ten_steps)
        with scene.fleet(1) as fleet:
            await fleet.until(counted(app, RunState.COMPLETED, 1), within=30 + 12 * len(points))
        assert await run.result(timeout=1) == [str(number) for number in range(10)]
    assert scene.deaths == len(points)
    noted = scene.noted()
    for number in range(10):
        repeated = f"late-{number}" in points
        assert noted[f"did {number}"] == 1 + repeated, number


@pytest.mark.slow
@pytest.mark.timeout(100)
async def test_a_run_survives_deaths_before_in_and_after_its_steps(scene: Scene) -> None:
    await survive_ten_steps(scene, ["before-0", "late-4", "before-end"])


@pytest.mark.proof
@pytest.mark.timeout(600)
async def test_a_run_survives_a_death_at_every_boundary_and_in_every_step(scene: Scene) -> None:
    points = [f"{where}-{number}" for number in range(10) for where in ("before", "early", "late")]
    await survive_ten_steps(scene, [*points, "before-end"])


async def survive_saga(scene: Scene, points: Sequence[str]) -> None:
    """A saga that fails, whose worker dies at each of the points."""
    scene.plan_death(*points)
    async with scene.app() as app:
        run = await app.start_workflow(saga)
        with scene.fleet(1) as fleet:
            await fleet.until(counted(app, RunState.FAILED, 1), within=30 + 12 * len(points))
        ended = await app.workflows.get(run.id)
    assert (ended.compensated, ended.compensation_failed) == (True, False)
    assert scene.deaths == len(points)
    assert scene.order("did") == list("abcde")
    assert scene.order("undid") == list("edcba")
    noted = scene.noted()
    for name in "abcde":
        assert noted[f"undid {name}"] == 1 + (f"late-undo-{name}" in points), name


@pytest.mark.slow
@pytest.mark.timeout(100)
async def test_a_saga_survives_deaths_while_it_takes_back(scene: Scene) -> None:
    await survive_saga(scene, ["late-undo-d", "early-undo-b"])


@pytest.mark.proof
@pytest.mark.timeout(300)
async def test_a_saga_survives_a_death_before_and_in_every_undo(scene: Scene) -> None:
    await survive_saga(scene, [f"{where}-undo-{name}" for name in "abcde" for where in ("early", "late")])


# -- children ----------------------------------------------------------------------------------------------------------


async def fan_out(scene: Scene, *, children: int, kills: int) -> None:
    """One parent of many children over three workers that are killed now and then."""
    numbers = list(range(children))
    async with scene.app() as app:
        run = await app.start_workflow(parent, numbers)
        with scene.fleet(3) as fleet:
            for kill in range(1, kills + 1):
                part = children * kill // (kills + 1)
                await fleet.until(counted(app, RunState.COMPLETED, part), within=60)
                fleet.kill()
            await fleet.until(counted(app, RunState.COMPLETED, children + 1), within=120)
        assert await run.result(timeout=1) == [number * number for number in numbers]
        page = await app.workflows.list(ListOptions(parent=run.id, limit=1000))
        names = [checkpoint.name for checkpoint in await app.workflows.timeline(run.id)]
    assert len(page.items) == children
    assert {child.state for child in page.items} == {RunState.COMPLETED}
    assert names.count("resumed") == 1
    noted = scene.noted()
    assert 1 <= noted["did resumed-0"] <= 1 + kills
    assert all(1 <= noted[f"did child-{number}"] <= 1 + kills for number in numbers)


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_a_fan_out_over_killed_workers_answers_in_order(scene: Scene) -> None:
    await fan_out(scene, children=60, kills=1)


@pytest.mark.proof
@pytest.mark.timeout(400)
async def test_five_hundred_children_over_three_killed_workers(scene: Scene) -> None:
    await fan_out(scene, children=500, kills=6)


async def fan_in(scene: Scene, parents: int) -> None:
    """Parents of two children each, which end together on different workers."""
    async with scene.app() as app:
        runs = [await app.start_workflow(parent, [2 * n, 2 * n + 1]) for n in range(parents)]
        with scene.fleet(3) as fleet:
            await fleet.until(counted(app, RunState.COMPLETED, 3 * parents), within=100)
        for n, run in enumerate(runs):
            assert await run.result(timeout=1) == [(2 * n) ** 2, (2 * n + 1) ** 2]
    noted = scene.noted()
    assert [noted[f"did resumed-{2 * n}"] for n in range(parents)] == [1] * parents


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_every_fan_in_resumes_its_parent(scene: Scene) -> None:
    await fan_in(scene, 20)


@pytest.mark.proof
@pytest.mark.timeout(200)
async def test_a_hundred_fan_ins_of_two_resume_a_hundred_parents(scene: Scene) -> None:
    await fan_in(scene, 100)


# -- the worker of a run is lost ---------------------------------------------------------------------------------------


@pytest.mark.proof
@pytest.mark.timeout(300)
async def test_a_run_goes_on_elsewhere_soon_after_its_worker_was_killed(
    scene: Scene, record_property: Callable[[str, object], None]
) -> None:
    lease = seconds(TIMES["lease"])
    gaps = []
    async with scene.app() as app:
        with scene.fleet(2) as fleet:
            for number in range(5):
                await app.start_workflow(holder, f"run-{number}")
                (pid,) = await holders(scene, fleet, f"run-{number}", 1)
                killed_at = boot_seconds()
                fleet.kill(pid)
                _, after = await holders(scene, fleet, f"run-{number}", 2)
                gaps.append(round(boot_seconds() - killed_at, 2))
                assert after != pid
                (scene.folder / f"go-on-run-{number}").touch()
                await fleet.until(counted(app, RunState.COMPLETED, number + 1), within=60)
    record_property("seconds from a kill until its run goes on", gaps)
    print(f"{scene.url.partition(':')[0]}: lease {lease:g} s; runs went on after {gaps} s")


async def holders(scene: Scene, fleet: Fleet, name: str, count: int) -> list[int]:
    """The processes that have begun the step of a run, once there are so many."""
    found: list[int] = []

    async def enough() -> bool:
        found[:] = [int(line.split()[2]) for line in scene.noted() if line.startswith(f"holds {name} ")]
        return len(found) >= count

    await fleet.until(enough, within=60)
    return found


# -- events ------------------------------------------------------------------------------------------------------------


async def meet(scene: Scene, *, alone: int, together: int) -> None:
    """Runs wait on one event name while three publishers publish before, while and after they register."""
    keys = [f"k{number}" for number in range(alone)]
    async with scene.app() as app, scene.app() as second, scene.app() as third:
        created = await app.workflows.start(
            [waiter.call(key) for key in keys] + [waiter.call("all") for _ in range(together)]
        )
        publishers = (app, second, third)

        async def publish(which: Sequence[str]) -> None:
            parts = [which[number::3] for number in range(3)]

            async def some(number: int) -> None:
                for key in parts[number]:
                    await publishers[number].events.publish("go", f"for {key}", key=key)

            await asyncio.gather(*map(some, range(3)))

        await publish(keys[::3])
        with scene.fleet(2) as fleet:
            await publish([*keys[1::3], "all"])
            # as many as can wait do
            await fleet.until(counted(app, RunState.WAITING, len(keys[2::3])), within=60)
            await publish(keys[2::3])
            await fleet.until(counted(app, RunState.COMPLETED, alone + together), within=60)
        for key, made in zip([*keys, *["all"] * together], created, strict=True):
            run = await app.workflows.get(made.id)
            assert json.loads(run.result or b"") == f"for {key}"


@pytest.mark.slow
@pytest.mark.timeout(150)
async def test_no_event_is_lost_to_a_wait(scene: Scene) -> None:
    await meet(scene, alone=40, together=10)


@pytest.mark.proof
@pytest.mark.timeout(200)
async def test_two_hundred_and_fifty_waits_meet_three_publishers(scene: Scene) -> None:
    await meet(scene, alone=200, together=50)


# -- sleep -------------------------------------------------------------------------------------------------------------


async def nap(scene: Scene, *, length: float, kills: int) -> None:
    """One run sleeps and waits while its workers die and are followed by others."""
    async with scene.app() as app:
        run = await app.start_workflow(napper, length)
        with scene.fleet(1) as fleet:
            await fleet.until(counted(app, RunState.WAITING, 1), within=60)
            slept = await sleep_end(app, run.id)
            (wait,) = await app.workflows.waits(run.id)
            for kill in range(kills):
                fleet.kill()
                await fleet.until(ready(scene, kill + 2), within=60)
                assert await app.workflows.waits(run.id) in ([wait], [])
            await fleet.until(counted(app, RunState.COMPLETED, 1), within=60)
        ended = await app.workflows.get(run.id)
        assert ended.finished_at is not None
        assert wait.deadline is not None
        assert ended.finished_at >= max(slept, wait.deadline)
        assert await sleep_end(app, run.id) == slept
    assert scene.noted()["visit"] >= 2


def ready(scene: Scene, number: int) -> Callable[[], Awaitable[bool]]:
    """Whether that many workers have begun to work, in all."""

    async def look() -> bool:
        return scene.noted()["ready"] >= number

    return look


async def sleep_end(app: Dispatch, run_id: RunID) -> datetime:
    """Until when a run sleeps, as it has recorded."""
    (asleep,) = [found for found in await app.workflows.timeline(run_id) if found.kind == "sleep"]
    return datetime.fromisoformat(json.loads(asleep.data)["until"])


@pytest.mark.slow
@pytest.mark.timeout(150)
async def test_a_sleep_and_a_wait_keep_their_ends_while_workers_die(scene: Scene) -> None:
    await nap(scene, length=12, kills=2)


async def sleep_through(scene: Scene, *, runs: int, seconds: float, spread: float = 0.0) -> dict[str, float]:
    """Many runs sleep, until one moment or one after the other; a new worker starts beside them as ever.

    Answers what it cost, and how long after its moment each was awake and had come to its end.
    """
    first = datetime.now(UTC) + timedelta(seconds=seconds)
    every = 0.05 if runs < 10_000 else 1.0  # the count of many runs takes a while itself
    moments: dict[str, datetime] = {}
    async with scene.app() as app:
        for start in range(0, runs, 1000):
            part = [first + timedelta(seconds=spread * n / runs) for n in range(start, min(start + 1000, runs))]
            made = await app.workflows.start([sleeper.call(moment.isoformat()) for moment in part])
            moments |= {str(run.id): moment for run, moment in zip(made, part, strict=True)}
        with scene.fleet(1) as fleet:
            began = boot_seconds()
            await fleet.until(counted(app, RunState.WAITING, min(runs, 1000)), within=seconds)
            early = resident_mib(fleet)
            await fleet.until(counted(app, RunState.WAITING, runs), within=seconds, every=every)
            parked, late = boot_seconds() - began, resident_mib(fleet)
            assert late - early < 20
            run = await app.start_workflow(ten_steps)
            fleet.kill()
            began = boot_seconds()
            assert await run.result(timeout=20)
            started = boot_seconds() - began
            within = 2 * seconds + spread + 30
            await fleet.until(counted(app, RunState.COMPLETED, runs + 1), within=within, every=every)
        after = sorted(await lateness(app, moments))
    return {
        "parked after": parked,
        "MiB of the worker early": early,
        "and late": late,
        "a new worker had played a run after": started,
        **{f"late, {name}": after[int(part * (runs - 1))] for name, part in (("p50", 0.5), ("p99", 0.99), ("max", 1))},
    }


async def lateness(app: Dispatch, moments: Mapping[str, datetime]) -> list[float]:
    """Seconds from the moment of each run to its end."""
    found: list[float] = []
    options = ListOptions(names=("sleeper",), limit=LARGEST_PAGE)
    while True:
        page = await app.workflows.list(options)
        for run in page.items:
            assert run.finished_at is not None
            assert run.finished_at >= moments[run.id]
            found.append((run.finished_at - moments[run.id]) / timedelta(seconds=1))
        if page.next_cursor is None:
            return found
        options = replace(options, cursor=page.next_cursor)


def resident_mib(fleet: Fleet) -> float:
    """The memory of the oldest worker."""
    status = Path(f"/proc/{fleet.pids[0]}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


@pytest.mark.proof
@pytest.mark.timeout(300)
async def test_two_thousand_sleeping_runs_cost_rows_and_no_memory(scene: Scene) -> None:
    await sleep_through(scene, runs=2_000, seconds=40)


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("spread", [0.0, 400.0], ids=["at once", "in turn"])
async def test_a_hundred_thousand_sleeping_runs_cost_rows_and_no_memory(
    scene: Scene, spread: float, record_property: Callable[[str, object], None]
) -> None:
    """At once: what comes last is as late as the others take. In turn: each should be awake within a second."""
    found = await sleep_through(scene, runs=100_000, seconds=900, spread=spread)
    for name, value in found.items():
        record_property(name, value)
    print(f"{scene.url.partition(':')[0]}: " + ", ".join(f"{name} {value:.2f}" for name, value in found.items()))
