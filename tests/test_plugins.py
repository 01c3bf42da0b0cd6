"""The plugin manager: what it refuses, what it finds, and that one bad plugin stops nobody."""

from __future__ import annotations

import asyncio
import inspect
import logging
import re
import threading
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from engine.facts import eventually

import dispatch
from dispatch import hookspecs
from dispatch.errors import DiscoveryError, InvalidPlugin
from dispatch.hookspecs import hookimpl
from dispatch.plugins import PluginManager

DOCS = Path(__file__).parent.parent / "docs" / "hooks.md"
SPECS = {name: spec for name, spec in vars(hookspecs).items() if hasattr(spec, "dispatch_spec")}


def plugin(**functions: Callable[..., Any]) -> types.SimpleNamespace:
    """An object whose attributes are hook implementations."""
    return types.SimpleNamespace(**{name: hookimpl(function) for name, function in functions.items()})


@pytest.fixture
def manager() -> PluginManager:
    return PluginManager(hook_timeout=5.0)


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


# calling


async def test_each_implementation_gets_only_the_arguments_it_names(manager: PluginManager) -> None:
    seen: list[Any] = []

    async def everything(**facts: Any) -> None:
        seen.append(facts)

    manager.register(plugin(job_failed=lambda error: seen.append(error)))
    manager.register(plugin(job_failed=lambda *, job=None: seen.append(job)))
    manager.register(plugin(job_failed=everything))
    await manager.notify("job_failed", job="j", error="e")
    assert seen == [{"job": "j", "error": "e"}, "j", "e"]


async def test_implementations_run_in_the_order_of_pluggy(manager: PluginManager) -> None:
    seen: list[str] = []

    class Marked:
        @hookimpl(trylast=True)
        def shutdown(self) -> None:
            seen.append("last")

        @hookimpl(tryfirst=True, specname="shutdown")
        async def at_the_end(self) -> None:
            seen.append("first")

    manager.register(Marked())
    manager.register(plugin(shutdown=lambda: seen.append("earlier")))
    manager.register(plugin(shutdown=lambda: seen.append("later")))
    await manager.notify("shutdown")
    assert seen == ["first", "later", "earlier", "last"]


@pytest.mark.parametrize(
    "error",
    [ValueError("boom"), SystemExit(1), KeyboardInterrupt(), asyncio.CancelledError(), GeneratorExit()],
    ids=lambda error: type(error).__name__,
)
async def test_a_failing_hook_is_logged_with_its_plugin_and_stops_nobody(
    manager: PluginManager, caplog: pytest.LogCaptureFixture, error: BaseException
) -> None:
    seen: list[str] = []

    def fails() -> None:
        raise error

    async def fails_later() -> None:
        await asyncio.sleep(0)
        raise error

    manager.register(plugin(shutdown=lambda: seen.append("reached")), "good")
    manager.register(plugin(shutdown=fails), "bad")
    manager.register(plugin(shutdown=fails_later), "worse")
    await asyncio.wait_for(manager.notify("shutdown"), 20)
    assert seen == ["reached"]
    assert [record.getMessage().split(";")[0] for record in caplog.records] == [
        f"plugin 'worse': its shutdown raised {type(error).__name__}",
        f"plugin 'bad': its shutdown raised {type(error).__name__}",
    ]


async def test_a_plain_hook_that_raises_stop_iteration_is_named_at_once(
    manager: PluginManager, caplog: pytest.LogCaptureFixture
) -> None:
    manager.register(plugin(job_enqueuing=lambda: next(iter(()))), "bad")
    assert await manager.collect("job_enqueuing", job="j") == []
    assert "plugin 'bad': its job_enqueuing raised StopIteration" in caplog.text


async def test_a_hook_that_takes_too_long_is_cancelled_and_named(caplog: pytest.LogCaptureFixture) -> None:
    manager = PluginManager(hook_timeout=0.01)
    cancelled = asyncio.Event()

    async def hangs() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    manager.register(plugin(shutdown=hangs), "slow")
    await asyncio.wait_for(manager.notify("shutdown"), 5)
    assert cancelled.is_set()
    assert "plugin 'slow': its shutdown took longer than 0.01 s" in caplog.text


async def test_a_timeout_error_of_the_plugin_itself_is_told_as_such(
    manager: PluginManager, caplog: pytest.LogCaptureFixture
) -> None:
    async def fails() -> None:
        raise TimeoutError("its own")

    manager.register(plugin(shutdown=fails), "own")
    await manager.notify("shutdown")
    assert "raised TimeoutError" in caplog.text


