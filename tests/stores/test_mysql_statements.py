"""URLs of MySQL, the names of its tables, and what its statements become: no server is asked."""

from __future__ import annotations

import pytest

from dispatch.errors import ConfigError
from dispatch.stores import kind, open_store
from dispatch.stores.mysql_asks import asks
from dispatch.stores.mysql_place import place
from dispatch.stores.mysql_statements import Statement
from dispatch.stores.sql.plan import Do, Plan
from dispatch.stores.sqlalchemy import SQLAlchemyStore


def test_a_url_of_mysql_is_known_with_and_without_the_prefix() -> None:
    for url in ("mysql+asyncmy://me:secret@db/jobs", "sqlalchemy+mysql+asyncmy://me:secret@db/jobs"):
        store = open_store(url)
        assert isinstance(store, SQLAlchemyStore)
        assert store.url == "sqlalchemy+mysql+asyncmy://me:***@db/jobs"
        assert kind(url) == "mysql"


@pytest.mark.parametrize(
    ("url", "namespace", "told"),
    [
        ("mysql+asyncmy://me@db", "dispatch", "names no database"),
        ("mysql+asyncmy://me@db/jobs", "a-b", "begin with it"),
        ("mysql+asyncmy://me@db/jobs", "a" * 41, "at most 40"),
        ("mysql+pymysql://me@db/jobs", "dispatch", r"mysql\+asyncmy"),
        ("sqlalchemy+mysql+asyncmy://me@db/jobs?speed=1", "dispatch", ""),
    ],
)
def test_what_makes_no_store_is_a_configuration_error(url: str, namespace: str, told: str) -> None:
    if not told:
        assert open_store(url, namespace=namespace)  # what the driver takes of a URL is the driver's
        return
    with pytest.raises(ConfigError, match=told):
        open_store(url, namespace=namespace)


def test_a_list_is_written_into_the_text_and_an_empty_one_holds_nothing() -> None:
    statement = Statement("some", "SELECT 1 FROM t WHERE (:names IS NULL OR name IN :names) AND a % 2 = :a;\nDO :found")
    assert statement.names == ("names", "a")
    assert statement.texts[0] == (
        "SELECT 1 FROM t WHERE (%(names)s IS NULL OR name IN %(names__list)s) AND a %% 2 = %(a)s"
    )
    bound = statement.bound(0, {"names": '["b", "c"]', "a": 1})
    assert bound == {"names": '["b", "c"]', "names__list": ("b", "c"), "a": 1}
    assert statement.bound(0, {"names": "[]", "a": 1})["names__list"] == (None,)
    assert statement.bound(0, {"names": None, "a": 1})["names__list"] == (None,)


def test_what_a_statement_finds_is_given_to_the_next_and_a_plan_names_its_transaction() -> None:
    def plan() -> Plan[int]:
        changed: int = yield Do("some", {"id": 5})
        return changed

    statement = Statement("some", "SELECT a WHERE id = :id;\nUPDATE t SET b = :transaction WHERE a IN :found")
    talk = asks(plan(), {"some": statement})
    first = next(talk)
    assert (first.wants, first.values) == ("rows", {"id": 5})
    second = talk.send([("x",), ("y",)])
    assert second.wants == "count"
    assert second.values["found__list"] == ("x", "y")
    assert second.values["transaction"]
    with pytest.raises(StopIteration) as end:
        talk.send(2)
    assert end.value.value == 2


def test_names_are_quoted_whatever_the_database_is_called() -> None:
    assert place("mysql://", "a`b", "dispatch").table("jobs") == "`a``b`.`dispatch_jobs`"
