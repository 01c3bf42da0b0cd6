"""`dispatch doctor` on servers: each check in each of its states, and on real ones."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from dispatch_cli.doctor_server import of_server
from servers.mysql import mysql_url
from servers.postgres import new_namespace, postgres_url
from servers.redis import forget, redis_url

from dispatch.errors import StoreError
from dispatch.stores import open_store
from dispatch.stores.facts import TellsOfItsServer, offset
from dispatch.stores.memory import MemoryStore

POSTGRES = {
    **{"server": "PostgreSQL 18.1", "fsync": "on", "synchronous_commit": "on", "oldest_transaction": "3"},
    **{"pooled": "off", "clock_offset": "0.010"},
}
MYSQL = {
    **{"server": "MariaDB 10.11.1", "innodb_flush_log_at_trx_commit": "1", "transaction_isolation": "REPEATABLE-READ"},
    "clock_offset": "0.0",
}
REDIS = {
    **{"server": "Redis 7.2", "maxmemory_policy": "noeviction", "appendonly": "yes", "appendfsync": "always"},
    **{"used_memory": "1000000", "maxmemory": "0", "clock_offset": "-0.1"},
}


@pytest.mark.parametrize("facts", [POSTGRES, MYSQL, REDIS], ids=["postgres", "mysql", "redis"])
def test_a_server_as_it_should_be_has_nothing_to_be_advised(facts: Mapping[str, str]) -> None:
    checks = of_server(facts)
    assert {check.status for check in checks} == {"ok"}
    assert not any(check.advice for check in checks)
    assert checks[0].text == facts["server"]


@pytest.mark.parametrize(
    ("facts", "check", "says"),
    [
        ({**POSTGRES, "fsync": "off"}, "fsync", "damage"),
        ({**POSTGRES, "synchronous_commit": "off"}, "synchronous_commit", "may be lost"),
        ({**POSTGRES, "oldest_transaction": "700"}, "oldest transaction", "700 s"),
        ({**POSTGRES, "pooled": "on"}, "pooler", "by transaction"),
        ({**POSTGRES, "clock_offset": "4.2"}, "clock", "4.2 s ahead"),
        ({**POSTGRES, "clock_offset": "-4.2"}, "clock", "4.2 s behind"),
        ({**MYSQL, "innodb_flush_log_at_trx_commit": "2"}, "innodb_flush_log_at_trx_commit", "last second"),
        ({**REDIS, "maxmemory_policy": "allkeys-lru"}, "maxmemory-policy", "throws jobs away"),
        ({**REDIS, "used_memory": "95", "maxmemory": "100"}, "memory", "95 %"),
        ({**REDIS, "appendonly": "no"}, "appendonly", "snapshot"),
        ({**REDIS, "appendfsync": "everysec"}, "appendonly", "last second"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_may_lose_or_slow_something_down_is_warned_of(facts: Mapping[str, str], check: str, says: str) -> None:
    (warned,) = [found for found in of_server(facts) if found.status != "ok"]
    assert (warned.name, warned.status) == (check, "warn")
    assert says in warned.text
    assert warned.advice


def test_a_pooler_that_the_configuration_knows_and_a_setting_that_may_not_be_read_are_no_findings() -> None:
    assert {check.status for check in of_server({**POSTGRES, "pooled": "on"}, pooler=True)} == {"ok"}
    unread = {name: value for name, value in REDIS.items() if name != "appendfsync"}
    assert {check.status for check in of_server(unread)} == {"ok"}
    assert of_server({}) == []


@pytest.mark.parametrize("used", ["100", "120"])
def test_a_redis_at_its_maxmemory_fails(used: str) -> None:
    (failed,) = [found for found in of_server({**REDIS, "used_memory": used, "maxmemory": "100"}) if found.advice]
    assert (failed.name, failed.status) == ("memory", "fail")


@pytest.mark.parametrize("kind", ["postgres", "redis", "mysql"])
async def test_servers_tell_of_themselves(kind: str) -> None:
    namespace = new_namespace()
    urls = {"postgres": postgres_url, "redis": redis_url, "mysql": mysql_url}
    store = open_store(urls[kind](), namespace=namespace)
    await store.open()
    assert isinstance(store, TellsOfItsServer)
    facts = await store.server_facts()
    checks = of_server(facts)
    assert len(checks) >= 4
    assert abs(float(facts["clock_offset"])) < 60
    assert facts.get("pooled", "off") == "off"
    await store.close()
    with pytest.raises(StoreError):
        await store.server_facts()
    if kind == "redis":
        forget(namespace)


def test_a_store_without_a_server_tells_nothing() -> None:
    assert not isinstance(MemoryStore(), TellsOfItsServer)
    assert abs(float(offset(0))) > 1e9
