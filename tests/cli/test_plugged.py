"""Commands that plugins bring: found, listed, run like Dispatch's own, and unable to harm them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from dispatch_cli import plugged

from tests.cli.conftest import Seeds, run
from tests.cli.remote import serving

PLUGIN = '''
from typing import Annotated, Optional
import typer
from pydantic import BaseModel
from dispatch import hookimpl
from dispatch.errors import JobNotFound
from dispatch.ids import JobID


class Section(BaseModel):
    team: str = "core"
    token: str = "t0p"


class Oncall:
    def __init__(self, team, token):
        self.team = team

    @staticmethod
    @hookimpl
    def register_config():
        return Section

    @hookimpl
    def register_commands(self, cli):
        oncall = cli.noun("oncall", "See and change who is on call.", examples=["dispatch oncall list"])

        @oncall.verb("list", examples=["dispatch oncall list --json"])
        def list_people():
            """List who is on call for which queue."""

            async def act(app):
                return [{"id": info.config.name, "queue": info.config.name, "team": self.team}
                        for info in await app.queues.list()]

            cli.show(cli.on_app(act), columns=["queue", ("who", "team")], empty="nobody")

        @oncall.verb("count", examples=["dispatch oncall count"])
        def count():
            """Count the queues, of a store or of a server."""

            async def act(app):
                return len(await app.queues.list())

            async def through(client):
                return len((await client.ask("GET", "/v1/queues"))["items"])

            cli.show({"queues": cli.on_app(act, through=through)})

        @oncall.verb("show", examples=["dispatch oncall show"])
        def show():
            """Show one document, whatever the store."""
            cli.tell("looking")
            cli.show({"team": self.team, "since_at": None})

        @oncall.verb("remove", examples=["dispatch oncall remove ada --yes"])
        def remove(
            person: str,
            yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
            confirm: Annotated[Optional[str], typer.Option("--confirm")] = None,
        ):
            """Take somebody off all queues."""
            cli.confirm(f"remove {person}", yes=yes, profile=confirm)
            if person == "job":
                cli.fail(JobNotFound("no such job"))
            if person == "bug":
                raise ZeroDivisionError("oops")
            if person != "ada":
                cli.fail(f"{person} is not on call", code="not_on_call", exit_code=4, hint="try ada")
            cli.show({"id": person, "outcome": "removed"})
'''
BAD = """
import sys
from dispatch import hookimpl

class Bad:
    @hookimpl
    def register_commands(self, cli):
        cli.noun("fine", "Comes before what goes wrong.")
        {wrong}
"""


@pytest.fixture
def project(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder whose configuration names a plugin."""
    (folder / "oncall.py").write_text(PLUGIN)
    (folder / "dispatch.toml").write_text('plugins = ["oncall:Oncall"]\n\n[plugin."oncall:Oncall"]\nteam = "blue"\n')
    monkeypatch.syspath_prepend(folder)
    plugged._nouns.cache_clear()
    yield folder
    plugged._nouns.cache_clear()
    for name in ("oncall", "bad"):
        sys.modules.pop(name, None)


def test_the_commands_of_a_plugin_are_listed_and_have_help_pages(project: Path) -> None:
    assert "  oncall      See and change who is on call." in run("--help").lines
    noun, verb = run("oncall", "--help"), run("oncall", "list", "--help")
    assert "dispatch oncall list" in noun.out and "List who is on call for which queue." in noun.out
    assert "Global options:" in verb.out and "dispatch oncall list --json" in verb.out


def test_its_output_obeys_the_global_options(project: Path, seeds: Seeds) -> None:
    items = run("oncall", "list", "--json").json["items"]
    assert {"id": "mailers", "queue": "mailers", "team": "blue"} in items
    assert run("oncall", "list", "-o", "ids").lines == [item["id"] for item in items]
    assert run("oncall", "list").lines[0].split() == ["QUEUE", "WHO"]
    assert run("--json", "oncalls", "show").json == {"team": "blue", "since_at": None}
    assert run("oncall", "show").err == "looking\n"


