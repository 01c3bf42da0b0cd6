"""KEDA's objects: by the fields that there are, about each other, and their question put to a real server."""

from __future__ import annotations

import json
import math
import re
import signal
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from urllib.request import Request, urlopen

import jsonschema
import pytest
import yaml

from dispatch.access import SCOPES
from tests.cli.conftest import folder, run, spawn
from tests.cli.test_serve import started

__all__ = ["folder"]
HERE = Path(__file__).parents[2] / "examples" / "deployment"
TEXT = (HERE / "keda.yaml").read_text()
OBJECTS: dict[tuple[str, str], dict[str, Any]] = {
    (found["kind"], found["metadata"]["name"]): found for found in yaml.safe_load_all(TEXT)
}
SCALED: dict[str, Any] = next(found for (kind, _), found in OBJECTS.items() if kind == "ScaledObject")["spec"]
(TRIGGER,) = SCALED["triggers"]
URL = urlsplit(TRIGGER["metadata"]["url"])


def only(required: tuple[str, ...] = (), **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": [*required], "additionalProperties": False}


COUNT, WORD = {"type": "integer", "minimum": 0}, {"type": "string", "minLength": 1}
SCALED_OBJECT = only(
    ("scaleTargetRef", "triggers"),
    scaleTargetRef=only(("name",), name=WORD, kind=WORD, apiVersion=WORD, envSourceContainerName=WORD),
    minReplicaCount=COUNT,
    maxReplicaCount={**COUNT, "minimum": 1},
    idleReplicaCount=COUNT,
    pollingInterval={**COUNT, "minimum": 1},
    cooldownPeriod=COUNT,
    initialCooldownPeriod=COUNT,
    fallback=only(("failureThreshold", "replicas"), failureThreshold=COUNT, replicas=COUNT, behavior=WORD),
    triggers={
        "type": "array",
        "minItems": 1,
        "items": only(
            ("type", "metadata"),
            type={"const": "metrics-api"},
            name=WORD,
            useCachedMetrics={"type": "boolean"},
            metricType={"enum": ["AverageValue", "Value", "Utilization"]},
            authenticationRef=only(("name",), name=WORD, kind=WORD),
            # of metrics-api: KEDA wants every value to be a string
            metadata=only(
                ("url", "valueLocation", "targetValue"),
                url=WORD,
                valueLocation=WORD,
                targetValue={"type": "string", "pattern": r"^[0-9.]+$"},
                activationTargetValue={"type": "string", "pattern": r"^[0-9.]+$"},
                format={"enum": ["json", "xml", "yaml", "prometheus"]},
                authMode={"enum": ["apiKey", "basic", "tls", "bearer"]},
                method=WORD,
                unsafeSsl=WORD,
            ),
        ),
    },
)  # fmt: skip
AUTHENTICATION = only(
    ("secretTargetRef",),
    secretTargetRef={
        "type": "array",
        "items": only(("parameter", "name", "key"), parameter={"const": "token"}, name=WORD, key=WORD),
    },
)


def container(name: str) -> dict[str, Any]:
    (found,) = OBJECTS["Deployment", name]["spec"]["template"]["spec"]["containers"]
    return dict(found)


def test_the_objects_of_keda_have_only_fields_that_there_are() -> None:
    jsonschema.validate(SCALED, SCALED_OBJECT)
    jsonschema.validate(OBJECTS["TriggerAuthentication", TRIGGER["authenticationRef"]["name"]]["spec"], AUTHENTICATION)


def test_the_objects_name_each_other() -> None:
    fleet = OBJECTS["Deployment", SCALED["scaleTargetRef"]["name"]]
    assert "replicas" not in fleet["spec"], "two would decide"
    service = OBJECTS["Service", URL.hostname or ""]["spec"]
    (port,) = service["ports"]
    api = OBJECTS["Deployment", "myapp-api"]["spec"]
    assert service["selector"] == api["selector"]["matchLabels"] == api["template"]["metadata"]["labels"]
    assert (port["port"], port["targetPort"]) == (URL.port, container("myapp-api")["ports"][0]["name"])
    assert container("myapp-api")["args"][-1] == str(container("myapp-api")["ports"][0]["containerPort"])
    hosts = {entry["name"]: entry.get("value") for entry in container("myapp-api")["env"]}
    assert hosts["DISPATCH_SERVER__ALLOWED_HOSTS"] == URL.hostname, "else the server refuses the Host"
    arguments = container("myapp-fleet")["args"]
    query = parse_qs(URL.query)
    assert query["slots"] == [arguments[arguments.index("-c") + 1]]
    assert query["queue"] == [arguments[arguments.index("-q") + 1]]


@pytest.mark.parametrize("name", ["myapp-fleet", "myapp-api"])
def test_each_command_has_only_options_that_there_are(name: str) -> None:
    verb, *words = map(str, container(name)["args"])
    page = run(verb, "--help").out
    assert page.startswith(f"Usage: dispatch {verb}")
    assert [word for word in words if word.startswith("-") and not re.search(rf"{word}\b", page)] == []


@pytest.mark.slow
def test_the_server_answers_the_question_that_the_trigger_asks(folder: Path) -> None:
    (scope,) = re.findall(r"--scope (\S+?);", TEXT)
    assert scope in SCOPES
    run("store", "init")
    token = run("apikey", "create", "--name", "keda", "--scope", scope, "--json").json["key"]
    for _ in range(25):
        assert run("job", "enqueue", "send_email", "to=ada").code == 0
    server = spawn("serve", "--port", "0")
    try:
        address = f"http://127.0.0.1:{started(server)['port']}{URL.path}?{URL.query}"
        with urlopen(Request(address, headers={"Authorization": f"Bearer {token}"}), timeout=20) as answer:
            value = json.load(answer)[TRIGGER["metadata"]["valueLocation"]]
    finally:
        server.send_signal(signal.SIGTERM)
        server.communicate(timeout=20)
    assert math.ceil(value / float(TRIGGER["metadata"]["targetValue"])) == 3, "25 jobs, ten at once in each"
