"""The plugin manager: what it refuses and what it finds; every hook is documented."""

from __future__ import annotations

import functools
import inspect
import re
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hooking import plugin

import dispatch
from dispatch import hookspecs
from dispatch.errors import DiscoveryError, InvalidPlugin
from dispatch.hookspecs import hookimpl
from dispatch.plugins import PluginManager

DOCS = Path(__file__).parent.parent / "docs" / "hooks.md"
SPECS = {name: spec for name, spec in vars(hookspecs).items() if hasattr(spec, "dispatch_spec")}


# registering


def test_a_plugin_with_an_unknown_hook_is_refused_with_the_nearest_name(manager: PluginManager) -> None:
    with pytest.raises(InvalidPlugin, match="'job_fialed', which is no hook; did you mean 'job_failed'"):
        manager.register(plugin(job_fialed=lambda job: None))


def test_an_unknown_hook_that_is_marked_optional_is_accepted(manager: PluginManager) -> None:
    class Future:
        @hookimpl(optionalhook=True)
        def job_teleported(self, job: object) -> None: ...

    assert manager.register(Future(), "future") == "future"


@pytest.mark.parametrize("function", [lambda jbo: None, lambda *, jbo=None: None])
def test_a_hook_with_an_unknown_argument_is_refused(manager: PluginManager, function: Callable[..., Any]) -> None:
    with pytest.raises(InvalidPlugin, match="job_failed has no argument 'jbo'; did you mean 'job'"):
        manager.register(plugin(job_failed=function))
    assert not manager.has("job_failed")


def test_the_manager_knows_which_hooks_somebody_implements(manager: PluginManager) -> None:
    before = set(manager.implemented)
    manager.register(plugin(job_enqueued=lambda job: None))
    assert "job_enqueued" not in before
    assert manager.implemented == before | {"job_enqueued"}
    assert manager.implemented == {hook for hook in SPECS if manager.has(hook)}


def test_a_hook_whose_wrapper_takes_arguments_by_name_only_is_called_so(manager: PluginManager) -> None:
    told: list[object] = []

    def by_name(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def inner(**arguments: Any) -> Any:
            return function(**arguments)

        return inner

    class Wrapped:
        @hookimpl
        @staticmethod
        @by_name
        def job_dlq(job: object) -> None:
            told.append(job)

    manager.register(Wrapped())
    (implementation,) = manager._implementations["job_dlq"]
    assert implementation.outcome({"job": "a", "error": "b"}).error is None
    assert told == ["a"]


def test_a_hook_without_arguments_says_so(manager: PluginManager) -> None:
    with pytest.raises(InvalidPlugin, match="shutdown has no argument 'app'; it has none at all"):
        manager.register(plugin(shutdown=lambda app: None))


def test_what_could_never_be_called_is_refused(manager: PluginManager) -> None:
    def wrapping(job: object) -> Any:
        yield

    def positional(job: object, /) -> None: ...

    class Unmade:
        @hookimpl
        def job_failed(self, job: object) -> None: ...

    with pytest.raises(InvalidPlugin, match="is a generator"):
        manager.register(plugin(job_failed=wrapping))
    with pytest.raises(InvalidPlugin, match="by position only"):
        manager.register(plugin(job_failed=positional))
    with pytest.raises(InvalidPlugin, match=r"register an instance of it: Unmade\(\)"):
        manager.register(Unmade)
    with pytest.raises(InvalidPlugin, match="implements no hook"):
        manager.register(types.SimpleNamespace(job_failed=lambda job: None))
    assert manager.names == []


def test_a_plugin_is_called_after_its_class_and_twins_are_numbered(manager: PluginManager) -> None:
    class Twin:
        @hookimpl
        def shutdown(self) -> None: ...

    first, second = Twin(), Twin()
    name = f"{__name__}.{Twin.__qualname__}"
    assert [manager.register(first), manager.register(second), manager.register(first)] == [name, f"{name}#2", name]
    assert manager.names == [name, f"{name}#2"]


def test_a_given_name_belongs_to_one_plugin(manager: PluginManager) -> None:
    manager.register(plugin(shutdown=lambda: None), "mine")
    with pytest.raises(InvalidPlugin, match="the name 'mine' is taken"):
        manager.register(plugin(job_failed=lambda: None), "mine")


def test_a_disabled_plugin_is_not_registered() -> None:
    manager = PluginManager(disabled=["mine"])
    assert manager.register(plugin(shutdown=lambda: None), "mine") is None
    assert not manager.has("shutdown")


# finding


def distribution(folder: Path, name: str, entry_points: str) -> None:
    info = folder / f"{name.replace('-', '_')}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[dispatch]\n{entry_points}\n")


