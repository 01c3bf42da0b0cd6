"""Dead letters: exactly the dead, decided once, replayed as one job."""

from __future__ import annotations

from typing import Any

from dispatch.dlq import DLQState
from dispatch.dlq import ListOptions as DLQOptions
from dispatch.entity import Reply
from dispatch.ids import DLQID, JobID
from dispatch.jobs.model import JobState, Unique, Verdict
from dispatch.scope import Scope
from dispatch.testing.conformance.env import BOOM, Env, new
from dispatch.testing.conformance.registry import case


@case("I11")
async def a_dead_letter_holds_all_the_job_carried(env: Env) -> None:
    options: dict[str, Any] = {
        "queue": "mail",
        "priority": 3,
        "max_retries": 5,
        "timeout": 1.5,
        "backoff": {"kind": "constant", "interval": 1.0},
        "keep_result": False,
        "effect_key": "e-1",
        "metadata": {"m": [1]},
        "tags": ("t",),
        "scope": Scope("shop", "a"),
        "unique": Unique("k"),
    }
    job_id, letter_id = await env.bury(payload=b"[1]", **options)
    letter = await env.letter(letter_id)
    assert (letter.job_id, letter.job_name, letter.queue, letter.payload) == (job_id, "work", "mail", b"[1]")
    assert (letter.state, letter.reason, letter.error) == (DLQState.OPEN, "exhausted", BOOM)
    assert (letter.failures, letter.crashes, letter.priority, letter.max_retries) == (1, 0, 3, 5)
    assert (letter.timeout, letter.backoff, letter.keep_result) == (1.5, {"kind": "constant", "interval": 1.0}, False)
    assert (letter.unique_key, letter.effect_key, letter.metadata) == ("k", "e-1", {"m": [1]})
    assert (letter.tags, letter.scope, letter.replayed_as) == (("t",), Scope("shop", "a"), None)
    assert letter.created_at == env.clock.now()


@case("I11")
async def the_dead_letters_are_exactly_the_dead(env: Env) -> None:
    dead = []
    for verdict in Verdict:
        await env.finish(await env.start(queue=verdict), verdict, delay=3600)
    dead.append((await env.bury())[0])
    job = await env.start()
    await env.crash(job, max_crashes=0)
    dead.append(job.id)
    env.clock.advance(7200)
    for job in await env.claim(20, queues=list(Verdict)):
        await env.finish(job, Verdict.FAIL, failure=BOOM, dead_letter=True, reason="exhausted")
        dead.append(job.id)
    letters = (await env.dump())["dlq"]
    assert sorted(letter.job_id for letter in letters) == sorted(dead)


@case("I12", "I11")
async def a_replay_is_a_new_job_with_the_same_work_due_now(env: Env) -> None:
    job_id, letter_id = await env.bury(
        payload=b"\x00[1]", queue="mail", priority=3, max_retries=5, timeout=1.5, keep_result=True,
        backoff={"kind": "constant", "interval": 1.0}, metadata={"m": 1}, tags=("t",), scope=Scope("shop", "a"),
    )  # fmt: skip
    env.clock.advance(50)
    new_id = JobID.new()
    answer = await env.store.dlq.replay(letter_id, new_id)
    assert (answer.reply, answer.job_id, answer.state) == (Reply.APPLIED, new_id, DLQState.REPLAYED)
    job = await env.job(new_id)
    assert (job.name, job.payload, job.queue, job.priority) == ("work", b"\x00[1]", "mail", 3)
    assert (job.max_retries, job.timeout, job.keep_result) == (5, 1.5, True)
    assert (job.backoff, job.metadata, job.tags) == ({"kind": "constant", "interval": 1.0}, {"m": 1}, ("t",))
    assert (job.state, job.run_at, job.failures, job.replay_of) == (JobState.PENDING, env.clock.now(), 0, letter_id)
    assert (job.scope, job.effect_key) == (Scope("shop", "a"), job_id), "the effect key is the first job's"
    assert (await env.job(job_id)).state is JobState.FAILED
    letter = await env.letter(letter_id)
    assert (letter.state, letter.replayed_as) == (DLQState.REPLAYED, new_id)


@case("I12", "I11")
async def a_replay_with_another_payload_leaves_the_entry_its_own(env: Env) -> None:
    _, letter_id = await env.bury(payload=b"\x00[1]", priority=3, unique=Unique("k"))
    new_id = JobID.new()
    answer = await env.store.dlq.replay(letter_id, new_id, payload=b"\xff[2]")
    assert (answer.reply, answer.job_id) == (Reply.APPLIED, new_id)
    job = await env.job(new_id)
    assert (job.payload, job.priority, job.replay_of) == (b"\xff[2]", 3, letter_id)
    assert (await env.letter(letter_id)).payload == b"\x00[1]"
    (held,) = await env.enqueue(new(unique=Unique("k")))
    assert (held.id, held.created) == (new_id, False)
    async with env.unchanged("a second replay, with a third payload"):
        again = await env.store.dlq.replay(letter_id, new_id, payload=b"\xff[3]")
    assert (again.reply, again.job_id) == (Reply.APPLIED, new_id)


@case("I12")
async def an_entry_is_replayed_once(env: Env) -> None:
    _, letter_id = await env.bury()
    first = JobID.new()
    await env.store.dlq.replay(letter_id, first)
    async with env.unchanged("the second replay"):
        answer = await env.store.dlq.replay(letter_id, JobID.new())
    assert (answer.reply, answer.job_id, answer.state) == (Reply.CONFLICT, first, DLQState.REPLAYED)


