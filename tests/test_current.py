"""Which app a bare enqueue means."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import pytest

from dispatch import current
from dispatch.app import Dispatch
from dispatch.config import Config
from dispatch.errors import NoOpenApp, SyncInAsync
from dispatch.jobs.definition import AsyncJobDefinition
from dispatch.jobs.model import CountOptions, JobState
from dispatch.registry import Registry
from dispatch.stores.memory import MemoryStore

CONFIG = Config(store="memory://", auto_open=False)


@pytest.fixture
def note(registry: Registry) -> AsyncJobDefinition[[str], str]:
    @registry.job
    async def note(text: str) -> str:
        return text

    return note


@pytest.fixture(autouse=True)
def no_implicit_app(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DISPATCH_AUTO_OPEN", "false")


def make(registry: Registry) -> Dispatch:
    return Dispatch(MemoryStore(), registry=registry, config=CONFIG)


async def pending(app: Dispatch) -> int:
    return (await app.jobs.count(CountOptions()))[JobState.PENDING]


async def test_the_one_open_app_is_meant(registry: Registry, note: AsyncJobDefinition[[str], str]) -> None:
    async with make(registry) as app:
        await note.enqueue("x")
        assert await pending(app) == 1
    with pytest.raises(NoOpenApp):
        await note.enqueue("x")


async def test_among_two_open_apps_nothing_is_guessed(registry: Registry, note: AsyncJobDefinition[[str], str]) -> None:
    async with make(registry) as first, make(registry) as second:
        with pytest.raises(NoOpenApp, match=r"2 apps are open and none of them is running this code.*app.enqueue"):
            await note.enqueue("x")
        await second.enqueue(note, "x")
        with current.using_app(first):
            await note.enqueue("y")
            await asyncio.create_task(_later(note))
        assert (await pending(first), await pending(second)) == (2, 1)


async def _later(note: AsyncJobDefinition[[str], str]) -> None:
    await note.enqueue("z")


async def test_a_started_worker_does_not_make_its_app_the_caller_s(
    registry: Registry, note: AsyncJobDefinition[[str], str]
) -> None:
    async with make(Registry()) as first, make(Registry()) as second:
        await first.start()
        await second.start()
        with pytest.raises(NoOpenApp):
            await note.enqueue("x")


async def test_a_handler_means_the_app_whose_worker_runs_it(registry: Registry) -> None:
    @registry.job
    async def child() -> str:
        return "async"

    @registry.job
    def plain_child() -> str:
        return "plain"

    @registry.job
    async def parent() -> tuple[str, str]:
        return (await child.enqueue()).id, (await asyncio.create_task(child.enqueue())).id

    @registry.job
    def plain_parent() -> str:
        return plain_child.sync.enqueue().id

    async with make(Registry()), make(registry) as app:
        await app.start()
        ids = [*await (await app.enqueue(parent)).result(timeout=5), await (await app.enqueue(plain_parent)).result(5)]
        for job_id in ids:
            assert (await app.jobs.wait(job_id, timeout=5)).state is JobState.COMPLETED


@pytest.mark.dispatch_store
async def test_without_an_app_the_ways_out_are_told(note: AsyncJobDefinition[[str], str]) -> None:
    with pytest.raises(NoOpenApp, match=r"auto_open is false: open one with `async with Dispatch"):
        await note.enqueue("x")


def test_without_an_app_synchronous_code_is_told_too(note: AsyncJobDefinition[[str], str]) -> None:
    with pytest.raises(NoOpenApp):
        note.sync.enqueue("x")


async def test_sync_in_a_coroutine_is_refused(registry: Registry, note: AsyncJobDefinition[[str], str]) -> None:
    async with make(registry) as app:
        with pytest.raises(SyncInAsync):
            note.sync.enqueue("x")
        with pytest.raises(SyncInAsync):
            app.sync.queues.list()
        with pytest.raises(SyncInAsync):
            Dispatch("memory://", config=CONFIG).__enter__()
        assert await pending(app) == 0


async def test_an_app_can_be_used_from_another_loop(registry: Registry, note: AsyncJobDefinition[[str], str]) -> None:
    async with make(registry) as app:
        await app.start()

        async def elsewhere() -> list[Any]:
            handle = await note.enqueue("bare")
            many = await note.enqueue_many([note.call("many")])
            named = await app.enqueue(note, "named")
            return [await handle.result(5), await many[0].result(5), await named.result(5), await handle.status()]

        expected = ["bare", "many", "named", JobState.COMPLETED]
        assert await asyncio.to_thread(lambda: asyncio.run(elsewhere())) == expected


def test_synchronous_code_uses_an_app_by_with(registry: Registry, note: AsyncJobDefinition[[str], str]) -> None:
    with make(registry) as app:
        handle = note.sync.enqueue("x")
        assert handle.status() is JobState.PENDING
        assert len(note.sync.enqueue_many([note.call("y"), (("z",), {})])) == 2
        assert app.sync.enqueue(note, "w").job().payload == b'{"text":"w"}'
        assert handle.cancel() is JobState.CANCELLED
        assert asyncio.run(_count_elsewhere(note)) is JobState.PENDING


async def _count_elsewhere(note: AsyncJobDefinition[[str], str]) -> JobState:
    return await (await note.enqueue("from a loop of its own")).status()


def test_sync_is_safe_in_many_threads(registry: Registry, note: AsyncJobDefinition[[str], str]) -> None:
    with make(registry) as app:
        threads = [threading.Thread(target=lambda: [note.sync.enqueue("x") for _ in range(10)]) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        assert app.sync.jobs.count(CountOptions())[JobState.PENDING] == 80


async def test_a_closed_app_says_how_to_open_it(registry: Registry, note: AsyncJobDefinition[[str], str]) -> None:
    app = make(registry)
    with pytest.raises(NoOpenApp, match="this app is not open: use `async with app:`"):
        await app.enqueue(note, "x")
    async with app:
        handle = await app.enqueue(note, "x")
    with pytest.raises(NoOpenApp):
        await handle.status()


def test_an_app_whose_loop_has_ended_says_so(registry: Registry, note: AsyncJobDefinition[[str], str]) -> None:
    app = make(registry)
    asyncio.run(app.open())  # type: ignore[arg-type]
    try:
        with pytest.raises(NoOpenApp, match="the event loop that this app was opened on has ended"):
            note.sync.enqueue("x")
    finally:
        asyncio.run(app.close())


# the implicit app, each in a process of its own


def run(tmp_path: Path, source: str, **environment: str) -> str:
    script = tmp_path / "script" / "program.py"
    script.parent.mkdir()
    script.write_text("import asyncio, os, sys\nfrom dispatch import Dispatch, job\n" + textwrap.dedent(source))
    folder = tmp_path / "folder"
    folder.mkdir()
    variables = {k: v for k, v in os.environ.items() if not k.startswith("DISPATCH_")} | environment
    done = subprocess.run(
        [sys.executable, "-W", "error", str(script)],
        cwd=folder,
        env=variables,
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


DEFINITION = """
    @job
    def add(a: int, b: int) -> int:
        return a + b