def module(folder: Path, name: str, body: str = "") -> None:
    (folder / f"{name}.py").write_text(
        "from dispatch.hookspecs import hookimpl\n" + (body or "@hookimpl\ndef shutdown():\n    pass\n")
    )


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_plugins_of_other_distributions_load_by_themselves_and_ours_do_not(folder: Path) -> None:
    for name in ("acme_pager", "acme_audit", "our_relay"):
        module(folder, name)
    distribution(folder, "acme", "pager = acme_pager\naudit = acme_audit")
    distribution(folder, "dispatch_tasks", "relay = our_relay")
    manager = PluginManager(disabled=["audit"])
    manager.load_entry_points()
    assert manager.names == ["pager"]
    manager.load(["relay", "audit"])
    assert manager.names == ["pager", "relay"]


def test_a_name_loads_once(folder: Path, manager: PluginManager) -> None:
    module(folder, "acme_once")
    module(folder, "acme_class", "class P:\n    @hookimpl\n    def shutdown(self): pass\n")
    distribution(folder, "acme", "once = acme_once\nclass = acme_class:P")
    manager.load(["once", "once", "acme_once", "acme_class:P"])
    manager.load_entry_points()
    assert manager.names == ["once", "acme_class:P"]


def test_a_name_that_nobody_offers_teaches(folder: Path, manager: PluginManager) -> None:
    distribution(folder, "acme", "pager = acme_pager")
    with pytest.raises(DiscoveryError, match=r"there is no plugin 'acme.pagr'.*installed plugins: .*pager"):
        manager.load(["acme.pagr"])


def test_a_plugin_that_cannot_be_imported_names_distribution_file_and_way_out(
    folder: Path, manager: PluginManager
) -> None:
    module(folder, "acme_broken", "import nothing_of_that_name\n")
    module(folder, "acme_exits", "raise SystemExit(3)\n")
    distribution(folder, "acme", "broken = acme_broken")
    with pytest.raises(DiscoveryError, match=r"of distribution 'acme'.*nothing_of_that_name.*acme_broken.py, line 2"):
        manager.load_entry_points()
    with pytest.raises(DiscoveryError, match=r"disabled_plugins = \['acme_exits'\]"):
        manager.load(["acme_exits"])
    with pytest.raises(DiscoveryError, match="'acme_exits:Gone' cannot be imported"):
        manager.load(["acme_exits:Gone"])


# documentation


def sections() -> dict[str, str]:
    parts = re.split(r"^### `(\w+\([^)]*\))`$", DOCS.read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.mark.parametrize("name", SPECS)
def test_every_hook_is_documented_with_its_arguments_and_an_example(name: str) -> None:
    spec = SPECS[name]
    arguments = list(inspect.signature(spec).parameters)
    documented = sections()
    heading = f"{name}({', '.join(arguments)})"
    assert heading in documented, f"docs/hooks.md needs a section ### `{heading}`"
    assert re.search(rf"```python.*@hookimpl\n *(async )?def {name}\(.*```", documented[heading], re.DOTALL)
    assert inspect.getdoc(spec)
    for argument in arguments:
        assert f"{argument}: " in inspect.getdoc(spec), f"the docstring of {name} does not explain {argument}"


def test_the_documentation_names_no_hook_that_does_not_exist() -> None:
    assert {heading.split("(")[0] for heading in sections()} == set(SPECS)


def test_every_example_in_the_documentation_registers(manager: PluginManager, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "hookimpl", hookimpl, raising=False)
    for number, code in enumerate(re.findall(r"^```python\n(.*?)^```", DOCS.read_text(), re.DOTALL | re.MULTILINE)):
        example = types.ModuleType(f"example_{number}")
        exec(compile(code, f"docs/hooks.md example {number}", "exec"), example.__dict__)
        if hasattr(example, "Pager"):
            manager.register(example.Pager("#ops"))
        elif hasattr(example, "Notifier"):
            manager.register(example.Notifier("http://localhost", "", 5))
        elif "hookimpl" in code:
            manager.register(example)
    assert all(manager.has(hook) for hook in SPECS)


class Configured:
    def __init__(self, *, path: str = "nowhere") -> None:
        self.path = path

    @hookimpl
    def shutdown(self) -> None:
        return None


def test_a_plugin_class_gets_its_settings_as_keyword_arguments() -> None:
    name = f"{__name__}:Configured"
    manager = PluginManager(settings={name: {"path": "/tmp/here"}})
    manager.load([name])
    assert manager._manager.get_plugin(name).path == "/tmp/here"


def test_settings_that_the_plugin_does_not_take_are_an_error() -> None:
    name = f"{__name__}:Configured"
    with pytest.raises(InvalidPlugin, match="does not take"):
        PluginManager(settings={name: {"colour": "red"}}).load([name])
