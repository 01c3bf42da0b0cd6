"""What plugins bring at start: a checked section of the configuration, stores by their URL's scheme."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from pydantic import BaseModel, SecretStr

from dispatch import Config, Dispatch, hookimpl
from dispatch.errors import ConfigError, DiscoveryError, InvalidPlugin
from dispatch.hookspecs import ASKED_AT_ONCE
from dispatch.plugins import PluginManager
from dispatch.registry import Registry
from dispatch.stores.memory import MemoryStore


class Section(BaseModel):
    url: str = "http://localhost"
    timeout: timedelta = timedelta(seconds=5)
    token: SecretStr = SecretStr("")


class Notifier:
    def __init__(self, **settings: Any) -> None:
        self.settings = settings

    @staticmethod
    @hookimpl
    def register_config() -> type[BaseModel]:
        return Section


class Unbound:
    @hookimpl
    def register_config(self) -> type[BaseModel]:
        return Section


class Wrong:
    @staticmethod
    @hookimpl
    def register_config() -> Any:
        return {"url": str}


class Exits:
    def __init__(self) -> None:
        sys.exit(3)

    @hookimpl
    def shutdown(self) -> None: ...


class Stores:
    """Brings a kind of store."""

    made: ClassVar[list[tuple[str, dict[str, Any]]]] = []

    @hookimpl
    def register_stores(self) -> dict[str, Callable[..., MemoryStore]]:
        def make(rest: str, **options: Any) -> MemoryStore:
            self.made.append((rest, options))
            return MemoryStore()

        return {"acme": make}


def loaded(name: str, **section: Any) -> PluginManager:
    manager = PluginManager(settings={name: section})
    manager.load([name])
    return manager


@pytest.mark.parametrize("two", ["2s", 2, "PT2S"])
def test_a_section_is_parsed_by_its_model_and_given_to_the_class(two: object) -> None:
    name = f"{__name__}:Notifier"
    manager = loaded(name, timeout=two, token="t0p")
    made = manager._manager.get_plugin(name)
    assert made.settings == {"url": "http://localhost", "timeout": timedelta(seconds=2), "token": SecretStr("t0p")}
    assert manager.sections[name] == Section(timeout=timedelta(seconds=2), token=SecretStr("t0p"))


def test_a_section_that_is_not_there_has_its_defaults() -> None:
    name = f"{__name__}:Notifier"
    manager = PluginManager()
    manager.load([name])
    assert manager.sections[name] == Section()


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"timeot": 3}, r"unknown key 'plugin\..*Notifier\.timeot': did you mean 'timeout'\?"),
        ({"timeout": "soon"}, r"plugin\..*Notifier\.timeout = 'soon': is not a duration: write seconds"),
        ({"token": 7}, r"plugin\..*Notifier\.token = '\*\*\*': "),
    ],
    ids=["unknown key", "wrong value", "secret"],
)
def test_what_is_wrong_with_a_section_is_named(section: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        loaded(f"{__name__}:Notifier", **section)


def test_a_model_that_cannot_be_asked_for_teaches() -> None:
    with pytest.raises(InvalidPlugin, match=r"register_config raised TypeError.*a staticmethod"):
        loaded(f"{__name__}:Unbound")
    with pytest.raises(InvalidPlugin, match=r"return a subclass of pydantic\.BaseModel"):
        loaded(f"{__name__}:Wrong")


def test_a_plugin_that_exits_while_it_is_made_is_named() -> None:
    with pytest.raises(InvalidPlugin, match="Exits' cannot be made: SystemExit: 3"):
        loaded(f"{__name__}:Exits")


@pytest.mark.parametrize("hook", sorted(ASKED_AT_ONCE))
def test_a_hook_that_is_asked_at_once_is_no_coroutine(hook: str) -> None:
    async def answer() -> None: ...

    with pytest.raises(InvalidPlugin, match=f"{hook} is asked where nothing can be awaited; drop the `async`"):
        PluginManager().register(SimpleNamespace(**{hook: hookimpl(answer)}))


@pytest.mark.parametrize("error", [RuntimeError("no"), SystemExit(2)], ids=["error", "exit"])
def test_a_hook_that_is_asked_at_once_and_fails_is_named(error: BaseException) -> None:
    def answer() -> None:
        raise error

    manager = PluginManager()
    manager.register(SimpleNamespace(register_stores=hookimpl(answer)), "bad")
    with pytest.raises(InvalidPlugin, match=r"plugin 'bad': its register_stores raised (RuntimeError|SystemExit)"):
        manager.ask("register_stores")


async def test_an_app_opens_a_store_of_a_plugin_s_scheme() -> None:
    Stores.made.clear()
    config = Config(plugins=[f"{__name__}:Stores"], namespace="shop", migrate="never")
    async with Dispatch("acme://host/path", config=config, registry=Registry()) as app:
        assert isinstance(app.store, MemoryStore)
    assert Stores.made == [("host/path", {"namespace": "shop", "migrate": "never", "clock": None})]
    async with Dispatch("acme://given", config=Config(), registry=Registry(), plugins=[Stores()]) as app:
        assert isinstance(app.store, MemoryStore)


def test_a_scheme_that_nobody_brings_names_those_there_are() -> None:
    config = Config(plugins=[f"{__name__}:Stores"])
    with pytest.raises(ConfigError, match=r"did you mean acme://\?.*memory://"):
        Dispatch("acmee://host", config=config, registry=Registry())


def test_a_known_scheme_asks_no_plugin(tmp_path: Path) -> None:
    config = Config(plugins=["no.such.plugin"])
    Dispatch(f"sqlite:///{tmp_path}/a.db", config=config, registry=Registry())
    with pytest.raises(DiscoveryError, match=r"there is no plugin 'no\.such\.plugin'"):
        Dispatch("acme://host", config=config, registry=Registry())


def test_an_answer_that_makes_no_stores_is_refused() -> None:
    wrong = SimpleNamespace(register_stores=hookimpl(lambda: {"acme": "MemoryStore"}))
    with pytest.raises(InvalidPlugin, match="its register_stores answers"):
        Dispatch("acme://host", config=Config(), registry=Registry(), plugins=[wrong])
