"""Records: documents with versions, compare-and-set, expiry."""

from __future__ import annotations

import asyncio

from dispatch.entity import Reply
from dispatch.testing.conformance.env import Env
from dispatch.testing.conformance.registry import case


@case()
async def a_record_comes_back_with_version_and_times(env: Env) -> None:
    records = env.store.records
    created = env.clock.now()
    first = await records.put("keys", "a", b"\x00\xff")
    assert first is not None
    assert (first.namespace, first.key, first.value, first.version) == ("keys", "a", b"\x00\xff", 1)
    assert (first.created_at, first.updated_at, first.expires_at) == (created, created, None)
    env.clock.advance(5)
    second = await records.put("keys", "a", b"")
    assert second is not None
    assert (second.value, second.version, second.created_at, second.updated_at) == (b"", 2, created, env.clock.now())
    assert await records.get("keys", "a") == second
    assert await records.get("keys", "b") is None
    assert await records.get("other", "a") is None


@case()
async def a_write_over_another_version_is_refused(env: Env) -> None:
    records = env.store.records
    assert await records.put("n", "k", b"1", if_version=1) is None
    assert await records.get("n", "k") is None
    assert await records.put("n", "k", b"1", if_version=0) is not None
    assert await records.put("n", "k", b"2", if_version=0) is None
    assert await records.put("n", "k", b"2", if_version=2) is None
    second = await records.put("n", "k", b"2", if_version=1)
    assert second is not None
    assert second.version == 2
    assert await records.put("n", "k", b"3", if_version=1) is None
    assert await records.get("n", "k") == second


@case()
async def of_two_writers_over_one_version_one_wins(env: Env) -> None:
    sibling = await env.sibling()
    await env.store.records.put("n", "k", b"0")
    answers = await asyncio.gather(
        *(
            store.records.put("n", "k", str(i).encode(), if_version=1)
            for i in range(4)
            for store in (env.store, sibling)
        )
    )
    won = [answer for answer in answers if answer is not None]
    assert len(won) == 1
    assert await env.store.records.get("n", "k") == won[0]


@case()
async def an_expired_record_is_as_good_as_absent(env: Env) -> None:
    records = env.store.records
    first = await records.put("n", "k", b"1", expires_in=10)
    assert first is not None
    assert first.expires_at == env.after(10)
    await records.put("n", "long", b"1", expires_in=100)
    env.clock.advance(11)
    assert await records.get("n", "k") is None
    assert [record.key for record in (await records.list("n")).items] == ["long"]
    assert await records.delete("n", "k") is Reply.MISSING
    assert await records.put("n", "k", b"2", if_version=1) is None
    again = await records.put("n", "k", b"2", if_version=0)
    assert again is not None
    assert (again.version, again.created_at, again.expires_at) == (1, env.clock.now(), None)


@case()
async def a_later_write_sets_the_expiry_anew(env: Env) -> None:
    records = env.store.records
    await records.put("n", "k", b"1", expires_in=10)
    await records.put("n", "k", b"2")
    env.clock.advance(11)
    record = await records.get("n", "k")
    assert record is not None
    assert record.expires_at is None


@case()
async def a_delete_may_name_the_version(env: Env) -> None:
    records = env.store.records
    assert await records.delete("n", "k") is Reply.MISSING
    await records.put("n", "k", b"1")
    assert await records.delete("n", "k", if_version=2) is Reply.CONFLICT
    assert await records.delete("n", "k", if_version=1) is Reply.APPLIED
    assert await records.get("n", "k") is None
    again = await records.put("n", "k", b"1", if_version=0)
    assert again is not None
    assert again.version == 1


@case()
async def lists_go_by_key_and_prefix_in_pages(env: Env) -> None:
    records = env.store.records
    keys = sorted(["a", "a%", "a%b", "a_", "ab", "A", "b", "ä", "a/1", "a/2"])
    for key in reversed(keys):
        await records.put("n", key, key.encode())
    await records.put("other", "a", b"")
    for descending in (False, True):
        expected = keys[::-1] if descending else keys
        seen: list[str] = []
        cursor: str | None = None
        for _ in range(20):
            page = await records.list("n", limit=3, cursor=cursor, descending=descending)
            assert len(page.items) <= 3
            seen += [record.key for record in page.items]
            cursor = page.next_cursor
            if cursor is None:
                break
        assert seen == expected
        for prefix in ("a", "a%", "a_", "a/", "A", "zz", "ä", ""):
            wanted = [key for key in expected if key.startswith(prefix)]
            found = [record.key for record in (await records.list("n", prefix=prefix, descending=descending)).items]
            assert found == wanted, (prefix, descending)
            for at in wanted[:2]:
                after = await records.list("n", prefix=prefix, descending=descending, cursor=at)
                assert [record.key for record in after.items] == wanted[wanted.index(at) + 1 :], (prefix, at)


@case()
async def prune_deletes_expired_records_in_bounded_steps(env: Env) -> None:
    records = env.store.records
    for i in range(5):
        await records.put("n", f"k{i}", b"", expires_in=10)
    await records.put("n", "stays", b"")
    env.clock.advance(11)
    assert [await records.prune(limit=3) for _ in range(3)] == [3, 2, 0]
    assert [record.key for record in (await records.list("n")).items] == ["stays"]
