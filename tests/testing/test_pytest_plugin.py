"""The pytest plugin, in sessions of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

PLUGIN = "dispatch.testing.pytest_plugin"
ASYNCIO = "pytest_asyncio.plugin"
ANYIO = "anyio.pytest_plugin"
TASKS = """
import pytest
from dispatch import job
from dispatch.errors import NoOpenApp

@job
async def greet(name: str) -> str:
    return f"hello {name}"
"""


def session(folder: Path, source: str, *plugins: str, options: tuple[str, ...] = ()) -> str:
    """What pytest prints of these tests, with these plugins and no others, every warning an error."""
    (folder / "test_it.py").write_text(TASKS + textwrap.dedent(source))
    return run(folder, *plugins, options=options)


def run(folder: Path, *plugins: str, options: tuple[str, ...] = ()) -> str:
    """What pytest prints of the tests in the folder."""
    if ASYNCIO in plugins and not any("fixture_loop_scope" in option for option in options):
        options = (*options, "asyncio_default_fixture_loop_scope=function")
    given = [word for name in (PLUGIN, *plugins) for word in ("-p", name)]
    given += [word for option in options for word in ("-o", option)]
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-rA",
        "-W",
        "error",
        "--strict-markers",
        "-p",
        "no:cacheprovider",
        *given,
    ]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("DISPATCH_", "PYTEST_"))}
    environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=150)
    return " ".join((done.stdout + done.stderr).split())


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["strict", "auto"])
def test_both_fixtures_bring_an_app_over_the_default_registry(tmp_path: Path, mode: str) -> None:
    source = """
    @pytest.mark.asyncio
    async def test_async(dispatch_app):
        handle = await greet.enqueue("ada")
        assert (await dispatch_app.run_until_idle()).completed == 1
        assert await handle.result() == "hello ada"

    def test_sync(dispatch_app_sync):
        handle = greet.sync.enqueue("bob")
        assert dispatch_app_sync.run_until_idle().completed == 1
        assert handle.result() == "hello bob"

    def test_wrong(dispatch_app):
        greet.sync.enqueue("bob")
    """
    printed = session(tmp_path, source, ASYNCIO, options=(f"asyncio_mode={mode}",))
    assert "2 passed, 1 error" in printed
    assert "does not run in a synchronous test: take dispatch_app_sync" in printed


@pytest.mark.slow
def test_the_implicit_app_is_only_there_for_tests_that_are_marked(tmp_path: Path) -> None:
    source = """
    def test_refused_before():
        with pytest.raises(NoOpenApp, match="dispatch_app.*dispatch_store"):
            greet.sync.enqueue("ada")

    @pytest.mark.dispatch_store
    def test_marked():
        assert greet.sync.enqueue("ada").status() == "pending"

    @pytest.mark.asyncio
    async def test_refused_after():
        with pytest.raises(NoOpenApp):
            await greet.enqueue("ada")

    @pytest.mark.dispatch_store
    class TestMarkedToo:
        async def test_async(self):
            assert await (await greet.enqueue("ada")).status() == "pending"

        def test_sync(self):
            greet.sync.enqueue("ada")

    def test_refused_at_last():
        with pytest.raises(NoOpenApp):
            greet.sync.enqueue("ada")
    """
    assert "6 passed" in session(tmp_path, source, ASYNCIO, options=("asyncio_mode=auto",))
    assert (tmp_path / "dispatch.db").exists()


@pytest.mark.slow
def test_an_enqueue_while_tests_are_collected_is_refused(tmp_path: Path) -> None:
    printed = session(tmp_path, "greet.sync.enqueue('ada')")
    assert "NoOpenApp: no app is open, and in tests Dispatch opens none by itself" in printed
    assert not (tmp_path / "dispatch.db").exists()


@pytest.mark.slow
def test_the_registry_is_a_fixture_to_override(tmp_path: Path) -> None:
    source = """
    from dispatch import Registry
    mine = Registry()

    @pytest.fixture
    def dispatch_registry():
        return mine

    def test_it(dispatch_app_sync):
        assert dispatch_app_sync.app.registry is mine
    """
    assert "1 passed" in session(tmp_path, source)


@pytest.mark.slow
def test_anyio_brings_the_fixture_too(tmp_path: Path) -> None:
    source = """
    @pytest.mark.anyio
    @pytest.mark.parametrize("anyio_backend", ["asyncio"])
    async def test_async(dispatch_app):
        assert await (await greet.enqueue("ada")).result() == "hello ada"
    """
    assert "1 passed" in session(tmp_path, source, ANYIO)


@pytest.mark.slow
def test_without_a_plugin_for_coroutines_the_fixture_says_what_to_install(tmp_path: Path) -> None:
    printed = session(tmp_path, "def test_it(dispatch_app): ...")
    assert "1 error" in printed
    assert "`pip install pytest-asyncio` (or use anyio's), or take dispatch_app_sync" in printed


@pytest.mark.slow
def test_a_fixture_on_another_loop_than_the_test_is_refused_instead_of_hanging(tmp_path: Path) -> None:
    source = """
    async def test_async(dispatch_app):
        await greet.enqueue("ada")
    """
    options: tuple[str, ...] = ("asyncio_mode=auto", "asyncio_default_fixture_loop_scope=session")
    printed = session(tmp_path, source, ASYNCIO, options=options)
    assert "the test runs on the event loop of its function, dispatch_app on that of its session" in printed
    options = (*options, "asyncio_default_test_loop_scope=session")
    assert "1 passed" in session(tmp_path, source, ASYNCIO, options=options)


@pytest.mark.slow
def test_the_fixtures_of_the_documentation_work(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs/testing-your-jobs.md").read_text()
    for name, body in re.findall(
        r"^```python\n# (shop/\S+|test_fixtures\.py)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(body)
    (tmp_path / "conftest.py").touch()
    assert "2 passed" in run(tmp_path, ASYNCIO, options=("asyncio_mode=auto",))


@pytest.mark.slow
def test_loading_the_plugin_imports_nothing_heavy() -> None:
    code = f"import sys, {PLUGIN}; print([n for n in ('pydantic', 'opentelemetry', 'sqlite3', 'typer', 'croniter',"
    code += " 'dispatch.app', 'dispatch.registry', 'dispatch.engine', 'pytest_asyncio') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=20, check=True)
    assert done.stdout.strip() == "[]"
