"""Dispatch inside of Django: what its settings mean, and connections around jobs (its example is served elsewhere)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from dispatch.config import load
from dispatch.integrations.django.configuration import store_url, variables

SITE = Path(__file__).parents[2] / "examples" / "django_site"


def in_the_site(folder: Path, script: str) -> str:
    """What a script prints that runs where the example's settings are; Django is set up once a process."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("DISPATCH_")}
    path = os.pathsep.join([str(SITE), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=folder,
        env={**environment, "PYTHONPATH": path, "DJANGO_SETTINGS_MODULE": "shop.settings"},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


def test_the_settings_mean_what_the_same_keys_mean_in_the_file(tmp_path: Path) -> None:
    given = {
        "store": "redis://localhost/3",
        "concurrency": 7,
        "queues": ["a", "b"],
        "auto_open": False,
        "lease": "45s",
        "queue": {"mailers": {"max_concurrency": 2, "fair": True}},
        "log": {"level": "debug"},
    }
    loaded = load(env=variables(given), cwd=tmp_path)
    assert loaded.warnings == []
    config = loaded.config
    assert (config.store, config.concurrency, config.queues) == ("redis://localhost/3", 7, ["a", "b"])
    assert (config.auto_open, config.lease.total_seconds(), config.log.level) == (False, 45, "debug")
    assert (config.queue["mailers"].max_concurrency, config.queue["mailers"].fair) == (2, True)


def test_a_key_that_there_is_none_of_is_named_with_the_nearest_one() -> None:
    with pytest.raises(ImproperlyConfigured, match=r"unknown key 'concurency' \(settings.DISPATCH\).*concurrency"):
        variables({"concurency": 7})
    with pytest.raises(ImproperlyConfigured, match=r"settings.DISPATCH\['lease'\].*write durations as text"):
        variables({"lease": object()})


POSTGRES = {"ENGINE": "django.db.backends.postgresql", "NAME": "shop"}
SQLITE = {"ENGINE": "django.db.backends.sqlite3"}


@pytest.mark.parametrize(
    ("database", "url"),
    [
        ({**SQLITE, "NAME": Path("/srv/a b?.db")}, "sqlite:////srv/a%20b%3F.db"),
        (POSTGRES, "postgresql:///shop"),
        ({**POSTGRES, "USER": "web", "PASSWORD": "p@ss/", "HOST": "db", "PORT": 5433}, "postgresql://web:p%40ss%2F@db:5433/shop"),
        ({**POSTGRES, "HOST": "/run/pg", "PORT": "5433"}, "postgresql:///shop?host=%2Frun%2Fpg&port=5433"),
        ({**POSTGRES, "HOST": "db", "OPTIONS": {"sslmode": "require", "pool": True}}, "postgresql://db/shop?sslmode=require"),
    ],
    ids=["file", "local", "all", "socket", "tls"],
)  # fmt: skip
def test_a_database_of_django_is_a_store(database: dict[str, Any], url: str) -> None:
    assert store_url(database) == url


@pytest.mark.parametrize(
    "database",
    [{"ENGINE": "django.db.backends.mysql", "NAME": "s"}, {**SQLITE, "NAME": ":memory:"}, {**POSTGRES, "NAME": ""}, {}],
    ids=["mysql", "memory", "nameless", "empty"],
)  # fmt: skip
def test_a_database_that_cannot_hold_the_store_is_refused(database: dict[str, Any]) -> None:
    with pytest.raises(ImproperlyConfigured):
        store_url(database)


@pytest.mark.slow
def test_jobs_get_connections_that_are_alive(tmp_path: Path) -> None:
    script = """if True:
        import asyncio, django
        django.setup()
        from asgiref.sync import sync_to_async
        from django.db import connection
        from dispatch.integrations.django.worker import with_fresh_connections

        def usable():
            with connection.cursor() as cursor:
                return cursor.execute("select 1").fetchone()[0]

        def broken():
            usable()
            connection.connection.close()
            connection.errors_occurred = True

        async def broken_async():
            await sync_to_async(broken)()

        async def usable_async():
            return await sync_to_async(usable)()

        with_fresh_connections(broken)()
        print(with_fresh_connections(usable)(), connection.connection)

        async def main():
            await with_fresh_connections(broken_async)()
            print(await with_fresh_connections(usable_async)(), await sync_to_async(lambda: connection.connection)())
        asyncio.run(main())
    """
    assert in_the_site(tmp_path, script) == "1 None\n1 None\n"


@pytest.mark.slow
def test_every_apps_jobs_are_found_and_their_functions_run_with_those_connections(tmp_path: Path) -> None:
    script = """if True:
        from dispatch.discovery import discover
        from dispatch.registry import default_registry
        discover("dispatch.integrations.django.worker")
        (confirm,) = default_registry.jobs.values()
        print(confirm.name, confirm.executor, hasattr(confirm.function, "__wrapped__"))
    """
    assert in_the_site(tmp_path, script) == "confirm thread True\n"


@pytest.mark.slow
def test_a_wrong_configuration_is_a_finding_of_manage_py_check(tmp_path: Path) -> None:
    (tmp_path / "dispatch.toml").write_text("concurrency = 0\n")
    script = """if True:
        import django
        from django.core.management import call_command
        from django.core.management.base import CommandError, SystemCheckError
        django.setup()
        try:
            call_command("check")
        except SystemCheckError as error:
            print("dispatch.E001" in str(error))
    """
    assert in_the_site(tmp_path, script) == "True\n"
    (tmp_path / "dispatch.toml").unlink()
    call = """if True:
        import django
        from django.core.management import CommandError, call_command
        django.setup()
        call_command("dispatch", "version")
        try:
            call_command("dispatch", "job", "count")
        except CommandError as error:
            print(error.returncode)
    """
    assert in_the_site(tmp_path, call).endswith("6\n")


@pytest.mark.slow
def test_an_enqueue_in_the_first_transaction_of_a_process_does_not_wait_for_itself(tmp_path: Path) -> None:
    script = """if True:
        import django
        django.setup()
        from django.core.management import call_command
        from django.db import connection, transaction
        from dispatch import current
        from shop.tasks import confirm
        call_command("dispatch", "store", "init", "--json")
        call_command("migrate", verbosity=0)
        connection.close()
        with transaction.atomic():
            confirm.options(connection=connection).sync.enqueue(1)
            transaction.set_rollback(True)
        with transaction.atomic():
            kept = confirm.options(connection=connection).sync.enqueue(2)
        call_command("dispatch", "job", "list", "-o", "ids")
        print(kept.id)
    """
    *_, listed, kept = in_the_site(tmp_path, script).splitlines()
    assert listed == kept
