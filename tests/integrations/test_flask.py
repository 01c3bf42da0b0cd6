"""Dispatch inside of Flask: opened by contexts, contexts around jobs, forks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from flask import Flask, current_app, g

from dispatch import Registry, testing
from dispatch.errors import ConfigError, NoOpenApp
from dispatch.integrations.flask import FlaskDispatch
from dispatch.jobs import JobState, ListOptions


def test_a_context_opens_the_app_and_requests_enqueue(tmp_path: Path) -> None:
    registry = Registry()

    @registry.job
    def greet(name: str) -> str:
        return f"hello {name}"

    web = Flask("test")
    queue = FlaskDispatch(store=f"sqlite:///{tmp_path}/jobs.db", registry=registry)
    queue.init_app(web)
    assert web.extensions["dispatch"] is queue

    @web.post("/greet/<name>")
    def ask(name: str) -> str:
        return greet.sync.enqueue(name).id

    with pytest.raises(NoOpenApp):
        _ = queue.loop
    try:
        client = web.test_client()
        ids = [client.post("/greet/ada").text for _ in range(2)]
        with web.app_context():
            ids.append(greet.sync.enqueue("grace").id)
        assert {job.id for job in queue.sync.jobs.list(ListOptions()).items} == set(ids)
    finally:
        queue.sync.close()


async def test_jobs_run_in_a_context_of_the_application_whichever_way_they_run(tmp_path: Path) -> None:
    registry, ended = Registry(), []

    @registry.job
    def plain() -> str:
        g.mark = "plain"
        return f"{current_app.name} {g.mark}"

    @registry.job
    async def on_the_loop() -> str:
        assert "mark" not in g, "each job has a context of its own"
        g.mark = "async"
        return f"{current_app.name} {g.mark}"

    web = Flask("shop")

    @web.teardown_appcontext
    def close(error: BaseException | None) -> None:
        ended.append(g.get("mark"))

    async with FlaskDispatch(web, store=f"sqlite:///{tmp_path}/jobs.db", registry=registry) as queue:
        await queue.start()
        first, second = await plain.enqueue(), await on_the_loop.enqueue()
        assert await first.result(timeout=20) == "shop plain"
        assert await second.result(timeout=20) == "shop async"
    assert sorted(ended) == ["async", "plain"]


async def test_an_app_without_an_application_says_what_is_missing() -> None:
    registry = Registry()

    @registry.job(max_retries=0)
    def plain() -> None: ...

    async with FlaskDispatch(store="memory://", registry=registry) as queue:
        await queue.start()
        handle = await plain.enqueue()
        with pytest.raises(Exception, match=r"call init_app\(web\)"):
            await handle.result(timeout=20)
        assert await handle.status() is JobState.FAILED


async def test_a_tests_own_app_is_left_alone() -> None:
    registry = Registry()

    @registry.job
    def plain() -> None: ...

    web = Flask("test")
    queue = FlaskDispatch(web, store="memory://", registry=registry)
    async with testing.app(registry) as app:
        with web.app_context():
            await plain.enqueue()
        assert len(app.enqueued(plain)) == 1
        with pytest.raises(NoOpenApp):
            _ = queue.loop


def test_a_wrong_configuration_is_refused_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DISPATCH_CONCURRENCY", "0")
    with pytest.raises(ConfigError):
        FlaskDispatch()


@pytest.mark.slow
def test_processes_that_a_server_forks_open_the_app_for_themselves(tmp_path: Path) -> None:
    script = """if True:
        import os, sys
        from flask import Flask
        from dispatch import job
        from dispatch.integrations.flask import FlaskDispatch

        @job
        def plain(n: int) -> None: ...

        web = Flask("shop")
        queue = FlaskDispatch(web)
        with web.app_context():
            plain.sync.enqueue(0)
        child = os.fork()
        with web.app_context():
            plain.sync.enqueue(1 if child else 2)
        if child:
            assert os.waitpid(child, 0)[1] == 0
            from dispatch.jobs import ListOptions
            found = queue.sync.jobs.list(ListOptions()).items
            print(sorted(job.payload for job in found))
    """
    environment = {key: value for key, value in os.environ.items() if not key.startswith("DISPATCH_")}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "[b'{\"n\":0}', b'{\"n\":1}', b'{\"n\":2}']\n"
