"""docs/cli.md names every command, every option and every JSON field."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.cli import schemas, schemas_ops, schemas_runs
from tests.cli.test_examples import commands

DOCS = (Path(__file__).parents[2] / "docs" / "cli.md").read_text()
WORDS = {*re.findall(r"\w+", DOCS)}


def fields(schema: Any) -> set[str]:
    """Every field that a schema names, at any depth."""
    if isinstance(schema, list):
        return {name for inner in schema for name in fields(inner)}
    if not isinstance(schema, dict):
        return set()
    own = set(schema.get("properties", {}))
    return own.union(*(fields(inner) for inner in [*schema.values(), *schema.get("properties", {}).values()]))


@pytest.mark.parametrize(("words", "command"), [(words, command) for words, command in commands() if words])
def test_every_command_and_option_is_documented(words: str, command: Any) -> None:
    assert words.split()[-1] in WORDS
    options = [option for param in command.params if not param.hidden for option in param.opts if option[:2] == "--"]
    assert [option for option in options if f"`{option}" not in DOCS and f" {option}" not in DOCS] == []


def test_every_json_field_is_documented() -> None:
    documents = vars(schemas) | vars(schemas_ops) | vars(schemas_runs)
    promised = {name for key, schema in documents.items() if key.isupper() for name in fields(schema)}
    assert promised - WORDS == set()


def test_every_exit_code_is_documented() -> None:
    from dispatch_cli import failures

    codes = {value for name, value in vars(failures).items() if name.isupper() and isinstance(value, int)}
    assert all(f"| {code} |" in DOCS for code in codes | {0})
