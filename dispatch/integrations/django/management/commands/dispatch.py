"""`manage.py dispatch …` is the `dispatch` command, on the store and with the jobs of this project."""

from __future__ import annotations

import argparse
import importlib
import os
from collections.abc import Sequence
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from dispatch.config import load

WORKER = "dispatch.integrations.django.worker"


class Command(BaseCommand):  # type: ignore[misc]
    """Hands its words on as they are."""

    help = "The dispatch command for this project: manage.py dispatch run, manage.py dispatch job list …"
    requires_system_checks: Sequence[str] = ()

    def run_from_argv(self, argv: list[str]) -> None:
        """As Django calls it, with the whole command line; ends with the exit code of `dispatch`."""
        raise SystemExit(self._run(argv[2:]))

    def add_arguments(self, parser: Any) -> None:
        """For `call_command("dispatch", "job", "list", "--json")`."""
        parser.add_argument("words", nargs=argparse.REMAINDER)

    def handle(self, *args: Any, words: Sequence[str] = (), **options: Any) -> None:
        """Raises CommandError, with the exit code, when it is not 0."""
        if code := self._run(words):
            raise CommandError(f"dispatch {' '.join(words)} ended with {code}", returncode=code)

    def _run(self, words: Sequence[str]) -> int:
        if load().config.app is None:
            os.environ["DISPATCH_APP"] = WORKER  # children that it starts are no manage.py
        command = importlib.import_module("dispatch_cli.main")  # it sits on the library, not below it
        code: int = command.main(list(words))
        return code
