"""Reading dead letters: filters, groups, counts, stable pages."""

from __future__ import annotations

from typing import Any

from dispatch.dlq import DLQState
from dispatch.dlq import ListOptions as DLQOptions
from dispatch.ids import DLQID, JobID
from dispatch.jobs.model import Failure
from dispatch.scope import Scope
from dispatch.testing.conformance.env import Env
from dispatch.testing.conformance.registry import case

A, B = Scope("shop", "a"), Scope("shop", "b")


async def _ids(env: Env, **options: Any) -> list[DLQID]:
    found = [entry.id for entry in (await env.store.dlq.list(DLQOptions(**options))).items]
    assert await env.store.dlq.count(DLQOptions(**options)) == len(found), "count and list disagree"
    return found


@case("I31")
async def lists_counts_and_groups_see_only_their_tenants_entries(env: Env) -> None:
    _, mine = await env.bury(scope=A)
    await env.bury(scope=B)
    _, nobody = await env.bury()
    assert await _ids(env, scope=A) == [mine]
    assert await _ids(env, scope=Scope()) == [nobody]
    assert len(await _ids(env)) == 3
    assert [group.count for group in await env.store.dlq.groups(scope=A)] == [1]
    assert (await env.store.dlq.groups(scope=A))[0].sample == mine
    assert (await env.store.dlq.get(mine, scope=A)) is not None


@case("I11")
async def lists_filter_by_state_queue_name_error_and_time(env: Env) -> None:
    _, a = await env.bury()
    env.clock.advance(10)
    _, b = await env.bury("other", queue="mail", failure=Failure("KeyError", "x"))
    _, c = await env.bury()
    await env.store.dlq.discard(c)
    assert await _ids(env) == [b, a], "open ones by default"
    assert await _ids(env, states=[DLQState.DISCARDED]) == [c]
    assert await _ids(env, states=tuple(DLQState)) == [c, b, a]
    assert await _ids(env, queues=["mail"]) == [b]
    assert await _ids(env, names=["work"]) == [a]
    assert await _ids(env, error_types=["KeyError"]) == [b]
    assert await _ids(env, error_types=["KeyError"], names=["work"]) == []
    assert await _ids(env, created_before=env.after(-5)) == [a]


@case("I12")
async def pages_are_stable_while_entries_arrive_and_are_decided(env: Env) -> None:
    expected = [(await env.bury())[1] for _ in range(11)]
    seen: list[DLQID] = []
    cursor: str | None = None
    for _ in range(20):
        page = await env.store.dlq.list(DLQOptions(limit=3, cursor=cursor))
        assert len(page.items) <= 3
        seen += [entry.id for entry in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
        await env.bury()
        await env.bury()
        await env.store.dlq.discard(page.items[0].id)
    assert seen == expected[::-1]
    assert await env.store.dlq.count(DLQOptions(limit=2)) > 2, "count ignores limit"


@case()
async def groups_gather_open_entries_by_name_and_error(env: Env) -> None:
    first = env.clock.now()
    for _ in range(3):
        await env.bury(failure=Failure("KeyError", "k"))
        env.clock.advance(10)
    _, other = await env.bury("other", failure=Failure("KeyError", "k"))
    _, replayed = await env.bury(failure=Failure("OSError", "o"))
    await env.bury(failure=Failure("OSError", "o"))
    await env.store.dlq.replay(replayed, JobID.new())
    groups = await env.store.dlq.groups()
    assert (groups[0].job_name, groups[0].error_type, groups[0].count) == ("work", "KeyError", 3)
    assert (groups[0].oldest_at, groups[0].newest_at) == (first, env.after(-10))
    assert {(group.job_name, group.error_type, group.count) for group in groups[1:]} == {
        ("other", "KeyError", 1),
        ("work", "OSError", 1),
    }
    assert (await env.letter(groups[0].sample)).error == Failure("KeyError", "k")
    assert {group.sample for group in groups if group.job_name == "other"} == {other}


@case()
async def a_death_without_an_error_has_a_group_too(env: Env) -> None:
    job = await env.start()
    await env.crash(job, max_crashes=0)
    groups = await env.store.dlq.groups()
    assert [(group.job_name, group.count) for group in groups] == [("work", 1)]
    assert groups[0].error_type == ((await env.letter(groups[0].sample)).error or Failure("", "")).type
