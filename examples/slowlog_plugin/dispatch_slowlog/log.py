"""The log itself: a JSON document a line, appended whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

Entry = dict[str, Any]


class Log:
    """Appends and reads entries; several processes may append at once."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, entry: Entry) -> None:
        """Writes one entry."""
        with self.path.open("a") as file:
            file.write(json.dumps(entry) + "\n")

    def read(self, what: str | None = None) -> list[Entry]:
        """The entries, oldest first; only those of one kind ("slow", "failed") if that is given."""
        if not self.path.exists():
            return []
        entries = [json.loads(line) for line in self.path.read_text().splitlines()]
        return [entry for entry in entries if what in (None, entry["what"])]

    def clear(self) -> None:
        """Forgets everything."""
        self.path.unlink(missing_ok=True)
