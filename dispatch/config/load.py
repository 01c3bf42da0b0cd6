"""Gathers the configuration, flag before environment before file before default, and notes where values came from."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dispatch.config.environment import read_environment
from dispatch.config.model import Config, is_key, nearest, unknown_key
from dispatch.errors import ConfigError

Tree = dict[str, Any]
Key = tuple[str, ...]
Origins = dict[Key, str]
_FROM_ENV = re.compile(r"env:([A-Za-z_][A-Za-z0-9_]*)")
_RELATIVE_SQLITE = re.compile(r"((?:sqlalchemy\+sqlite\+aiosqlite|sqlite):///)([^/?:][^?]*)(\?.*)?")


@dataclass(frozen=True, slots=True)
class LoadedConfig:
    """A configuration and how it came about."""

    config: Config
    origins: dict[str, str]
    """Dotted key → "flag", "env DISPATCH_X", "file /path (table)" or "default"."""
    warnings: list[str] = field(default_factory=list)
    """What looks like a mistake but does no harm, such as an unknown DISPATCH_* variable."""
    file: Path | None = None
    """The file that was read, if there was one."""
    profile: str | None = None
    """The profile that was laid over the file."""
    protected: bool = False
    """The profile says `protected = true`: destructive verbs ask for its name first."""


def load(
    *,
    file: str | Path | None = None,
    profile: str | None = None,
    env: Mapping[str, str] | None = None,
    overrides: Mapping[str, Any] | None = None,
    cwd: str | Path | None = None,
) -> LoadedConfig:
    """Reads the configuration: `overrides` > DISPATCH_* > the file with its profile on top > the defaults.

    file: the file to read (`--config`); else DISPATCH_CONFIG, else dispatch.toml or [tool.dispatch] of pyproject.toml
        in `cwd`. profile: the name of a [profiles.NAME] table; else DISPATCH_PROFILE.
    env: the environment (default os.environ). overrides: what flags said, nested as in the file; None = not given.
    cwd: the folder to look in (default: the current one).

    Raises ConfigError, which names the key, where it stands and what would be right.

    >>> load(env={"DISPATCH_CONCURRENCY": "4"}, cwd="/").origins["concurrency"]
    'env DISPATCH_CONCURRENCY'
    """
    env = os.environ if env is None else env
    folder = Path.cwd() if cwd is None else Path(cwd).absolute()
    warnings: list[str] = []
    found = _find_file(file or env.get("DISPATCH_CONFIG"), folder, warnings)
    profile = profile or env.get("DISPATCH_PROFILE") or None
    values: Tree = {}
    origins: Origins = {}
    protected = False
    if found is not None:
        protected = _read_file(found, profile, values, origins)
    elif profile:
        raise ConfigError(f"profile {profile!r} was asked for, but there is no dispatch.toml in {folder}")
    for variable, tree in read_environment(env, folder, warnings):
        _merge(values, origins, tree, _always(f"env {variable}"))
    _merge(values, origins, overrides or {}, _always("flag"))
    config = Config.model_validate(_with_secrets(values, env, origins), context=origins)
    from_file = found is not None and origins.get(("store",), "").startswith("file ")
    store = _absolute(config.store, found.parent if found is not None and from_file else folder)
    key_file = config.api_key_file
    if key_file is not None:
        beside = found is not None and origins.get(("api_key_file",), "").startswith("file ")
        key_file = str((found.parent if found is not None and beside else folder) / Path(key_file).expanduser())
    return LoadedConfig(
        config=config.model_copy(update={"store": store, "api_key_file": key_file}),
        origins={".".join(key): origins.get(key, "default") for key in _leaves(config.model_dump())},
        warnings=warnings,
        file=found,
        profile=profile,
        protected=protected,
    )


def _find_file(asked: str | Path | None, folder: Path, warnings: list[str]) -> Path | None:
    if asked:
        path = folder / Path(asked).expanduser()
        if not path.is_file():
            raise ConfigError(f"the configuration file {path} does not exist (from --config or DISPATCH_CONFIG)")
        return path
    own, shared = folder / "dispatch.toml", folder / "pyproject.toml"
    in_shared = shared.is_file() and "dispatch" in _parse(shared).get("tool", {})
    if not own.is_file():
        return shared if in_shared else None
    if in_shared:
        warnings.append(f"{own} is read, so [tool.dispatch] in {shared} is not: keep one of the two")
    return own


def _parse(path: Path) -> Tree:
    import tomllib

    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None


def _read_file(path: Path, profile: str | None, values: Tree, origins: Origins) -> bool:
    """Merges the file, then the chosen profile; answers whether that profile is protected."""
    tables = _parse(path)
    prefix: tuple[str, ...] = ()
    if path.name == "pyproject.toml":
        tables, prefix = tables.get("tool", {}).get("dispatch", {}), ("tool", "dispatch")
    profiles = tables.pop("profiles", {})
    if not isinstance(profiles, dict) or not all(isinstance(overlay, dict) for overlay in profiles.values()):
        raise ConfigError(f"profiles in {path} must be tables: [profiles.NAME]")
    _merge(values, origins, tables, lambda key: _place(path, (*prefix, *key[:-1])))
    flags = {name: overlay.pop("protected", False) for name, overlay in profiles.items()}
    for name, overlay in profiles.items():
        if not isinstance(flags[name], bool):
            raise ConfigError(f"profiles.{name}.protected in {path} must be true or false, not {flags[name]!r}")
        for key in _leaves(overlay):
            if not is_key(key):
                raise ConfigError(unknown_key(key, f" ({_place(path, (*prefix, 'profiles', name, *key[:-1]))})"))
    if not profile:
        return False
    if profile not in profiles:
        advice = nearest(profile, list(profiles)) if profiles else "it has none"
        raise ConfigError(f"{path} has no profile {profile!r}: {advice}")
    _merge(values, origins, profiles[profile], lambda key: _place(path, (*prefix, "profiles", profile, *key[:-1])))
    return bool(flags[profile])


def _place(path: Path, table: tuple[str, ...]) -> str:
    return f"file {path} ({'.'.join(table)})" if table else f"file {path}"


def _always(origin: str) -> Callable[[Key], str]:
    return lambda key: origin


def _merge(values: Tree, origins: Origins, tree: Mapping[str, Any], place: Callable[[Key], str], at: Key = ()) -> None:
    """Lays `tree` over `values`, table by table, and notes for each key where it came from; None = not given."""
    for key, value in tree.items():
        path = (*at, key)
        if value is None:
            continue
        origins[path] = place(path)
        if isinstance(value, Mapping):
            below = values.get(key)
            values[key] = dict(below) if isinstance(below, dict) else {}
            _merge(values[key], origins, value, place, path)
        else:
            values[key] = value


def _leaves(tree: Mapping[str, Any], at: Key = ()) -> Iterator[Key]:
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, (*at, key))
        else:
            yield (*at, key)


def _with_secrets(value: Any, env: Mapping[str, str], origins: Origins, at: Key = ()) -> Any:
    """The value with each "env:NAME" replaced by that variable, so that secrets need not stand in files."""
    if isinstance(value, dict):
        return {key: _with_secrets(inner, env, origins, (*at, key)) for key, inner in value.items()}
    if isinstance(value, list):
        return [_with_secrets(inner, env, origins, at) for inner in value]
    match = _FROM_ENV.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return value
    if not env.get(match[1]):
        raise ConfigError(
            f"{'.'.join(at)} = {value!r} ({origins.get(at, 'default')}): the variable {match[1]} is not set"
        )
    return env[match[1]]


def _absolute(store: str, folder: Path) -> str:
    match = _RELATIVE_SQLITE.fullmatch(store)
    if match is None:
        return store
    escaped = Path(re.sub("[%?#]", lambda character: f"%{ord(character[0]):02X}", str(folder)))
    return f"{match[1]}{escaped / match[2]}{match[3] or ''}"
