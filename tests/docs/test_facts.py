"""Lists in the documentation that must be complete: options, dependencies, tests, variables."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

from dispatch.config import Config
from dispatch.registry import JobSettings

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def quoted(text: str) -> set[str]:
    """Every word that stands alone between backquotes."""
    return set(re.findall(r"`([\w./-]+)`", text))


def test_the_readme_names_every_option_of_a_job() -> None:
    options = (ROOT / "README.md").read_text().partition("## Options")[2].partition("\n## ")[0]
    assert set(JobSettings.__annotations__) - quoted(options) == set()


def test_the_page_on_dependencies_names_exactly_those_there_are() -> None:
    page = (ROOT / "docs/dependencies.md").read_text()
    base, extras = (part.partition("\n\n")[0] for part in page.split("|---|---|", 2)[1:])
    named = set(re.findall(r"^\| `([\w-]+)`", base, re.MULTILINE))
    assert named == {Requirement(line).name for line in PROJECT["dependencies"]}
    assert set(re.findall(r"^\| `([\w-]+)`", extras, re.MULTILINE)) == set(PROJECT["optional-dependencies"])


def test_the_page_on_testing_names_folders_that_are_there() -> None:
    named = {name for name in quoted((ROOT / "docs/testing.md").read_text()) if name.startswith("tests/")}
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


def test_the_documents_name_no_environment_variable_that_is_none() -> None:
    known = {f"DISPATCH_{name.upper()}" for name in Config.model_fields}
    known |= {"DISPATCH_CONFIG", "DISPATCH_PROFILE", "DISPATCH_STORE_FILE", "DISPATCH_LIMITS__PAYLOAD"}
    known |= {f"DISPATCH_TEST_{name}" for name in ("POSTGRES_URL", "REDIS_URL", "MYSQL_URL", "SOURCE", "REQUIRE")}
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        if page.name != "cli.md":
            assert set(re.findall(r"DISPATCH_[A-Z_]*[A-Z]", page.read_text())) - known == set(), page.name
