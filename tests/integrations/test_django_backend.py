"""Dispatch behind Django's own tasks: enqueue, priorities, later, results, failures, signals, transactions."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (find_spec("django_tasks") or find_spec("django.tasks")), reason="neither django.tasks nor django-tasks"
    ),
]
SETTINGS = """if True:
    SECRET_KEY = "none"
    USE_TZ = True
    INSTALLED_APPS = ["dispatch.integrations.django", "mysite"]
    DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "site.db",
                             "OPTIONS": {"transaction_mode": "IMMEDIATE"}}}
    DISPATCH = {"store": "sqlite:///site.db"}
    TASKS = {"default": {"BACKEND": "dispatch.integrations.django.backend.DispatchBackend",
                         "QUEUES": ["default", "mails"], "OPTIONS": {"connection": "default", "max_retries": 1}}}
"""
TASKS = """if True:
    from dispatch.integrations.django.backend import _HOME
    from importlib import import_module
    task = import_module(_HOME).task
    signals = import_module(_HOME + ".signals")
    def note(what):
        def noted(sender, task_result, **more):
            with open("signals", "a") as file:
                print(what, task_result.task.name, task_result.status, file=file)
        return noted
    keep = [note("started"), note("finished")]
    signals.task_started.connect(keep[0])
    signals.task_finished.connect(keep[1])

    class Refused(Exception): ...

    @task(queue_name="mails", priority=5)
    def mail(to, copies=1):
        return [to] * copies
    @task
    async def add(x, y):
        return x + y
    @task(takes_context=True)
    def again(context):
        if context.attempt == 1:
            raise Refused("not yet")
        return context.attempt
    @task
    def never():
        raise ValueError("no")
"""
SETUP = """
import asyncio, datetime, json, django
django.setup()
from django.db import connection, transaction
from mysite.tasks import *
from dispatch.integrations.django.backend import _DoesNotExist
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "mysite").mkdir()
    for name, text in (("__init__", ""), ("settings", SETTINGS), ("tasks", TASKS)):
        (tmp_path / "mysite" / f"{name}.py").write_text(text)
    dispatch(tmp_path, "store", "init")
    return tmp_path


def python(site: Path, *arguments: str) -> str:
    clean = {key: value for key, value in os.environ.items() if not key.startswith("DISPATCH_")}
    path = os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**clean, "PYTHONPATH": path, "DJANGO_SETTINGS_MODULE": "mysite.settings"}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=site, env=environment, capture_output=True, text=True, timeout=40
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


def dispatch(site: Path, *words: str) -> str:
    return python(site, "-m", "django", "dispatch", *words)


def script(site: Path, text: str) -> Any:
    return json.loads(python(site, "-c", SETUP + text).splitlines()[-1])


def test_tasks_run_as_jobs_and_their_results_are_found(site: Path) -> None:
    ids = script(
        site,
        """
ids = [mail.enqueue("ada", copies=2).id, asyncio.run(add.aenqueue(40, 2)).id, again.enqueue().id, never.enqueue().id]
late = add.using(run_after=datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1)).enqueue(1, 1)
print(json.dumps([*ids, late.id]))
""",
    )
    jobs = {item["id"]: item for item in json.loads(dispatch(site, "job", "list", "--json"))["items"]}
    assert [(jobs[one]["name"], jobs[one]["queue"]) for one in ids[:2]] == [
        ("mysite.tasks.mail", "mails"),
        ("mysite.tasks.add", "default"),
    ]
    dispatch(site, "run", "--burst")
    mailed, added, tried, failed, late = script(
        site,
        f"""
def shown(found):
    value = found.return_value if found.status == "SUCCESSFUL" else None
    return [found.status, value, found.attempts, [error.exception_class.__name__ for error in found.errors]]
mail, add, again, never, late = {ids}
tasks = __import__("mysite.tasks").tasks
print(json.dumps([shown(task.get_result(one)) for task, one in
    [(tasks.mail, mail), (tasks.add, add), (tasks.again, again), (tasks.never, never), (tasks.add, late)]]))
""",
    )
    assert (mailed[:2], added[:2]) == (["SUCCESSFUL", ["ada", "ada"]], ["SUCCESSFUL", 42])
    assert tried == ["SUCCESSFUL", 2, 2, ["Refused"]]
    assert failed == ["FAILED", None, 2, ["ValueError", "ValueError"]]
    assert late[0] == "READY"
    told = (site / "signals").read_text().splitlines()
    assert sorted(line for line in told if "again" in line) == [
        "finished again SUCCESSFUL",
        "started again RUNNING",
        "started again RUNNING",
    ]
    assert [line for line in told if line.startswith("finished never")] == ["finished never FAILED"]


def test_an_enqueue_is_a_part_of_the_open_transaction(site: Path) -> None:
    kept = script(
        site,
        """
with transaction.atomic():
    add.enqueue(1, 1)
    transaction.set_rollback(True)
with transaction.atomic():
    kept = add.enqueue(2, 2)
print(json.dumps(kept.id))
""",
    )
    assert dispatch(site, "job", "list", "-o", "ids").split() == [kept]


def test_what_is_no_result_is_said_so(site: Path) -> None:
    other = script(
        site,
        """
from dispatch import job
@job
def plain() -> None: ...
missing = []
for one in ("x", "job_00000000000000000000000001", plain.sync.enqueue().id):
    try:
        add.get_result(one)
    except _DoesNotExist:
        missing.append(one)
print(json.dumps(len(missing)))
""",
    )
    assert other == 3
