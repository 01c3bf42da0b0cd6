"""The stream: a short log for channels that somebody listens to."""

from __future__ import annotations

from dispatch.streams import StreamEntry
from dispatch.testing.conformance.env import Env
from dispatch.testing.conformance.registry import case


def _entries(channel: str, *numbers: int) -> list[StreamEntry]:
    return [
        StreamEntry(channel, f"job_x:{n}", "job.enqueued", f'{{"n":{n}}}'.encode(), tenant="shop/a") for n in numbers
    ]


async def _ids(env: Env, channel: str, position: int) -> list[str]:
    return [entry.id for entry in (await env.store.stream.read_after([channel], position)).entries]


@case()
async def entries_of_a_channel_with_a_listener_are_read_in_order(env: Env) -> None:
    stream = env.store.stream
    await stream.listen(["jobs"], "me", lease=60)
    start = (await stream.read_after(["jobs"], -1)).position
    last = await stream.append(_entries("jobs", 1, 2, 3))
    page = await stream.read_after(["jobs"], start)
    assert [entry.id for entry in page.entries] == ["job_x:1", "job_x:2", "job_x:3"]
    first = page.entries[0]
    assert (first.channel, first.type, first.data, first.tenant) == ("jobs", "job.enqueued", b'{"n":1}', "shop/a")
    assert first.at == env.clock.now()
    positions = [entry.position for entry in page.entries]
    assert positions == sorted(set(positions))
    assert positions[0] > start
    assert (page.position, page.reset) == (positions[-1], False)
    assert last == positions[-1]
    assert await _ids(env, "jobs", positions[0]) == ["job_x:2", "job_x:3"]
    assert (await stream.read_after(["jobs"], page.position)).entries == []


@case()
async def minus_one_gives_only_the_present_end(env: Env) -> None:
    stream = env.store.stream
    await stream.listen(["jobs"], "me", lease=60)
    await stream.append(_entries("jobs", 1))
    page = await stream.read_after(["jobs"], -1)
    assert (page.entries, page.reset) == ([], False)
    await stream.append(_entries("jobs", 2))
    assert await _ids(env, "jobs", page.position) == ["job_x:2"]


@case()
async def entries_that_nobody_listens_to_are_dropped(env: Env) -> None:
    stream = env.store.stream
    await stream.listen(["jobs"], "me", lease=60)
    start = (await stream.read_after(["jobs"], -1)).position
    quiet = (await stream.read_after(["quiet"], -1)).position
    await stream.append([*_entries("quiet", 1), *_entries("jobs", 2)])
    assert await _ids(env, "jobs", start) == ["job_x:2"]
    await stream.listen(["quiet"], "me", lease=60)
    assert await _ids(env, "quiet", max(quiet, 0)) == []


@case()
async def a_listener_counts_for_its_lease_and_until_it_leaves(env: Env) -> None:
    stream = env.store.stream
    await stream.listen(["jobs"], "me", lease=60)
    start = (await stream.read_after(["jobs"], -1)).position
    env.clock.advance(50)
    await stream.listen(["jobs"], "me", lease=60)
    await stream.listen(["jobs"], "you", lease=20)
    env.clock.advance(50)
    await stream.append(_entries("jobs", 1))
    await stream.unlisten("you")
    await stream.unlisten("nobody")
    await stream.append(_entries("jobs", 2))
    assert await _ids(env, "jobs", start) == ["job_x:1", "job_x:2"]
    await stream.unlisten("me")
    await stream.append(_entries("jobs", 3))
    await stream.listen(["jobs"], "me", lease=60)
    assert "job_x:3" not in await _ids(env, "jobs", start)


@case()
async def a_reader_that_missed_dropped_entries_is_told_to_start_anew(env: Env) -> None:
    stream = env.store.stream
    await stream.listen(["jobs"], "me", lease=60)
    await stream.append(_entries("jobs", 1))
    start = (await stream.read_after(["jobs"], -1)).position
    env.clock.advance(61)
    await stream.append(_entries("jobs", 2))
    await stream.listen(["jobs"], "me", lease=60)
    await stream.append(_entries("jobs", 3))
    assert (await stream.read_after(["jobs"], start)).reset
    end = (await stream.read_after(["jobs"], -1)).position
    assert not (await stream.read_after(["jobs"], end)).reset


