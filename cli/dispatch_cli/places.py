"""Where code stands, said briefly: paths below the current folder without it, the last line of a user's own code."""

from __future__ import annotations

import re
import sysconfig
from pathlib import Path

import dispatch

_FRAME = re.compile(r'^[ |+-]*File "(?P<file>[^"\n]+)", line (?P<line>\d+), in (?P<function>.+)$', re.MULTILINE)
_LIBRARIES = (sysconfig.get_paths()["stdlib"], str(Path(dispatch.__file__).parent))


def below_here(path: str) -> str:
    """The path, relative to the current folder when it lies in there."""
    try:
        return str(Path(path).relative_to(Path.cwd()))
    except (OSError, ValueError):
        return path


def last_own_line(traceback: str | None) -> str:
    """`file:line in function` of the last frame that is in no library; of the last one when all are; "" without any."""
    frames = list(_FRAME.finditer((traceback or "").rpartition("Traceback (most recent call last)")[2]))
    own = [frame for frame in frames if not _in_a_library(frame["file"])]
    for frame in reversed(own or frames):
        return f"{below_here(frame['file'])}:{frame['line']} in {frame['function']}"
    return ""


def _in_a_library(file: str) -> bool:
    folders = {"site-packages", "dist-packages"}
    return file.startswith("<") or file.startswith(_LIBRARIES) or not folders.isdisjoint(Path(file).parts)
