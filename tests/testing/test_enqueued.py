"""enqueued: the calls, with arguments as the handler gets them."""

from __future__ import annotations

import pytest
from pydantic import BaseModel

from dispatch import testing
from dispatch.errors import InvalidArguments
from dispatch.ids import JobID
from dispatch.jobs.definition import AsyncJobDefinition
from dispatch.jobs.model import JobState, NewJob
from dispatch.registry import Registry
from dispatch.scope import Scope, use_scope


class Email(BaseModel):
    to: str


@pytest.fixture
def send_email(registry: Registry) -> AsyncJobDefinition[[Email], None]:
    @registry.job(queue="mailers")
    async def send_email(email: Email, *, track: bool = False) -> None: ...

    return send_email


async def test_arguments_are_validated_and_named(
    registry: Registry, send_email: AsyncJobDefinition[[Email], None]
) -> None:
    async with testing.app(registry) as app:
        await send_email.enqueue(Email(to="ada"))
        await app.jobs.enqueue_named("send_email", {"to": "bob"})
        calls = app.enqueued(send_email)
        assert [call.arguments for call in calls] == [{"email": Email(to="ada")}, {"email": Email(to="bob")}]
        assert calls == app.enqueued("send_email") == app.enqueued()


async def test_the_row_tells_the_options(registry: Registry, send_email: AsyncJobDefinition[[Email], None]) -> None:
    async with testing.app(registry) as app:
        with use_scope("shop", "t-1"):
            await send_email.options(delay=60, priority=7, tags=["x"]).enqueue(Email(to="ada"))
        (call,) = app.enqueued(send_email)
        job = call.job
        assert (job.queue, job.priority, job.tags, job.scope) == ("mailers", 7, ("x",), Scope("shop", "t-1"))
        assert (job.run_at - app.now()).total_seconds() == 60
        await app.travel(60)
        assert [call.job.state for call in app.enqueued(send_email)] == [JobState.COMPLETED]


async def test_many_calls_come_in_their_order(
    registry: Registry, send_email: AsyncJobDefinition[[Email], None]
) -> None:
    async with testing.app(registry) as app:
        await send_email.enqueue_many([send_email.call(Email(to=str(n))) for n in range(1200)])
        assert [call.arguments["email"].to for call in app.enqueued()] == [str(n) for n in range(1200)]


async def test_a_call_that_met_its_unique_twin_is_not_there_twice(registry: Registry) -> None:
    @registry.job(unique=True)
    async def once(n: int) -> None: ...

    async with testing.app(registry) as app:
        await once.enqueue(1)
        await once.enqueue(1)
        await once.enqueue(2)
        assert [call.arguments for call in app.enqueued(once)] == [{"n": 1}, {"n": 2}]


async def test_arguments_that_fit_nothing_are_shown_as_stored(
    registry: Registry, send_email: AsyncJobDefinition[[Email], None]
) -> None:
    async with testing.app(registry) as app:
        rows = [NewJob(JobID.new(), name, b'{"old": 1}') for name in ("send_email", "foreign")]
        await app.store.jobs.enqueue(rows)
        assert [call.arguments for call in app.enqueued()] == [{"old": 1}, {"old": 1}]
        assert [call.name for call in app.enqueued("foreign")] == ["foreign"]


async def test_a_name_that_nobody_knows_is_refused(
    registry: Registry, send_email: AsyncJobDefinition[[Email], None]
) -> None:
    async with testing.app(registry) as app:
        assert app.enqueued("send_email") == []
        with pytest.raises(InvalidArguments, match=r"no job is called 'sendemail'.*the app has send_email"):
            app.enqueued("sendemail")


async def test_two_calls_are_told_apart_by_name_and_arguments_when_printed(
    registry: Registry, send_email: AsyncJobDefinition[[Email], None]
) -> None:
    async with testing.app(registry) as app:
        await send_email.enqueue(Email(to="ada"))
        assert repr(app.enqueued()) == "[EnqueuedCall(name='send_email', arguments={'email': Email(to='ada')})]"
