"""The house rules that no linter knows: what the wheel holds, what the lock pins, how every file begins."""

from __future__ import annotations

import ast
import doctest
import importlib
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name

ROOT = Path(__file__).parents[1]
PACKAGES = [ROOT / "dispatch", *(path.parent for path in sorted(ROOT.glob("*/dispatch_*/__init__.py")))]
MODULES = sorted(path for package in PACKAGES for path in package.rglob("*.py"))
TEXTS = sorted(
    path
    for folder in ("dispatch", "cli", "plugins", "tests", "examples", "docs")
    for path in (ROOT / folder).rglob("*")
    if path.suffix in {".py", ".sql", ".md", ".toml", ".lua"}
) + sorted(ROOT.glob("*.md"))
BANNED = ["TO" + "DO", "FIX" + "ME", "XX" + "X", "Not" + "ImplementedError", "/wo" + "rk/", "/opt/" + "pypi"]


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)
def test_a_package_tells_type_checkers_that_it_is_typed(package: Path) -> None:
    assert (package / "py.typed").is_file()


def test_the_folders_that_only_group_packages_are_none_themselves() -> None:
    assert not [folder for folder in ("cli", "plugins") if (ROOT / folder / "__init__.py").exists()]


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_begins_by_saying_what_it_is_for(path: Path) -> None:
    docstring = ast.get_docstring(ast.parse(path.read_text()))
    assert docstring, "the first line must be a docstring of one sentence"
    assert docstring.splitlines()[0].strip()


def test_no_module_and_no_test_outgrows_its_duty() -> None:
    tests = (path for path in TEXTS if path.suffix == ".py" and path.is_relative_to(ROOT / "tests"))
    sizes = {name_of(path): len(path.read_text().splitlines()) for path in (*MODULES, *tests)}
    assert {name: size for name, size in sizes.items() if size > 400} == {}


def test_nothing_is_left_for_later_and_no_path_of_one_machine_is_named() -> None:
    pattern = re.compile("|".join(rf"(?<!\w){re.escape(word)}" for word in BANNED))
    found = [
        f"{name_of(path)}:{number}: {line.strip()}"
        for path in TEXTS
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if pattern.search(line)
    ]
    assert found == []


@pytest.mark.parametrize("path", [path for path in MODULES if ">>> " in path.read_text()], ids=name_of)
def test_the_examples_in_docstrings_are_true(path: Path) -> None:
    parts = path.relative_to(ROOT).with_suffix("").parts[0 if path.is_relative_to(ROOT / "dispatch") else 1 :]
    module = importlib.import_module(".".join(parts).removesuffix(".__init__"))
    assert doctest.testmod(module, optionflags=doctest.ELLIPSIS).failed == 0


def locked() -> dict[NormalizedName, str]:
    text = (ROOT / "requirements.lock").read_text().replace("\\\n", " ")
    pins = {}
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            assert "--hash=sha256:" in line, f"not hashed: {line[:60]}"
            requirement = Requirement(line.split("--hash")[0])
            pins[canonicalize_name(requirement.name)] = str(requirement.specifier).removeprefix("==")
    return pins


def test_the_lock_pins_everything_that_the_project_and_its_tests_ask_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = [*project["dependencies"], *(line for extra in project["optional-dependencies"].values() for line in extra)]
    pins = locked()
    for requirement in map(Requirement, asked):
        name = canonicalize_name(requirement.name)
        if name != project["name"] and (requirement.marker is None or requirement.marker.evaluate()):
            assert name in pins, f"{name} is not in requirements.lock: run ./dev lock"
            assert pins[name] in requirement.specifier, f"{name} {pins[name]} is not {requirement}: run ./dev lock"


def test_the_lock_names_no_server_and_no_folder() -> None:
    assert not re.search(r"://|file:|^-|@", (ROOT / "requirements.lock").read_text(), re.MULTILINE)


@pytest.mark.parametrize("script", ["dev", ".ci/run"])
def test_the_scripts_are_executable_and_parse(script: str) -> None:
    assert os.access(ROOT / script, os.X_OK)
    subprocess.run(["bash", "-n", str(ROOT / script)], check=True, timeout=10)


@pytest.mark.slow
def test_the_wheel_holds_our_packages_and_nothing_else(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)]
    built = subprocess.run(command, capture_output=True, text=True, timeout=50)
    assert built.returncode == 0, built.stdout + built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    info = f"{wheel.name.rsplit('-py3', 1)[0]}.dist-info"
    packages = {package.name for package in PACKAGES}
    assert {name.split("/")[0] for name in names} == {*packages, info}
    assert {f"{package}/py.typed" for package in packages} <= names
    assert f"{info}/licenses/LICENSE" in names
    data = {str(path.relative_to(ROOT)) for path in (ROOT / "dispatch").rglob("*.sql")}
    static = ROOT / "dispatch" / "api" / "dashboard" / "static"
    data |= {str(path.relative_to(ROOT)) for path in static.rglob("*") if path.is_file()}
    data |= {"dispatch/config/dispatch.toml.example"}
    assert data <= names
