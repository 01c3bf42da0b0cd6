"""Writes a new configuration file from the defaults; a file that a person wrote is never touched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dispatch.config.model import Config
from dispatch.errors import ConfigError


def example_toml() -> str:
    """The defaults as TOML; keys without a default, such as `app`, are left out."""
    import tomli_w

    tables: dict[str, Any] = Config.default().model_dump(mode="json")
    return tomli_w.dumps({key: value for key, value in tables.items() if value not in (None, {})})


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
