"""Would new code go on with the runs that an old version has begun? Replays every unfinished run of a store."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping

from dispatch.engine.runs.forecast import forecast
from dispatch.services.deploy import Concern, Problem, by_weight
from dispatch.store import Store
from dispatch.workflows.definition import WorkflowDefinition
from dispatch.workflows.model import TERMINAL, Activation, ListOptions, Run, RunState

_UNFINISHED = tuple(state for state in RunState if state not in TERMINAL)
_PAGE = 50
"""Journals may be large."""
Found = tuple[Problem, str, str]
"""A problem, the step that it is about, and what is wrong."""


async def check_runs(
    store: Store,
    definitions: Mapping[tuple[str, int], WorkflowDefinition[..., object]],
    *,
    queues: Collection[str],
    elsewhere: Collection[str] = (),
    tick: Callable[[int], None],
) -> tuple[int, list[Concern]]:
    """Replays the unfinished runs one by one; answers how many there were, and the concerns, dangers first.

    It only reads the store. The bodies run up to their first verb that is not recorded; steps do not.

    Args:
        definitions: what the new code defines, by name and version.
        queues: what its workers serve unless told otherwise.
        elsewhere: names of workflows that other applications on the same store serve.
        tick: told how many more runs were looked at.
    """
    concerns: dict[tuple[Problem, str, str], Concern] = {}
    seen = 0
    cursor: str | None = None
    while True:
        page = await store.workflows.list(ListOptions(states=_UNFINISHED, limit=_PAGE, cursor=cursor))
        runs = [run for run in page.items if run.name not in elsewhere]
        for loaded in await store.workflows.load([run.driver for run in runs]):
            run = loaded.run
            for problem, step, text in await _problems(store, loaded, definitions, queues):
                key = (problem, f"{run.name}@{run.version}", step or run.queue)
                concern = concerns.get(key)
                if concern is None:
                    concern = concerns[key] = Concern(problem, key[1], run.queue, text, step=step, known=True)
                concern.known &= _is_known(problem, run)
                concern.count(run.id, running=run.state is RunState.RUNNING)
        seen += len(page.items)
        tick(len(page.items))
        cursor = page.next_cursor
        if cursor is None:
            return seen, by_weight(concerns.values())


async def count_runs(store: Store) -> int:
    """How many runs `check_runs` would look at."""
    counts = await store.workflows.count()
    return sum(counts[state] for state in _UNFINISHED)


async def _problems(
    store: Store,
    loaded: Activation,
    definitions: Mapping[tuple[str, int], WorkflowDefinition[..., object]],
    queues: Collection[str],
) -> list[Found]:
    """What is wrong with one run."""
    run = loaded.run
    definition = definitions.get((run.name, run.version))
    if definition is None:
        return [(Problem.REMOVED, "", "".join(_missing(run, definitions)))]
    found: list[Found] = []
    if run.queue not in queues:
        found.append((Problem.UNSERVED, "", f"queue {run.queue!r} is served by no definition and no setting"))
    job = await store.jobs.get(run.driver)
    if job is None:
        return found  # it has ended and was removed meanwhile
    told = await forecast(job, loaded, await store.workflows.waits(run.id), definition)
    return [*found, *((trouble.problem, trouble.step, trouble.text) for trouble in told.troubles)]


def _missing(run: Run, definitions: Collection[tuple[str, int]]) -> Iterator[str]:
    others = sorted(version for name, version in definitions if name == run.name)
    yield f"no version {run.version} of workflow {run.name!r} is defined any more"
    if others:
        yield f"; there are: {', '.join(map(str, others))}"


def _is_known(problem: Problem, run: Run) -> bool:
    return problem in (Problem.BLOCKED, Problem.REMOVED) and run.state is RunState.BLOCKED
