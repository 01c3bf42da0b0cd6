"""Each example program does what its first lines say."""

from __future__ import annotations

import ast
import gzip
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
PROGRAMS = sorted(
    path
    for path in EXAMPLES.rglob("*.py")
    if not any((folder / "__init__.py").exists() or (folder / "manage.py").exists() for folder in path.parents)
)
"""What is run or served by its name; tests of their own are about packages and sites."""
DISPATCH = ("-P", "-m", "dispatch_cli")


def run(folder: Path, *arguments: str | Path, path: Path = EXAMPLES) -> str:
    """What a Python command line prints in that folder; it must succeed."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("DISPATCH_")}
    environment["PYTHONPATH"] = os.pathsep.join([str(path), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, *map(str, arguments)]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.name)
def test_a_program_begins_with_what_it_is_and_how_it_is_run(program: Path) -> None:
    first = (ast.get_docstring(ast.parse(program.read_text())) or "").partition("\n")[0]
    assert first.count("`") == 2 or first.count("`") == 4, f"{program.name}: name the command in backquotes"


def test_every_program_has_a_test_here() -> None:
    own = Path(__file__).read_text() + Path(__file__).with_name("test_websites.py").read_text()
    assert [program.name for program in PROGRAMS if f'"{program.name}"' not in own] == []


@pytest.mark.slow
def test_the_archive_packs_each_file_once_and_writes_a_manifest(tmp_path: Path) -> None:
    source, target = tmp_path / "some files", tmp_path / "100% packed"
    source.mkdir()
    contents = {f"file {n}.bin": bytes([n]) * n * 1000 for n in range(4)}
    for name, content in contents.items():
        (source / name).write_bytes(content)
    assert run(tmp_path, EXAMPLES / "archive.py", source, target) == "packed 4 files, 6000 bytes\n"
    for entry in json.loads((target / "manifest.json").read_text()):
        content = contents.pop(entry["name"])
        assert entry["sha256"] == hashlib.sha256(content).hexdigest()
        assert gzip.decompress((target / f"{entry['name']}.gz").read_bytes()) == content
    assert contents == {}
    again = target / "file 3.bin.gz"
    before = again.stat().st_mtime_ns
    run(tmp_path, EXAMPLES / "archive.py", source, target)
    assert again.stat().st_mtime_ns == before, "the second run did not use what the first had done"


@pytest.mark.slow
def test_the_guestbook_leaves_the_counting_to_a_worker(tmp_path: Path) -> None:
    script = """if True:
        import io, guestbook
        def send(method, body=b""):
            answer = {}
            environ = {"REQUEST_METHOD": method, "CONTENT_LENGTH": str(len(body)), "wsgi.input": io.BytesIO(body)}
            page = b"".join(guestbook.application(environ, lambda status, headers: answer.update(headers)))
            return answer, page.decode()
        first, _ = send("POST", b"form=f1&text=such+a+%3Cgood%3E+meal")
        again, _ = send("POST", b"form=f1&text=such+a+%3Cgood%3E+meal")
        assert first["X-Job"] == again["X-Job"]
        print(send("GET")[1])
    """
    listed = "<ul><li>such a &lt;good&gt; meal ({} words)</li></ul>\n"
    assert run(tmp_path, "-c", script) == listed.format("…")
    run(tmp_path, *DISPATCH, "run", EXAMPLES / "guestbook.py", "--burst", "--fail-on-error")
    assert run(tmp_path, "-c", script) == listed.format("4")
    assert json.loads(run(tmp_path, *DISPATCH, "job", "count", "--json"))["total"] == 1


@pytest.mark.slow
def test_dead_letters_are_replayed_once_the_provider_is_back(tmp_path: Path) -> None:
    lines = run(tmp_path, EXAMPLES / "dead_letters.py").splitlines()
    assert lines == [
        "exhausted after 3 attempts: ConnectionError: the provider does not answer",
        "exhausted after 3 attempts: ConnectionError: the provider does not answer",
        "failed after 1 attempts: Fail: 0 cents cannot be charged",
        "2 dead letters of charge with ConnectionError",
        "the provider is back",
        "a second replay is refused",
        "a second replay is refused",
        "2 completed, 3 failed, 0 open",
        "booked: [450, 250000]",
    ]


@pytest.mark.slow
def test_the_plugin_is_found_by_its_entry_point_and_counts(tmp_path: Path) -> None:
    site = installed(EXAMPLES / "metrics_plugin", "dispatch_metrics_file.py", tmp_path / "site")
    (tmp_path / "dispatch.toml").write_text('[plugin.metrics_file]\npath = "counts.prom"\n')
    (tmp_path / "sums.py").write_text(
        "from dispatch import Fail, job\n\n@job\ndef add(x: int, y: int) -> int:\n"
        "    if y < 0:\n        raise Fail('negative')\n    return x + y\n"
    )
    run(tmp_path, *DISPATCH, "job", "enqueue", "add", "x:=1", "y:=2", path=site)
    run(tmp_path, *DISPATCH, "job", "enqueue", "add", "x:=1", "y:=-2", path=site)
    run(tmp_path, *DISPATCH, "run", "sums", "--burst", path=site)
    counts = (tmp_path / "counts.prom").read_text().splitlines()
    assert 'dispatch_jobs_total{event="completed",name="add"} 1' in counts
    assert 'dispatch_jobs_total{event="failed",name="add"} 1' in counts


def installed(project: Path, module: str, site: Path) -> Path:
    """What installing that project would leave in site-packages: the module and its entry points."""
    import tomllib

    site.mkdir()
    shutil.copy(project / module, site)
    described: dict[str, Any] = tomllib.loads((project / "pyproject.toml").read_text())["project"]
    info = site / f"{described['name'].replace('-', '_')}-{described['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {described['name']}\nVersion: {described['version']}\n"
    )
    entries = io.StringIO()
    for group, names in described["entry-points"].items():
        entries.write(f"[{group}]\n" + "".join(f"{name} = {target}\n" for name, target in names.items()))
    (info / "entry_points.txt").write_text(entries.getvalue())
    return site


@pytest.mark.slow
def test_a_saga_puts_back_what_a_refused_card_had_reserved(tmp_path: Path) -> None:
    printed = run(tmp_path, EXAMPLES / "order_saga.py").splitlines()
    assert printed == [
        "o-1: 2 tea, paid by visa",
        "o-2: put back 3 coffee",
        "o-2: Fail",
        "in stock: {'tea': 3, 'coffee': 5}",
    ]


@pytest.mark.slow
def test_an_approval_waits_for_somebody_s_word(tmp_path: Path) -> None:
    shutil.copy(EXAMPLES / "approval.py", tmp_path)
    burst = (*DISPATCH, "run", "approval.py", "--burst")
    run(tmp_path, *burst)
    small = run(tmp_path, *DISPATCH, "workflow", "start", "expense", "what=pen", "amount:=3").strip()
    large = run(tmp_path, *DISPATCH, "workflow", "start", "expense", "what=chair", "amount:=120").strip()
    run(tmp_path, *burst)
    assert json.loads(run(tmp_path, *DISPATCH, "workflow", "result", small)) == "pen: passed"
    assert json.loads(run(tmp_path, *DISPATCH, "workflow", "show", large, "--json"))["state"] == "waiting"
    run(tmp_path, *DISPATCH, "workflow", "signal", large, "approved", '{"by": "ada"}')
    run(tmp_path, *burst)
    assert json.loads(run(tmp_path, *DISPATCH, "workflow", "result", large)) == "chair: approved by ada"


@pytest.mark.slow
def test_checksums_fan_out_over_real_files(tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    contents = {f"file-{n:02}": os.urandom(1000 + n) for n in range(25)}
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    printed = run(tmp_path, EXAMPLES / "checksums.py", folder).splitlines()
    assert printed == [f"{hashlib.sha256(content).hexdigest()}  {folder / name}" for name, content in contents.items()]


@pytest.mark.slow
def test_a_household_pays_what_it_can(tmp_path: Path) -> None:
    printed = run(tmp_path, EXAMPLES / "household.py").splitlines()
    assert printed[:2] == ["rent: paid 900", "power: paid 60"]
    assert "no money for 100000" in printed[2]


@pytest.mark.slow
def test_the_timetables_tick_through_a_week_and_a_change_of_the_clock(tmp_path: Path) -> None:
    said = run(tmp_path, EXAMPLES / "timetables.py").splitlines()
    assert said[:3] == [
        "report of Sat 24 Oct, 01:00 UTC",
        "report of Sun 25 Oct, 02:00 UTC",
        "report of Mon 26 Oct, 02:00 UTC",
    ]
    assert sorted(said[3:5]) == ["digest for acme: 3 customers", "digest for umbrella: 5 customers"]
    assert said[5:7] == ["5 jobs in three days", "0 jobs while the report is disabled"]
    assert said[-4:] == ["30 Oct 12:00 manual", "26 Oct 02:00 fired", "25 Oct 02:00 fired", "24 Oct 01:00 fired"]


@pytest.mark.slow
def test_the_simulated_saga_finds_the_bank_that_charges_twice(tmp_path: Path) -> None:
    tea, coffee, found = run(tmp_path, EXAMPLES / "simulated_saga.py").splitlines()
    assert tea.startswith("tea: right in 100 worlds with ")
    assert coffee.startswith("coffee: right in 100 worlds with ")
    assert found.startswith("without keys: completed, charged 2 times under seed ")


@pytest.mark.slow
def test_the_shops_webhooks_arrive_verified_although_the_receiver_is_down_at_first(tmp_path: Path) -> None:
    printed = run(tmp_path, EXAMPLES / "webhooks" / "shop.py", tmp_path).splitlines()
    assert printed == [
        *['/billing dispatch.job.completed "default"'] * 3,
        '/support dispatch.job.failed "call the customer"',
        "4 webhooks in 5 requests",
    ]