"""


@pytest.mark.slow
def test_synchronous_code_opens_the_implicit_app_at_its_first_enqueue_and_closes_it_at_exit(tmp_path: Path) -> None:
    body = """
    assert not os.path.exists("dispatch.db")
    print(add.sync.enqueue(1, 2).status(), add.sync.enqueue(1, 2).status(), os.path.exists("dispatch.db"))
    """
    assert run(tmp_path, DEFINITION + body) == "pending pending True\n"
    assert (
        not (tmp_path / "folder" / "dispatch.db-wal").exists() or (tmp_path / "folder" / "dispatch.db").stat().st_size
    )


@pytest.mark.slow
def test_coroutines_open_the_implicit_app_too(tmp_path: Path) -> None:
    body = """
    async def main():
        handles = await asyncio.gather(*(add.enqueue(n, n) for n in range(5)))
        print(len({h.id for h in handles}), await handles[0].status())

    asyncio.run(main())
    asyncio.run(main())
    """
    assert run(tmp_path, DEFINITION + body) == "5 pending\n5 pending\n"


@pytest.mark.slow
def test_the_environment_says_where_the_implicit_app_is(tmp_path: Path) -> None:
    body = 'add.sync.enqueue(1, 2); print(sorted(n for n in os.listdir() if n.endswith(".db")))'
    assert run(tmp_path, DEFINITION + "    " + body, DISPATCH_STORE="sqlite:///other.db") == "['other.db']\n"


@pytest.mark.slow
def test_an_exception_at_the_end_of_the_program_does_not_hang_it(tmp_path: Path) -> None:
    body = """
    add.sync.enqueue(1, 2)
    Dispatch("sqlite:///left-open.db").__enter__()
    sys.exit(0)
    """
    run(tmp_path, DEFINITION + body)


@pytest.mark.slow
def test_a_forked_child_has_an_implicit_app_of_its_own(tmp_path: Path) -> None:
    body = """
    handle = add.sync.enqueue(1, 2)
    with Dispatch("memory://") as app:
        pid = os.fork()
        if pid == 0:
            for use in (handle.status, app.sync.queues.list):
                try:
                    use()
                except Exception as error:
                    print(type(error).__name__, flush=True)
            print(add.sync.enqueue(3, 4).status(), flush=True)
            sys.exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        print(app.sync.queues.list())
    print(handle.status())
    """
    assert run(tmp_path, DEFINITION + body) == "NoOpenApp\nNoOpenApp\npending\n[]\npending\n"
