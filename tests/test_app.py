"""The app: what it takes, how it opens and closes, and its services for synchronous code."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest

from dispatch import hookimpl
from dispatch.app import Dispatch, open_implicit
from dispatch.config import Config
from dispatch.errors import (
    AlreadyReplayed,
    ConfigError,
    DLQNotFound,
    InvalidPlugin,
    JobFailed,
    NoOpenApp,
    NoStore,
    StoreUnreachable,
)
from dispatch.ids import DLQID
from dispatch.jobs.definition import AsyncJobDefinition
from dispatch.jobs.model import JobState
from dispatch.queues import QueueConfig
from dispatch.registry import Registry, default_registry
from dispatch.scope import use_scope
from dispatch.stores.memory import MemoryStore
from dispatch.stores.sqlite import SQLiteStore

CONFIG = Config(store="memory://", auto_open=False)


@pytest.fixture
def note(registry: Registry) -> AsyncJobDefinition[[str], str]:
    @registry.job(queue="notes")
    async def note(text: str) -> str:
        if text == "bad":
            raise ValueError("bad")
        return text

    return note


def make(registry: Registry, store: Any = "memory://", **settings: Any) -> Dispatch:
    return Dispatch(store, registry=registry, config=CONFIG, **settings)


# what it takes


def test_no_store_is_an_error_that_says_what_to_give() -> None:
    with pytest.raises(NoStore, match=r"sqlite:///dispatch.db.*memory://"):
        Dispatch(None)


def test_a_store_is_a_url_or_a_store(tmp_path: Path, registry: Registry) -> None:
    store = MemoryStore()
    assert make(registry, store).store is store
    assert isinstance(make(registry, "memory://").store, MemoryStore)
    assert isinstance(make(registry, f"sqlite:///{tmp_path}/x.db").store, SQLiteStore)
    with pytest.raises(ConfigError, match="did you mean sqlite://"):
        make(registry, "sqllite:///x.db")


def test_without_arguments_the_configuration_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DISPATCH_CONCURRENCY", "3")
    (tmp_path / "dispatch.toml").write_text('store = "sqlite:///mine.db"\nqueues = ["a", "b"]\n')
    app = Dispatch()
    assert isinstance(app.store, SQLiteStore)
    assert "mine.db" in app.store.url
    assert app.registry is default_registry
    assert app.served_queues() == ["a", "b"]
    assert app.build_engine().settings.concurrency == 3


async def test_arguments_win_over_the_configuration(registry: Registry) -> None:
    app = make(registry, concurrency=7, queues=["x", "x", "y"])
    engine = app.build_engine()
    assert (engine.settings.concurrency, list(engine.settings.queues)) == (7, ["x", "y"])
    with pytest.raises(ConfigError, match="concurrency is 0"):
        make(registry, concurrency=0)


async def test_a_worker_serves_all_queues_that_are_known(registry: Registry, note: Any) -> None:
    config = Config(store="memory://", queue={"configured": {"max_concurrency": 1}})  # type: ignore[dict-item]
    app = Dispatch(registry=registry, config=config)
    assert app.served_queues() == ["default", "notes", "configured"]


async def test_limits_are_stored_when_an_app_with_jobs_opens(registry: Registry, note: Any) -> None:
    config = Config(store="memory://", queue={"a": {"max_concurrency": 2}})  # type: ignore[dict-item]
    async with Dispatch(registry=registry, config=config, queue_config=[QueueConfig("b", rate_limit=5)]) as app:
        assert (await app.queues.get("a")).config.max_concurrency == 2
        assert (await app.queues.get("b")).config.rate_limit == 5
        await app.queues.configure(QueueConfig("b"))
        assert (await app.queues.get("b")).config.rate_limit is None


async def test_a_look_from_outside_stores_no_configured_limits(registry: Registry) -> None:
    config = Config(store="memory://", queue={"a": {"max_concurrency": 2}})  # type: ignore[dict-item]
    async with Dispatch(registry=registry, config=config) as app:
        assert (await app.queues.get("a")).config.max_concurrency is None


async def test_definitions_are_announced_when_the_app_opens(registry: Registry, note: Any) -> None:
    async with make(registry) as app:
        (announced,) = await app.workers.definitions()
        assert (announced.name, announced.kind, announced.queue) == ("note", "job", "notes")
        assert list(announced.schema["properties"]) == ["text"]


async def test_the_given_logger_is_the_parent_of_what_is_logged(
    registry: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    class Bad:
        @hookimpl
        def shutdown(self) -> None:
            raise RuntimeError("bad plugin")

    async with make(registry, logger=logging.getLogger("myapp.jobs"), plugins=[Bad()]):
        pass
    assert {record.name for record in caplog.records} == {"myapp.jobs.plugins"}


async def test_a_definition_can_be_registered_by_hand(registry: Registry) -> None:
    other = Registry()

    @other.job
    async def borrowed() -> int:
        return 5

    async with make(registry) as app:
        assert app.register(borrowed) is borrowed
        await app.start()
        assert await (await app.enqueue(borrowed)).result(timeout=5) == 5


# opening and closing


async def test_opening_and_closing_are_repeatable(registry: Registry, note: Any) -> None:
    store = MemoryStore()
    app = make(registry, store)
    for n in range(3):
        assert await app.open() is app
        assert await app.open() is app
        await app.enqueue(note, str(n))
        await app.close()
        await app.close()
    with pytest.raises(NoOpenApp):
        _ = app.loop


async def test_a_store_that_cannot_be_opened_leaves_no_open_app(
    registry: Registry, note: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISPATCH_AUTO_OPEN", "false")
    with pytest.raises(StoreUnreachable, match="missing"):
        await make(registry, f"sqlite:///{tmp_path}/missing/x.db").open()
    with pytest.raises(NoOpenApp):
        await note.enqueue("x")


async def test_a_plugin_that_cannot_start_stops_the_opening(registry: Registry) -> None:
    class Bad:
        @hookimpl
        def register_middleware(self) -> None:
            raise RuntimeError("no licence")

    app = make(registry, plugins=[Bad()])
    for _ in range(2):
        with pytest.raises(InvalidPlugin, match="no licence"):
            await app.open()


async def test_plugins_are_asked_once_however_often_the_app_opens(registry: Registry) -> None:
    asked = 0

    class Counting:
        @hookimpl
        def register_middleware(self) -> list[Any]:
            nonlocal asked
            asked += 1
            return []

    app = make(registry, plugins=[Counting()])
    for _ in range(2):
        async with app:
            pass
    assert asked == 1


async def test_starting_opens_and_closing_stops(registry: Registry, note: Any) -> None:
    app = make(registry)
    engine = await app.start()
    assert engine is app.engine
    assert (await app.workers.list(live=True))[0].id == engine.worker_id
    assert await (await app.enqueue(note, "x")).result(timeout=5) == "x"
    await app.close()
    assert app.engine is None
    assert not engine.running


async def test_an_error_inside_the_block_closes_the_app(registry: Registry) -> None:
    app = make(registry)
    with pytest.raises(ZeroDivisionError):
        async with app:
            await app.start()
            raise ZeroDivisionError
    with pytest.raises(NoOpenApp):
        _ = app.loop


async def test_auto_open_can_be_switched_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dispatch.toml").write_text("auto_open = false\n")
    with pytest.raises(NoOpenApp, match="auto_open is false"):
        await open_implicit()
    assert not (tmp_path / "dispatch.db").exists()


# two apps on two loops


def test_two_apps_live_on_two_loops(registry: Registry, note: Any) -> None:
    store = MemoryStore()
    with make(registry, store) as outer:

        async def inner() -> str:
            async with make(registry, store.sibling()) as app:
                assert app.loop is not outer.loop
                await app.start()
                handle = await outer.enqueue(note, "across")
                return str(await handle.result(timeout=5))

        assert asyncio.run(inner()) == "across"


# synchronous code


def test_services_have_a_synchronous_face(registry: Registry, note: Any) -> None:
    with make(registry) as app:
        app.sync.start()
        handle = app.sync.enqueue(note, "good")
        assert handle.result(timeout=5) == "good"
        assert handle.status() is JobState.COMPLETED
        bad = note.options(max_retries=0).sync.enqueue("bad")
        with pytest.raises(JobFailed, match="ValueError: bad"):
            bad.result(timeout="5s")
        (entry,) = app.sync.dlq.list().items
        assert [found.id for found in app.sync.dlq.each()] == [entry.id]
        new_id = app.sync.dlq.replay(entry.id)
        assert app.sync.jobs.wait(new_id, timeout=5).effect_key == bad.id
        with pytest.raises(AlreadyReplayed):
            app.sync.dlq.replay(entry.id)
        with pytest.raises(DLQNotFound, match="there is no dead letter dlq_"):
            app.sync.dlq.replay(DLQID.new())
        app.sync.queues.pause("notes", reason="because")
        assert app.sync.queues.get("notes").pause.reason == "because"


def test_the_caller_s_tenant_goes_along(registry: Registry, note: Any) -> None:
    with make(registry) as app, use_scope("shop", "t-42"):
        assert app.sync.events.publish("paid", {"n": 1}, key="k").scope.tenant == "shop/t-42"
        assert note.sync.enqueue("x").job().scope.tenant == "shop/t-42"
        assert app.sync.enqueue(note, "x").job().scope.tenant == "shop/t-42"


def test_what_is_no_coroutine_is_left_as_it_is(registry: Registry) -> None:
    with make(registry) as app:
        assert app.sync.served_queues() == app.served_queues()
        with pytest.raises(AttributeError):
            app.sync.jobs.no_such_verb()


def test_a_configuration_that_is_none_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"config is \{'concurrency': 3\}; give a Config"):
        Dispatch("memory://", config={"concurrency": 3})  # type: ignore[arg-type]