async def test_cancelling_the_caller_goes_through(manager: PluginManager, caplog: pytest.LogCaptureFixture) -> None:
    inside = asyncio.Event()

    async def hangs() -> None:
        inside.set()
        await asyncio.Event().wait()

    manager.register(plugin(shutdown=hangs))
    task = asyncio.create_task(manager.notify("shutdown"))
    await asyncio.wait_for(inside.wait(), 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not caplog.records


async def swallows_cancellation(seen: list[str]) -> None:
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            seen.append("swallowed")


async def swallows_everything(seen: list[str]) -> None:
    while True:
        try:
            await asyncio.sleep(3600)
        except BaseException:
            seen.append("swallowed")


async def waits_for_such_a_task(seen: list[str]) -> None:
    gate = asyncio.Event()

    async def goes_on() -> None:
        while not gate.is_set():
            try:
                await gate.wait()
            except asyncio.CancelledError:
                seen.append("swallowed")

    asyncio.get_running_loop().call_later(3, gate.set)  # so that the test's own loop can end
    await asyncio.create_task(goes_on())


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("bad", [swallows_cancellation, swallows_everything, waits_for_such_a_task])
async def test_a_hook_that_swallows_its_cancellation_is_ended_and_holds_up_nobody(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, bad: Callable[[list[str]], Any]
) -> None:
    monkeypatch.setattr("dispatch.plugins.containing.GRACE", 0.05)
    manager = PluginManager(hook_timeout=0.02)
    seen: list[str] = []

    async def job_started() -> None:
        await bad(seen)

    async def good() -> None:
        seen.append("reached")

    manager.register(plugin(job_started=good), "good")
    manager.register(plugin(job_started=job_started), "bad")
    await asyncio.wait_for(manager.notify("job_started", job="j"), 20)
    assert seen[0] == "swallowed" and seen[-1] == "reached"
    text = "plugin 'bad': its job_started took longer than 0.02 s, went on when it was cancelled, and was ended"
    assert text in caplog.text
    seen.clear()
    manager.background("job_started", job="j")
    await eventually(lambda: "reached" in seen)
    assert await manager.drain(20) == 0


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_event_loop_ends_although_a_hook_swallows_its_cancellation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dispatch.plugins.containing.GRACE", 0.05)
    seen: list[str] = []

    async def main() -> None:
        manager = PluginManager(hook_timeout=0.02)

        async def shutdown() -> None:
            await swallows_cancellation(seen)

        manager.register(plugin(shutdown=shutdown))
        await manager.notify("shutdown")

    asyncio.run(main())
    assert seen


async def test_a_cancelled_caller_is_not_held_up_by_a_hook_that_swallows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dispatch.plugins.containing.GRACE", 0.05)
    manager, begun = PluginManager(hook_timeout=3600), asyncio.Event()

    async def job_enqueuing() -> None:
        begun.set()
        await swallows_cancellation([])

    manager.register(plugin(job_enqueuing=job_enqueuing))
    enqueue = asyncio.create_task(manager.collect("job_enqueuing", job="j"))
    await asyncio.wait_for(begun.wait(), 20)
    enqueue.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(enqueue, 20)


async def test_what_a_plain_hook_answers_too_late_to_be_awaited_is_closed() -> None:
    manager, gate, closed = PluginManager(hook_timeout=0.02), threading.Event(), list[str]()

    async def never() -> None: ...

    def job_enqueuing() -> Any:
        assert gate.wait(20)
        closed.append("soon")
        return never()

    manager.register(plugin(job_enqueuing=job_enqueuing))
    assert await manager.collect("job_enqueuing", job="j") == []
    gate.set()
    assert await manager.drain(20) == 0
    assert closed == ["soon"]  # and no warning of a coroutine that was never awaited, which would be an error here


async def test_what_a_hook_answers_in_spite_of_its_cancellation_counts(manager: PluginManager) -> None:
    manager = PluginManager(hook_timeout=0.02)

    async def job_enqueuing() -> dict[str, int]:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            return {"late": 1}
        return {}

    manager.register(plugin(job_enqueuing=job_enqueuing))
    assert await manager.collect("job_enqueuing", job="j") == [{"late": 1}]


async def test_a_hook_that_blocks_the_loop_is_named(
    manager: PluginManager, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = iter([0.0, 0.5])
    monkeypatch.setattr("dispatch.plugins.manager.time.perf_counter", lambda: next(ticks))

    async def shutdown() -> None: ...

    manager.register(plugin(shutdown=shutdown), "blocker")
    await manager.notify("shutdown")
    assert "plugin 'blocker': its shutdown held the event loop for 0.500 s" in caplog.text


async def test_collect_answers_what_was_returned_without_failures(
    manager: PluginManager, caplog: pytest.LogCaptureFixture
) -> None:
    async def later(job: Any) -> dict[str, Any]:
        return {"later": job}

    manager.register(plugin(job_enqueuing=lambda job: {"now": job}))
    manager.register(plugin(job_enqueuing=lambda job: 1 / 0), "bad")
    manager.register(plugin(job_enqueuing=lambda: None))
    manager.register(plugin(job_enqueuing=later))
    assert await manager.collect("job_enqueuing", job="j") == [{"later": "j"}, {"now": "j"}]
    assert "plugin 'bad'" in caplog.text


async def test_a_registration_hook_that_fails_is_an_error(manager: PluginManager) -> None:
    manager.register(plugin(register_middleware=lambda: 1 / 0), "bad")
    with pytest.raises(InvalidPlugin, match="plugin 'bad': its register_middleware raised ZeroDivisionError"):
        await manager.collect("register_middleware")


async def test_a_registration_hook_that_hangs_is_an_error_in_good_time() -> None:
    async def hangs() -> None:
        await asyncio.Event().wait()

    manager = PluginManager(hook_timeout=0.02)
    manager.register(plugin(register_middleware=hangs), "slow")
    with pytest.raises(InvalidPlugin, match=r"plugin 'slow': its register_middleware took longer than 0\.02 s"):
        await manager.collect("register_middleware")


@pytest.mark.parametrize("error", [RuntimeError("no"), SystemExit(3)], ids=["error", "exit"])
async def test_a_plugin_that_fails_before_an_enqueue_keeps_nobody_else_s_additions_back(
    manager: PluginManager, error: BaseException
) -> None:
    def fails() -> None:
        raise error

    manager.register(plugin(job_enqueuing=lambda job: {"first": job}), "first")
    manager.register(plugin(job_enqueuing=fails), "bad")
    manager.register(plugin(job_enqueuing=lambda job: {"last": job}), "last")
    assert await manager.collect("job_enqueuing", job=1) == [{"last": 1}, {"first": 1}]


async def test_has_follows_later_registrations_and_refuses_typing_errors(manager: PluginManager) -> None:
    assert not manager.has("shutdown")
    manager.register(plugin(shutdown=lambda: None))
    assert manager.has("shutdown")
    assert not manager.has("job_failed")
    with pytest.raises(KeyError):
        manager.has("shutdwon")


async def test_drain_waits_for_background_calls_and_for_those_they_start(manager: PluginManager) -> None:
    seen: list[str] = []

    async def first(job: Any) -> None:
        await asyncio.sleep(0)
        manager.background("job_completed", job=job, elapsed=0.1)
        seen.append("started")

    manager.register(plugin(job_started=first, job_completed=lambda job: seen.append("completed")))
    manager.background("job_started", job="j")
    assert seen == []
    assert await manager.drain(5) == 0
    assert seen == ["started", "completed"]


async def test_drain_gives_up_and_cancels_what_is_left(
    manager: PluginManager, caplog: pytest.LogCaptureFixture
) -> None:
    begun, cancelled = asyncio.Event(), asyncio.Event()

    async def hangs() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    manager.register(plugin(shutdown=hangs))
    manager.background("shutdown")
    await asyncio.wait_for(begun.wait(), 20)
    assert await manager.drain(0.01) == 1
    assert cancelled.is_set()
    assert "hook shutdown was still running" in caplog.text
    assert await manager.drain(5) == 0


async def test_a_hook_that_drains_does_not_wait_for_itself(manager: PluginManager) -> None:
    left: list[int] = []

    async def closes() -> None:
        left.append(await manager.drain(3600))

    manager.register(plugin(shutdown=closes))
    manager.background("shutdown")
    await asyncio.wait_for(manager.drain(5), 10)
    assert left == [0]


async def test_background_makes_no_task_for_a_hook_that_nobody_implements(manager: PluginManager) -> None:
    before = asyncio.all_tasks()
    manager.background("job_started", job="j")
    assert asyncio.all_tasks() == before


async def test_calls_that_plugins_do_not_keep_up_with_wait_and_then_are_left_out(
    manager: PluginManager, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dispatch.plugins.manager.AT_ONCE", 2)
    monkeypatch.setattr("dispatch.plugins.manager.MOST_WAITING", 3)
    gate, begun = asyncio.Event(), list[int]()

    async def slow(job: int) -> None:
        begun.append(job)
        await gate.wait()

    manager.register(plugin(job_started=slow), "slow one")
    for number in range(9):
        manager.background("job_started", job=number)
    await eventually(lambda: len(begun) == 2)
    (record,) = [record for record in caplog.records if "were left out" in record.getMessage()]
    assert "3 wait already, since plugins hang or do not keep up: slow one" in record.getMessage()
    gate.set()
    assert await manager.drain(5) == 0
    assert begun == [0, 1, 2, 3, 4]


async def test_a_call_that_waits_for_its_turn_is_not_made_twice_for_plain_hooks(
    manager: PluginManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dispatch.plugins.manager.AT_ONCE", 1)
    told, waited = list[int](), list[int]()

    async def later(job: int) -> None:
        await asyncio.sleep(0)
        waited.append(job)

    manager.register(plugin(job_started=later))
    manager.register(plugin(job_started=lambda job: told.append(job)))
    for number in range(3):
        manager.background("job_started", job=number)
    await eventually(lambda: len(waited) == 3)
    assert await manager.drain(20) == 0
    assert told == waited == [0, 1, 2]


async def test_calls_that_still_wait_when_time_is_up_are_told_and_not_begun(
    manager: PluginManager, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dispatch.plugins.manager.AT_ONCE", 1)
    begun: list[int] = []

    async def hangs(job: int) -> None:
        begun.append(job)
        await asyncio.Event().wait()

    manager.register(plugin(job_started=hangs))
    for number in range(3):
        manager.background("job_started", job=number)
    await eventually(lambda: begun)
    assert await manager.drain(0.01) == 3
    assert begun == [0]
    assert "2 calls of hooks still waited for their turn" in caplog.text


async def test_plain_hooks_of_a_plugin_are_called_in_order_on_a_thread_of_its_own(manager: PluginManager) -> None:
    seen: list[str] = []

    async def later() -> None:
        seen.append("awaited")

    manager.register(plugin(job_started=lambda job: seen.append(job), job_completed=lambda job: later()))
    manager.background("job_started", job="a")
    manager.background("job_completed", job="b", elapsed=0.0)
    manager.background("job_started", job="c")
    assert await manager.drain(5) == 0
    assert [word for word in seen if word != "awaited"] == ["a", "c"]
    assert "awaited" in seen


async def test_a_plain_hook_that_hangs_holds_up_neither_the_loop_nor_other_plugins(
    caplog: pytest.LogCaptureFixture,
) -> None:
    manager = PluginManager(hook_timeout=0.05)
    gate, seen = threading.Event(), list[str]()
    manager.register(plugin(job_started=lambda job: seen.append(job)), "good")
    manager.register(plugin(job_started=lambda: gate.wait(), job_enqueuing=lambda: {"late": 1}), "hung")
    try:
        for job in "abc":
            manager.background("job_started", job=job)
        while len(seen) < 3:
            await asyncio.sleep(0)
        assert await manager.collect("job_enqueuing", job="d") == []
        assert re.search("plugin 'hung': its job_enqueuing (took longer than 0.05 s|raised TimeoutError)", caplog.text)
        assert await manager.collect("job_enqueuing", job="e") == []
        manager.background("job_started", job="f")
        assert "calls of hooks were left out" in caplog.text and "hung" in caplog.text
        assert await manager.drain(0.01) >= 1
    finally:
        gate.set()


@pytest.mark.parametrize(
    "error", [ValueError("no"), SystemExit(3), KeyboardInterrupt()], ids=["error", "exit", "ctrl-c"]
)
async def test_a_plain_hook_that_fails_is_logged_and_stops_nobody(
    manager: PluginManager, caplog: pytest.LogCaptureFixture, error: BaseException
) -> None:
    seen: list[str] = []

    def fails() -> None:
        raise error

    manager.register(plugin(job_started=lambda: seen.append("other")), "good")
    manager.register(plugin(job_started=fails), "bad")
    manager.background("job_started", job="a")
    assert await manager.drain(5) == 0
    assert seen == ["other"]
    assert f"plugin 'bad': its job_started raised {type(error).__name__}" in caplog.text


async def test_the_logger_that_was_given_is_used(caplog: pytest.LogCaptureFixture) -> None:
    manager = PluginManager(logger=logging.getLogger("mine"))
    manager.register(plugin(shutdown=lambda: 1 / 0))
    await manager.notify("shutdown")
    assert [record.name for record in caplog.records] == ["mine"]


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