def test_it_asks_the_server_that_is_named_where_it_says_how(
    project: Path, seeds: Seeds, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = run("oncall", "count", "--json").json
    with serving(project) as server:
        assert run("oncall", "count", "--url", server.url).code == 3
        monkeypatch.setenv("DISPATCH_API_KEY", server.key)
        config = ("--config", str(project / "dispatch.toml"))
        monkeypatch.chdir(tmp_path)
        assert run("oncall", "count", "--json", "--url", server.url, *config).json == here
        refused = run("oncall", "list", "--url", server.url, *config)
    assert (refused.code, here["queues"] > 0) == (2, True)
    assert refused.err.startswith(f"error: this works on a store only, and {server.url} is a server\n")


def test_it_looks_at_the_store_that_is_named_and_makes_none(project: Path) -> None:
    ran = run("oncall", "list", "--store", f"sqlite:///{project}/other.db")
    assert (ran.code, (project / "other.db").exists()) == (6, False)


@pytest.mark.parametrize(
    ("person", "code", "name"),
    [("ada", 0, ""), ("bob", 4, "not_on_call"), ("job", 4, "job_not_found"), ("bug", 1, "plugin_failed")],
)
def test_it_ends_with_the_exit_codes_of_dispatch(person: str, code: int, name: str, project: Path) -> None:
    ran = run("oncall", "remove", person, "--yes", "--json")
    assert ran.code == code
    assert not name or json.loads(ran.err)["error"]["code"] == name
    if person == "bug":
        assert "plugin 'oncall:Oncall': ZeroDivisionError: oops" in ran.err
        assert "a bug in Dispatch" not in ran.err


def test_it_asks_before_it_destroys(project: Path) -> None:
    refused = run("oncall", "remove", "ada")
    assert (refused.code, "would remove ada on sqlite:///" in refused.err) == (2, True)
    assert "pass --yes to do it" in refused.err and "--dry-run" not in refused.err
    with (project / "dispatch.toml").open("a") as file:
        file.write("[profiles.live]\nprotected = true\n")
    assert "profile 'live' is protected" in run("oncall", "remove", "ada", "--yes", "-P", "live").err
    assert run("oncall", "remove", "ada", "--confirm", "live", "--profile=live").code == 0


def test_a_configuration_named_behind_the_noun_is_found(folder: Path, project: Path) -> None:
    (folder / "dispatch.toml").rename(folder / "other.toml")
    assert run("oncall", "show", "--json", "--config", "other.toml").json["team"] == "blue"
    assert run("oncall", "show").code == 2


@pytest.mark.parametrize(
    "wrong", ["sys.exit(9)", "raise ValueError('no')", "cli.noun('job', 'Mine.')", "cli.noun('A', '')"]
)
def test_a_plugin_that_fails_costs_its_own_commands_only(wrong: str, project: Path, seeds: Seeds) -> None:
    (project / "bad.py").write_text(BAD.format(wrong=wrong))
    (project / "dispatch.toml").write_text('plugins = ["bad:Bad", "oncall:Oncall"]\n')
    ran = run("--help")
    assert ran.code == 0 and "  oncall " in ran.out and "  fine " not in ran.out
    assert "warning: plugin 'bad:Bad': its register_commands raised" in ran.err
    assert run("oncall", "show", "--json").json["team"] == "core"
    assert run("job", "count").code == 0


def test_what_cannot_be_loaded_is_told_and_hides_nothing(project: Path) -> None:
    (project / "dispatch.toml").write_text('plugins = ["nowhere"]\n')
    ran = run("--help")
    assert ran.code == 0 and "  job " in ran.out
    assert "warning: the commands of plugins are not listed: there is no plugin 'nowhere'" in ran.err
    assert "there is no command 'jbo'; did you mean 'job'?" in run("jbo").err
    assert run("webhook", "list").code == 7


def test_config_show_has_the_sections_with_their_defaults_and_without_secrets(project: Path) -> None:
    assert run("config", "show", "--json").json["config"]["plugin"] == {
        "oncall:Oncall": {"team": "blue", "token": "***"}
    }
    (project / "dispatch.toml").write_text('plugins = ["oncall:Oncall"]\n[plugin."oncall:Oncall"]\nteem = "x"\n')
    wrong = run("config", "show")
    assert (wrong.code, "did you mean 'team'?" in wrong.err) == (2, True)


@pytest.mark.slow
def test_without_plugins_nothing_of_them_is_imported(tmp_path: Path) -> None:
    code = (
        "import sys; sys.argv[1:] = ['--help']; from dispatch_cli.main import main; main(); "
        "sys.exit(any(name in sys.modules for name in ('pluggy', 'pydantic', 'importlib.metadata', 'opentelemetry')))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, timeout=30)
    assert done.returncode == 0
