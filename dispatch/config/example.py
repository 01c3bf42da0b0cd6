"""Writes a new configuration file from the defaults; a file that a person wrote is never touched."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from dispatch.config.model import Config
from dispatch.errors import ConfigError

_WORDS = Path(__file__).with_name("dispatch.toml.example")
_KEY = re.compile(r"([a-z_]+) = ")


def example_toml() -> str:
    """Every key at its default as TOML, with what it means: the words of `dispatch.toml.example`, the values of now."""
    import tomli_w

    defaults: dict[str, Any] = Config.default().model_dump(mode="json")
    table, lines = defaults, []
    for line in _WORDS.read_text(encoding="utf-8").splitlines(keepends=True):
        if line.startswith("["):
            table = defaults[line.strip("[]\n")]
        found = _KEY.match(line)
        lines.append(tomli_w.dumps({found[1]: table[found[1]]}) if found else line)
    return "".join(lines)


def write_example(path: str | Path) -> Path:
    """Writes `example_toml()` into a new file and returns its path; ConfigError when it exists or cannot be written."""
    path = Path(path)
    try:
        with path.open("x", encoding="utf-8") as stream:
            stream.write(example_toml())
    except FileExistsError:
        raise ConfigError(f"{path} exists and is left alone: remove it first, or name another file") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from None
    return path
