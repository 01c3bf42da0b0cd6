"""API keys, tickets, sessions: what is stored, who gets in, and when nobody does any more."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from dispatch import Dispatch
from dispatch.access import JOB_READ, JOB_WRITE, SCOPES, Identity
from dispatch.clock import ManualClock
from dispatch.config import Config
from dispatch.errors import APIKeyNotFound, InvalidArguments
from dispatch.registry import Registry
from dispatch.scope import Scope
from dispatch.services.attempts import Failures
from dispatch.services.audit import acting_as
from dispatch.stores.memory import MemoryStore

TENANT = Scope("shop", "t-42")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def app(clock: ManualClock) -> AsyncIterator[Dispatch]:
    async with Dispatch(MemoryStore(clock=clock), config=Config(), registry=Registry()) as app:
        yield app


async def test_a_key_is_shown_once_and_stored_without_its_secret(app: Dispatch) -> None:
    made = await app.keys.create("deploy", scopes=[JOB_READ], scope=TENANT)
    prefix, public, secret = made.token.split("_", 2)
    assert (prefix, public) == ("dk", made.key.id)
    assert len(secret) == 43
    assert secret not in repr(made)
    record = await app.store.records.get("apikey", public)
    assert record is not None
    assert secret.encode() not in record.value
    assert (await app.keys.list()).items == [made.key]
    identity = await app.keys.authenticate(made.token)
    assert identity is not None
    assert identity == Identity("deploy", public, frozenset({JOB_READ}), TENANT)
    assert identity.may(JOB_READ)
    assert not identity.may(JOB_WRITE)
    assert identity.within == TENANT


async def test_no_other_token_gets_in(app: Dispatch) -> None:
    made = await app.keys.create("deploy", scopes=["*"])
    other = await app.keys.create("other", scopes=["*"])
    secret = made.token.rpartition("_")[2]
    wrong = [
        "",
        "dk",
        "dk__",
        made.token[:-1],
        made.token + "x",
        made.token.upper(),
        f"xx{made.token[2:]}",
        f"dk_{other.key.id}_{secret}",
        f"dk_0000000000000000_{secret}",
        f"dk_{made.key.id}_",
        f"dk_{'é' * 16}_{secret}",
        "\udcff" * 20,
        "dk_" + "a" * 100_000,
    ]
    for token in wrong:
        assert await app.keys.authenticate(token) is None, token[:80]


async def test_a_key_ends_when_it_is_revoked_or_expires(app: Dispatch, clock: ManualClock) -> None:
    kept = await app.keys.create("kept", scopes=["*"])
    short = await app.keys.create("short", scopes=["*"], expires_in=60)
    assert short.key.expires_at == clock.now() + timedelta(seconds=60)
    clock.advance(61)
    assert await app.keys.authenticate(short.token) is None
    assert [key.id for key in (await app.keys.list()).items] == [kept.key.id]
    assert await app.keys.exists()
    await app.keys.revoke(kept.key.id, reason="it leaked")
    assert await app.keys.authenticate(kept.token) is None
    assert not await app.keys.exists()
    with pytest.raises(APIKeyNotFound, match="apikey list"):
        await app.keys.revoke(kept.key.id)
    refused, revoked, *_ = await app.audit.list()
    assert (refused.verb, refused.outcome) == ("apikey.revoke", "refused")
    assert (revoked.verb, revoked.ids, revoked.reason) == ("apikey.revoke", (kept.key.id,), "it leaked")


@pytest.mark.parametrize(
    ("scopes", "name", "lasts", "told"),
    [
        ([], "x", None, "may do nothing"),
        (["job:reed"], "x", None, "did you mean 'job:read'"),
        (["zzz"], "x", None, "there are: "),
        (["*"], "", None, "no name for a key"),
        (["*"], "a\nb", None, "no name for a key"),
        (["*"], "x", 0.0, "expires_in"),
    ],
)
async def test_what_makes_no_key(scopes: list[str], name: str, lasts: float | None, told: str, app: Dispatch) -> None:
    with pytest.raises(InvalidArguments, match=told):
        await app.keys.create(name, scopes=scopes, expires_in=lasts)
    assert not await app.keys.exists()


def test_everything_means_every_scope() -> None:
    assert all(Identity("ada", "", frozenset({"*"})).may(scope) for scope in SCOPES)
    assert not any(Identity("ada", "", frozenset()).may(scope) for scope in SCOPES)
    assert [s for s in SCOPES if Identity("a", "", frozenset({"admin"})).may(s)] == ["admin"]


async def test_a_ticket_serves_once_within_thirty_seconds_for_its_purpose(app: Dispatch, clock: ManualClock) -> None:
    identity = (await app.keys.create("ada", scopes=["subscribe"])).key.identity
    ticket = await app.logins.ticket(identity, "stream")
    assert await app.logins.redeem(ticket, "login") is None
    assert await app.logins.redeem("x" * 43, "stream") is None
    assert await app.logins.redeem("x" * 10_000, "stream") is None
    assert await app.logins.redeem(ticket, "stream") == identity
    assert await app.logins.redeem(ticket, "stream") is None
    late = await app.logins.ticket(identity, "stream")
    clock.advance(31)
    assert await app.logins.redeem(late, "stream") is None


async def test_a_session_lasts_until_it_is_closed_or_over(app: Dispatch, clock: ManualClock) -> None:
    person = Identity("the terminal", "", frozenset({"*"}))
    token, other = await app.logins.open_session(person), await app.logins.open_session(person)
    assert await app.logins.session(token) == person
    await app.logins.close_session(token)
    assert await app.logins.session(token) is None
    assert await app.logins.session(other) == person
    clock.advance(12 * 3600 + 1)
    assert await app.logins.session(other) is None


async def test_revoking_a_key_ends_its_sessions_and_tickets(app: Dispatch) -> None:
    identity = (await app.keys.create("ada", scopes=["*"])).key.identity
    token, ticket = await app.logins.open_session(identity), await app.logins.ticket(identity, "stream")
    await app.keys.revoke(identity.key_id)
    assert await app.logins.session(token) is None
    assert await app.logins.redeem(ticket, "stream") is None


async def test_what_is_stored_of_tickets_and_sessions_opens_nothing(app: Dispatch) -> None:
    person = Identity("the terminal", "", frozenset({"*"}))
    token, ticket = await app.logins.open_session(person), await app.logins.ticket(person, "stream")
    stored = [*(await app.store.records.list("session")).items, *(await app.store.records.list("ticket")).items]
    assert len(stored) == 2
    for record in stored:
        assert token.encode() not in record.value + record.key.encode()
        assert ticket.encode() not in record.value + record.key.encode()
        assert await app.logins.session(record.key) is None


def test_an_address_that_fails_often_waits_and_others_do_not() -> None:
    now = [0.0]
    failures = Failures(burst=3, interval=2.0, now=lambda: now[0])
    for _ in range(3):
        assert failures.wait("a") == 0
        failures.failed("a")
    assert failures.wait("a") == 2.0
    assert failures.wait("b") == 0
    now[0] = 2.0
    assert failures.wait("a") == 0
    failures.failed("a")
    assert failures.wait("a") == 2.0
    now[0] = 100.0
    assert failures.wait("a") == 0


async def test_acts_behind_a_door_are_those_of_whoever_asked_there(app: Dispatch) -> None:
    with acting_as("deploy (key 3f2a)", "a new version"):
        await app.queues.pause("mails")
    await app.queues.pause("other", by="ada", reason="x")
    later, first = await app.audit.list()
    assert (first.who, first.reason) == ("deploy (key 3f2a)", "a new version")
    assert (later.who, later.reason) == ("ada", "x")
