"""`dispatch serve` and `run --http` as processes: where they listen, how one gets in, how they stop."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import urllib.error
import urllib.request
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any

from tests.cli.conftest import Seeds, run, spawn

PLUGIN = """
from dispatch import hookimpl


class Alerts:
    @hookimpl
    def worker_started(self): ...
"""


def started(process: subprocess.Popen[str]) -> dict[str, Any]:
    """The line that tells where it listens."""
    assert process.stderr is not None
    for line in process.stderr:
        if "http_started" in line:
            found: dict[str, Any] = json.loads(line)
            return found
    raise AssertionError("it ended without listening")


def link_of(process: subprocess.Popen[str]) -> str:
    """The login link that it prints."""
    assert process.stderr is not None
    return next(line.split()[-1] for line in process.stderr if "/login?ticket=" in line)


def get(url: str, token: str = "") -> tuple[int, Any]:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"} if token else {})
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def test_serve_lets_in_keys_and_the_person_at_the_terminal_and_stops_at_a_signal(seeds: Seeds) -> None:
    token = run("apikey", "create", "--scope", "job:read").out.strip()
    process = spawn("serve", "examples_tasks", "--port", "0")
    try:
        found = started(process)
        base = f"http://127.0.0.1:{found['port']}"
        assert get(f"{base}/v1/jobs")[0] == 401
        status, page = get(f"{base}/v1/jobs?limit=1", token)
        assert (status, len(page["items"])) == (200, 1)
        assert get(f"{base}/v1/dlq", token)[0] == 403
        definitions = get(f"{base}/v1/definitions", token)[1]["items"]
        assert "nightly_report" in {item["name"] for item in definitions}, "its targets are announced"
        browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
        with browser.open(link_of(process), timeout=20) as answer:
            assert b"<!doctype html>" in answer.read()
        with browser.open(f"{base}/v1/session", timeout=20) as answer:
            assert json.loads(answer.read())["name"] == "the terminal"
    finally:
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (0, "")
    assert "Traceback" not in err


def test_serve_without_a_target_finds_a_plugin_in_the_current_folder(seeds: Seeds, folder: Path) -> None:
    (folder / "alerts.py").write_text(PLUGIN)
    (folder / "dispatch.toml").write_text('plugins = ["alerts:Alerts"]\n')
    # as the installed command is started, which has not the current folder on its path
    process = spawn("serve", "--port", "0", env={**os.environ, "PYTHONSAFEPATH": "1"})
    try:
        assert started(process)["port"] > 0
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
    assert process.returncode == 0


def test_serve_refuses_addresses_that_others_reach_until_there_is_a_key(seeds: Seeds) -> None:
    assert run("apikey", "revoke", seeds.apikey).code == 0
    refused = run("serve", "--host", "0.0.0.0", "--port", "0")
    assert refused.code == 2
    assert "there is no API key: make one with `dispatch apikey create" in refused.err


def test_a_worker_serves_the_api_too(seeds: Seeds) -> None:
    token = run("apikey", "create", "--scope", "*", "--json").json["key"]
    process = spawn("run", "examples_tasks", "--http", "127.0.0.1:0", "--log-format", "json")
    try:
        base = f"http://127.0.0.1:{started(process)['port']}"
        body = json.dumps({"name": "add", "payload": {"x": 20, "y": 22}}).encode()
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        with urllib.request.urlopen(urllib.request.Request(f"{base}/v1/jobs", body, headers), timeout=20) as answer:
            job_id = json.loads(answer.read())["id"]
        _, result = get(f"{base}/v1/jobs/{job_id}/result?wait=20", token)
        assert (result["state"], result["result"]) == ("completed", 42)
        assert get(f"{base}/healthz")[1]["live"] is True
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
    assert process.returncode == 0


def test_http_goes_with_one_process(seeds: Seeds) -> None:
    for more in (("-p", "2"), ("--reload",)):
        refused = run("run", "examples_tasks", "--http", "127.0.0.1:0", *more)
        assert refused.code == 2
        assert "--http serves from one process" in refused.err
    assert run("run", "examples_tasks", "--http", "nowhere").code == 2
