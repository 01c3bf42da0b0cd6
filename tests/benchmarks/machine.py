"""What a figure depends on: the machine, the versions, the day, and how busy others keep the machine."""

from __future__ import annotations

import os
import platform
import sqlite3
from importlib.metadata import version
from pathlib import Path

from dispatch.clock import utc_now


def conditions() -> dict[str, str]:
    """The line above every table."""
    return {
        "date": utc_now().strftime("%Y-%m-%d"),
        "dispatch": version("dispatch-tasks"),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "machine": f"{os.cpu_count()} × {_processor()}, {platform.system()} {platform.release().partition('-')[0]}",
        "load": f"{os.getloadavg()[0]:.1f}",
    }


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
