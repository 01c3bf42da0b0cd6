"""The deployment files can be read by what reads them, and their commands by ours."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from dispatch.config import Config
from tests.cli.conftest import run

HERE = Path(__file__).parents[2] / "examples" / "deployment"
UNIT = (HERE / "dispatch.service").read_text()
IMAGE = (HERE / "Dockerfile").read_text()
OBJECTS: list[dict[str, Any]] = list(yaml.safe_load_all((HERE / "kubernetes.yaml").read_text()))
POD: dict[str, Any] = next(found for found in OBJECTS if found["kind"] == "Deployment")["spec"]["template"]["spec"]
GRACE = Config().grace / timedelta(seconds=1)


def instructions() -> dict[str, list[str]]:
    """The Dockerfile's instructions, each with what follows it."""
    found: dict[str, list[str]] = {}
    text = re.sub(r"\\\n", " ", "\n".join(line for line in IMAGE.splitlines() if not line.startswith("#")))
    for line in filter(None, text.splitlines()):
        word, _, rest = line.partition(" ")
        found.setdefault(word, []).append(rest)
    return found


def commands() -> dict[str, list[str]]:
    """Every `dispatch …` in the files, without `dispatch`."""
    (unit,) = re.findall(r"^ExecStart=\S+/dispatch (.*)$", UNIT, re.MULTILINE)
    containers = [*POD["initContainers"], *POD["containers"]]
    return {
        "systemd": shlex.split(unit),
        "image": json.loads(instructions()["CMD"][0]),
        **{f"kubernetes {container['name']}": [*map(str, container["args"])] for container in containers},
    }


@pytest.mark.parametrize("where", commands())
def test_each_command_has_only_options_that_there_are(where: str) -> None:
    words = commands()[where]
    verb = words[: 2 if words[0] == "store" else 1]
    page = run(*verb, "--help").out
    assert page.startswith(f"Usage: dispatch {' '.join(verb)}")
    assert [word for word in words if word.startswith("-") and not re.search(rf"{word}\b", page)] == []


def test_every_supervisor_waits_longer_than_the_grace_of_a_worker() -> None:
    waits = [int(re.search(r"TimeoutStopSec=(\d+)", UNIT)[1]), POD["terminationGracePeriodSeconds"]]  # type: ignore[index]
    waits.append(int(re.search(r"--stop-timeout (\d+)", IMAGE)[1]))  # type: ignore[index]
    assert min(waits) > GRACE + 5


def test_the_probes_ask_the_port_that_the_worker_listens_on() -> None:
    worker = POD["containers"][0]
    (port,) = worker["ports"]
    assert str(port["containerPort"]) == worker["args"][-1].rpartition(":")[2]
    paths = {worker[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "liveness", "readiness")}
    assert paths == {"/healthz", "/readyz"}
    assert worker["livenessProbe"]["httpGet"]["path"] == "/healthz"
    for kind in ("startup", "liveness", "readiness"):
        assert worker[f"{kind}Probe"]["httpGet"]["port"] == port["name"]
    listening = json.loads(instructions()["CMD"][0])[-1].rpartition(":")[2]
    assert f":{listening}/healthz" in instructions()["HEALTHCHECK"][0]
    assert instructions()["EXPOSE"] == [listening]


def test_the_image_has_known_instructions_and_runs_as_nobody_in_particular() -> None:
    known = {"FROM", "WORKDIR", "RUN", "COPY", "ENV", "USER", "VOLUME", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK"}
    assert set(instructions()) == known | {"ENTRYPOINT", "CMD"}
    assert instructions()["ENTRYPOINT"] == ['["dispatch"]']
    assert instructions()["USER"] == [str(POD["securityContext"]["runAsUser"])]
    check = json.loads(instructions()["HEALTHCHECK"][0].partition("CMD ")[2])
    compile(check[-1], "HEALTHCHECK", "exec")


def test_a_store_in_a_file_has_one_pod_which_ends_before_its_successor_starts() -> None:
    (claim, deployment) = OBJECTS
    assert (deployment["spec"]["replicas"], deployment["spec"]["strategy"]) == (1, {"type": "Recreate"})
    (volume,) = POD["volumes"]
    assert volume["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    assert all(c["volumeMounts"][0]["name"] == volume["name"] for c in [*POD["initContainers"], *POD["containers"]])
    assert deployment["spec"]["selector"]["matchLabels"] == deployment["spec"]["template"]["metadata"]["labels"]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    unit = tmp_path / "myapp-worker.service"
    unit.write_text(re.sub(r"/srv/myapp/\.venv/bin/dispatch", sys.executable, UNIT))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True, timeout=30
    )
    told = [line for line in done.stderr.splitlines() if "myapp-worker" in line]
    assert (done.returncode, told) == (0, [])