@case("I12", "I2")
async def a_replay_repeated_after_a_lost_reply_is_applied_and_makes_no_second_job(env: Env) -> None:
    _, letter_id = await env.bury()
    new_id = JobID.new()
    await env.store.dlq.replay(letter_id, new_id)
    async with env.unchanged("the repeated replay"):
        answer = await env.store.dlq.replay(letter_id, new_id)
    assert (answer.reply, answer.job_id) == (Reply.APPLIED, new_id)


@case("I12")
async def a_replay_takes_its_unique_key_again_and_a_live_twin_leaves_the_entry_open(env: Env) -> None:
    _, letter_id = await env.bury(unique=Unique("k"))
    twin = await env.add(unique=Unique("k"))
    async with env.unchanged("a replay against a twin"):
        answer = await env.store.dlq.replay(letter_id, JobID.new())
    assert (answer.reply, answer.job_id, answer.state) == (Reply.CONFLICT, twin, DLQState.OPEN)
    await env.store.jobs.cancel(twin)
    new_id = JobID.new()
    assert (await env.store.dlq.replay(letter_id, new_id)).reply is Reply.APPLIED
    (held,) = await env.enqueue(new(unique=Unique("k")))
    assert (held.id, held.created) == (new_id, False)


@case("I12", "I11")
async def a_replayed_job_that_dies_has_a_dead_letter_of_its_own(env: Env) -> None:
    _, first = await env.bury(effect_key="e")
    await env.store.dlq.replay(first, JobID.new())
    job = await env.take()
    answer = await env.finish(job, Verdict.FAIL, failure=BOOM, dead_letter=True, reason="exhausted")
    assert answer.dead_letter is not None
    assert answer.dead_letter != first
    assert (await env.letter(answer.dead_letter)).effect_key == "e"


@case("I12")
async def a_retried_or_discarded_entry_is_not_replayed(env: Env) -> None:
    job_id, retried = await env.bury()
    _, discarded = await env.bury()
    await env.store.jobs.retry(job_id)
    assert await env.store.dlq.discard(discarded) is Reply.APPLIED
    async with env.unchanged("a replay of a decided entry"):
        for letter_id, state in ((retried, DLQState.RETRIED), (discarded, DLQState.DISCARDED)):
            answer = await env.store.dlq.replay(letter_id, JobID.new())
            assert (answer.reply, answer.state) == (Reply.CONFLICT, state)


@case("I12")
async def each_entry_is_decided_once(env: Env) -> None:
    job_id, retried = await env.bury()
    _, replayed = await env.bury()
    await env.store.jobs.retry(job_id)
    await env.store.dlq.replay(replayed, JobID.new())
    _, discarded = await env.bury(name="other")
    await env.store.dlq.discard(discarded)
    async with env.unchanged("a second decision"):
        for letter_id in (retried, replayed, discarded):
            assert await env.store.dlq.discard(letter_id) is Reply.CONFLICT


@case("I12")
async def replaying_all_visits_each_open_entry_once_and_ends(env: Env) -> None:
    letters = [(await env.bury())[1] for _ in range(23)]
    visited: list[DLQID] = []
    cursor: str | None = None
    for _ in range(50):
        page = await env.store.dlq.list(DLQOptions(limit=5, cursor=cursor))
        for entry in page.items:
            assert (await env.store.dlq.replay(entry.id, JobID.new())).reply is Reply.APPLIED
            visited.append(entry.id)
        cursor = page.next_cursor
        if cursor is None:
            break
        job = await env.take()
        await env.finish(job, Verdict.FAIL, failure=BOOM, dead_letter=True, reason="exhausted")
    assert visited == letters[::-1], "each entry once, newest first, without those that died meanwhile"


@case("I31", "I12")
async def verbs_see_only_their_tenants_entries(env: Env) -> None:
    _, letter_id = await env.bury(scope=Scope("shop", "a"))
    other = Scope("shop", "b")
    async with env.unchanged("verbs of another tenant"):
        assert (await env.store.dlq.replay(letter_id, JobID.new(), scope=other)).reply is Reply.MISSING
        assert await env.store.dlq.discard(letter_id, scope=other) is Reply.MISSING
        assert await env.store.dlq.purge(scope=other) == 0
        assert await env.store.dlq.get(letter_id, scope=other) is None
        assert (await env.store.dlq.replay(DLQID.new(), JobID.new())).reply is Reply.MISSING
        assert await env.store.dlq.discard(DLQID.new()) is Reply.MISSING
    assert (await env.store.dlq.replay(letter_id, JobID.new(), scope=Scope("shop", "a"))).reply is Reply.APPLIED


@case("I12")
async def purge_deletes_the_oldest_first_in_bounded_steps(env: Env) -> None:
    letters = []
    for _ in range(5):
        letters.append((await env.bury())[1])
        env.clock.advance(10)
    assert await env.store.dlq.purge(older_than=25.0, limit=2) == 2
    assert [await env.store.dlq.get(letter_id) is None for letter_id in letters] == [True, True, False, False, False]
    assert await env.store.dlq.purge(older_than=25.0) == 1
    assert await env.store.dlq.purge(older_than=25.0) == 0
    assert await env.store.dlq.purge() == 2


@case("I12")
async def purge_deletes_only_the_states_asked_for(env: Env) -> None:
    _, kept = await env.bury()
    _, gone = await env.bury()
    await env.store.dlq.discard(gone)
    env.clock.advance(1)
    assert await env.store.dlq.purge(states=[DLQState.DISCARDED, DLQState.REPLAYED]) == 1
    assert await env.store.dlq.get(gone) is None
    assert (await env.letter(kept)).state is DLQState.OPEN
