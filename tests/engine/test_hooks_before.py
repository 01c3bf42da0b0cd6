"""What a plugin may do to a job before it is written: add metadata, and no more."""

from __future__ import annotations

from typing import Any

import pytest

from dispatch import hookimpl
from dispatch.errors import PayloadTooLarge
from dispatch.jobs.context import current_job
from dispatch.jobs.model import CountOptions, JobState, NewJob
from dispatch.registry import Registry

from .conftest import Start


async def test_a_hook_may_add_metadata_before_the_write(registry: Registry, start: Start) -> None:
    class Stamp:
        @hookimpl
        async def job_enqueuing(self, job: NewJob) -> dict[str, Any]:
            return {"stamped": job.name}

    @registry.job
    async def work() -> dict[str, Any]:
        return current_job().metadata

    app = await start(app={"plugins": [Stamp()]})
    handle = await work.options(metadata={"mine": 1}).enqueue()
    assert await handle.result(timeout=5) == {"mine": 1, "stamped": "work"}
    assert app.engine is not None


async def test_what_a_hook_changes_in_place_is_of_that_job_alone(registry: Registry, start: Start) -> None:
    class Stamp:
        @hookimpl
        def job_enqueuing(self, job: NewJob) -> None:
            job.metadata["seen"].append(job.payload.decode())

    given: dict[str, Any] = {"seen": []}

    @registry.job(metadata=given)
    async def work(number: int) -> Any:
        return current_job().metadata["seen"]

    app = await start(app={"plugins": [Stamp()]})
    for _ in range(2):
        handles = await app.enqueue_calls([work.call(n) for n in range(3)])
        seen = [await handle.result(timeout=20) for handle in handles]
        assert seen == [['{"number":0}'], ['{"number":1}'], ['{"number":2}']]
    assert given == {"seen": []}


@pytest.mark.parametrize(
    ("addition", "why"),
    [
        ({"big": "x" * 20_000}, "more than limits.metadata"),
        ({"when": object()}, "cannot be stored as JSON"),
        ({"much": float("inf")}, "cannot be stored as JSON"),
        ("text", "is left out"),
    ],
    ids=["large", "no JSON", "no JSON number", "no mapping"],
)
async def test_what_a_hook_adds_and_cannot_be_stored_is_left_out_and_refuses_no_job(
    registry: Registry, start: Start, caplog: pytest.LogCaptureFixture, addition: Any, why: str
) -> None:
    class Bad:
        @hookimpl
        def job_enqueuing(self) -> Any:
            return addition

    class Good:
        @hookimpl
        def job_enqueuing(self) -> dict[str, int]:
            return {"good": 1}

    @registry.job
    async def work() -> dict[str, Any]:
        return current_job().metadata

    app = await start(app={"plugins": [Good(), Bad(), Good()]})
    handle = await work.options(metadata={"mine": 1}).enqueue()
    assert await handle.result(timeout=20) == {"mine": 1, "good": 1}
    (told,) = [record.getMessage() for record in caplog.records if record.name == "dispatch.plugins"]
    assert told.startswith(f"plugin '{__name__}.{Bad.__qualname__}': its job_enqueuing answered what cannot be used")
    assert why in told
    with pytest.raises(PayloadTooLarge):
        await work.options(metadata={"mine": "x" * 20_000}).enqueue()
    assert (await app.jobs.count(CountOptions()))[JobState.COMPLETED] == 1
