"""Imports what `dispatch run TARGET` names: a module, a package with its submodules, a file, or `module:object`."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import os
import pkgutil
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from dispatch.errors import ConfigError, DiscoveryError, DispatchError, MissingExtra, UsageError

_LIBRARY = str(Path(__file__).parent) + os.sep
_SKIPPED = frozenset({"__main__", "tests", "conftest", "migrations"})


@dataclass(frozen=True, slots=True)
class Discovered:
    """What a target led to."""

    modules: tuple[str, ...]
    objects: tuple[Any, ...] = ()
    """What `module:object` targets named."""


def discover(*targets: str, folder: Path | None = None) -> Discovered:
    """Imports every target, with `folder` (default: the current one) first on the path, as `python -m` does.

    Raises DiscoveryError, which names the file, the line and a likely fix.
    """
    root = (folder or Path.cwd()).resolve()
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    modules: list[str] = []
    objects: list[Any] = []
    for target in targets:
        name, colon, attribute = target.partition(":")
        if not _is_path(name) and "" in name.split("."):
            raise DiscoveryError(
                f"{target!r} names no module; targets are modules (myapp.tasks) or files (myapp/tasks.py)"
            )
        module = _import_file(root / name, root) if _is_path(name) else _import(name, target, root)
        modules.append(module.__name__)
        modules.extend(_import_submodules(module, root))
        if colon:
            objects.append(_attribute(module, attribute, target))
    return Discovered(tuple(dict.fromkeys(modules)), tuple(objects))


def _is_path(name: str) -> bool:
    return name.endswith(".py") or "/" in name


def _import(name: str, target: str, root: Path) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(error.name + ".")):
            raise DiscoveryError(
                f"there is no module {error.name!r} to import for {target!r}; {_advice(name, root)}"
            ) from None
        raise _explained(target, error) from error
    except BaseException as error:
        if _speaks_for_itself(error):
            raise
        raise _explained(target, error) from error


def _import_file(path: Path, root: Path) -> ModuleType:
    """A file of a package is imported as the package's module, any other one under its own name."""
    if not path.is_file():
        raise DiscoveryError(
            f"there is no file {path}; targets are module names (myapp.tasks) or files (myapp/tasks.py)"
        )
    path = path.resolve()
    for known in list(sys.modules.values()):
        if getattr(known, "__file__", None) == str(path) and known.__name__ != "__main__":
            return known
    package = [parent for parent in path.parents if (parent / "__init__.py").is_file()]
    if package and package[-1].parent == root:
        return _import(".".join((*path.parent.relative_to(root).parts, path.stem)), str(path), root)
    name = path.stem
    while name in sys.modules:
        name += "_"  # a file called email.py must not take the place of the library's email
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise DiscoveryError(f"{path} cannot be imported as Python")
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        sys.modules.pop(name, None)
        if _speaks_for_itself(error):
            raise
        raise _explained(str(path), error) from error
    return module


def _import_submodules(module: ModuleType, root: Path) -> list[str]:
    names: list[str] = []
    for found in pkgutil.iter_modules(getattr(module, "__path__", ()), module.__name__ + "."):
        if found.name.rpartition(".")[2] in _SKIPPED:
            continue
        child = _import(found.name, found.name, root)
        names.append(child.__name__)
        names.extend(_import_submodules(child, root))
    return names


def _attribute(module: ModuleType, path: str, target: str) -> Any:
    value: Any = module
    for part in path.split("."):
        if not hasattr(value, part):
            near = difflib.get_close_matches(part, dir(value), 1)
            raise DiscoveryError(
                f"{target!r}: {module.__name__} has no {part!r}" + (f"; did you mean {near[0]!r}?" if near else "")
            )
        value = getattr(value, part)
    return value


def _advice(name: str, root: Path) -> str:
    """What is likely wrong with a module name that cannot be found from the root folder."""
    top = name.partition(".")[0]
    here = sorted(info.name for info in pkgutil.iter_modules([str(root)]))
    if top in here:
        inside = sorted(info.name for info in pkgutil.iter_modules([str(root / top)]))
        return f"{top!r} has {', '.join(inside) or 'no modules'}"
    near = difflib.get_close_matches(top, here, 1)
    if near:
        return f"did you mean {near[0]!r}?"
    return f"run this from your project's root folder; {root} has {', '.join(here) or 'no modules'}"


def _speaks_for_itself(error: BaseException) -> bool:
    """Whether an import's error is told as it is: what the store or the configuration says, not a wrong definition."""
    if isinstance(error, UsageError):
        return isinstance(error, DiscoveryError | ConfigError | MissingExtra)
    return isinstance(error, DispatchError | KeyboardInterrupt)


def _explained(target: str, error: BaseException) -> DiscoveryError:
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not _is_ours(f.filename)]
    if isinstance(error, SyntaxError) and error.filename:
        place = f"{error.filename}:{error.lineno}"
    else:
        place = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "an unknown place"
    advice = ""
    if isinstance(error, ModuleNotFoundError):
        advice = f" Install the package that provides {error.name!r} into this environment, or check the spelling."
    elif isinstance(error, SystemExit):
        advice = " The module ends the program when imported; guard that with `if __name__ == '__main__':`."
    text = str(error) if isinstance(error, DispatchError) else _text(error)
    return DiscoveryError(f"importing {target!r} failed at {place}: {text}.{advice}")


def _is_ours(file: str) -> bool:
    """Whether a frame is the import machinery's or Dispatch's own: the mistake is in the user's line before it."""
    return "importlib" in file or file.startswith(_LIBRARY)


def _text(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception:
        text = "its text cannot be had"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