@case()
async def a_read_is_bounded_and_goes_on_where_it_ended(env: Env) -> None:
    stream = env.store.stream
    await stream.listen(["jobs"], "me", lease=60)
    position = (await stream.read_after(["jobs"], -1)).position
    await stream.append(_entries("jobs", *range(7)))
    seen: list[str] = []
    while (page := await stream.read_after(["jobs"], position, limit=3)).entries:
        assert len(page.entries) <= 3
        seen += [entry.id for entry in page.entries]
        position = page.position
    assert seen == [f"job_x:{n}" for n in range(7)]


@case()
async def a_reader_behind_what_was_pruned_is_told_to_start_anew(env: Env) -> None:
    stream = env.store.stream
    await stream.listen(["jobs"], "me", lease=6000)
    start = (await stream.read_after(["jobs"], -1)).position
    await stream.append(_entries("jobs", 1, 2, 3))
    middle = (await stream.read_after(["jobs"], -1)).position
    env.clock.advance(100)
    await stream.append(_entries("jobs", 4))
    assert await stream.prune(older_than=50, dry_run=True) == 3
    assert await stream.prune(older_than=50, limit=2, dry_run=True) == 2
    assert await stream.prune(older_than=50, limit=2) == 2
    assert await stream.prune(older_than=50) == 1
    assert await stream.prune(older_than=50) == 0
    assert (await stream.read_after(["jobs"], start)).reset
    page = await stream.read_after(["jobs"], middle)
    assert ([entry.id for entry in page.entries], page.reset) == (["job_x:4"], False)


@case()
async def channels_share_one_order(env: Env) -> None:
    stream = env.store.stream
    await stream.listen(["jobs", "crons", "else"], "me", lease=60)
    start = (await stream.read_after(["jobs"], -1)).position
    for number in range(4):
        await stream.append([*_entries("jobs", 10 + number), *_entries("else", 20 + number)])
        await stream.append(_entries("crons", 30 + number))
    page = await stream.read_after(["crons", "jobs"], start)
    assert [entry.id for entry in page.entries] == [f"job_x:{10 * k + n}" for n in range(4) for k in (1, 3)]
    assert [entry.channel for entry in page.entries] == ["jobs", "crons"] * 4
    positions = [entry.position for entry in (await stream.read_after(["crons", "else", "jobs"], start)).entries]
    assert positions == sorted(set(positions))
    assert len(positions) == 12
    assert (await stream.read_after(["crons"], start)).position == page.position
    assert (await stream.read_after(["crons"], start, limit=1)).position < page.position


@case()
async def a_channel_that_begins_does_not_disturb_another(env: Env) -> None:
    stream = env.store.stream
    await stream.listen(["jobs"], "me", lease=600)
    start = (await stream.read_after(["jobs"], -1)).position
    await stream.append(_entries("jobs", 1))
    await stream.listen(["jobs", "crons"], "you", lease=60)
    await stream.append(_entries("crons", 2))
    page = await stream.read_after(["jobs", "crons"], start)
    assert page.gaps == {"crons"}
    assert [entry.id for entry in page.entries] == ["job_x:1", "job_x:2"]
    assert not (await stream.read_after(["jobs"], start)).reset
    assert not (await stream.read_after(["jobs", "crons"], page.position)).reset
    env.clock.advance(100)
    await stream.append([*_entries("crons", 3), *_entries("jobs", 4)])
    assert await _ids(env, "crons", page.position) == []
    assert await _ids(env, "jobs", page.position) == ["job_x:4"]


@case()
async def a_position_that_the_feed_never_reached_is_told(env: Env) -> None:
    stream = env.store.stream
    await stream.listen(["jobs"], "me", lease=60)
    await stream.append(_entries("jobs", 1))
    end = (await stream.read_after(["jobs"], -1)).position
    page = await stream.read_after(["jobs"], end + 1000)
    assert (page.entries, page.position, sorted(page.gaps)) == ([], end, ["jobs"])


@case()
async def an_empty_append_is_no_error(env: Env) -> None:
    await env.store.stream.append([])
