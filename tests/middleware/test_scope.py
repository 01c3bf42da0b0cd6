"""Handlers run in their job's scope."""

from __future__ import annotations

from collections.abc import Callable

from dispatch.jobs.model import Job
from dispatch.middleware import ScopeMiddleware, chain
from dispatch.scope import NO_SCOPE, Scope, capture, use_scope

MakeJob = Callable[..., Job]


async def handler(job: Job) -> Scope:
    return capture()


async def test_the_handler_sees_the_scope_of_its_job_and_nobody_after_it(make_job: MakeJob) -> None:
    run = chain([ScopeMiddleware()], handler)
    assert await run(make_job(scope=Scope("shop", "t-42"))) == Scope("shop", "t-42")
    assert capture() == NO_SCOPE
    assert await run(make_job()) == NO_SCOPE


async def test_a_job_of_nobody_does_not_inherit_the_scope_of_its_worker(make_job: MakeJob) -> None:
    with use_scope("worker", "started-here"):
        assert await chain([ScopeMiddleware()], handler)(make_job()) == NO_SCOPE
        assert capture() == Scope("worker", "started-here")
