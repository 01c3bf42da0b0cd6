"""The entry point: understands the command line, runs the command, turns every error into a line and an exit code."""

from __future__ import annotations

import difflib
import gc
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import typer

from dispatch_cli import plugged
from dispatch_cli.completing import ASKED
from dispatch_cli.completing import answer as answer_shell
from dispatch_cli.settings import Settings, wants_json
from dispatch_cli.shell import LazyGroup, noun

PROGRAM = "dispatch"
INTERRUPTED = 130
"""What typer makes of Ctrl-C."""
_MANY = 100_000
"""New objects between two looks for garbage: a command starts with some 60,000 that all stay."""


class Root(LazyGroup):
    """`dispatch` itself."""

    examples = ("dispatch demo", "dispatch run myapp.tasks", "dispatch job list --state failed")
    table: ClassVar = {
        "run": ("run", "Start a worker for the jobs of a module."),
        "dev": ("dev", "Run jobs and serve the API while you write code; each change starts it anew."),
        "serve": ("serve", "Serve the HTTP API, with no worker."),
        "demo": ("demo", "Run a small real application from start to finish, then exit."),
        "status": ("status", "Show backlog, workers, dead letters and pauses on one screen."),
        "top": ("top", "Watch queues, throughput, workers and failures, live."),
        "job": ("job", "Enqueue, look at, watch, explain, retry and cancel jobs."),
        "workflow": ("workflow", "Start, look at, signal, cancel, retry and fork workflow runs."),
        "event": ("event", "Publish events that workflow runs wait for, and look at them."),
        "dlq": ("dlq", "Look at, replay, discard and purge dead letters."),
        "queue": ("queue", "Look at, pause, resume, limit and empty queues."),
        "cron": ("cron", "Look at, plan, make, change, switch and trigger cron entries."),
        "worker": ("worker", "Look at worker processes, and ask them to finish and stop."),
        "leader": ("leader", "See which worker leads and fires cron entries, or let another one lead."),
        "health": ("health", "Check that the store answers and a worker is alive: exit 0, else 9."),
        "doctor": ("doctor", "Look for what is wrong or soon will be, with advice."),
        "apikey": ("apikey", "Make, list and revoke the keys of the HTTP API."),
        "audit": ("audit", "See who paused, drained, cancelled, replayed or purged what."),
        "plugin": ("plugin", "See which plugins are loaded, and which hooks they take."),
        "check": ("check", "Before a deploy: would this code serve what waits in the store? Exit 9 if not."),
        "store": ("store", "Create, migrate, look at, verify, copy and prune the store."),
        "bench": ("bench", "Measure how fast this kind of store is, here."),
        "config": ("config", "Show the configuration, or write a file to start from."),
        "inspect": ("inspect", "Show what a module defines: jobs, workflows, crons."),
        "openapi": ("openapi", "Print the description of the HTTP API."),
        "completion": ("completion", "Print the script that makes bash, zsh or fish complete live values."),
        "version": ("version", "Show the versions of Dispatch and what it runs on."),
    }

    def list_commands(self, ctx: Any) -> list[str]:
        return [*self.table, *self._plugged(ctx)]

    def members(self, ctx: Any) -> list[tuple[str, str]]:
        return [*super().members(ctx), *((name, found.summary) for name, found in self._plugged(ctx).items())]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        own = super().get_command(ctx, cmd_name)
        if own is not None or cmd_name.startswith("-"):
            return own
        if difflib.get_close_matches(cmd_name, self.table, 1):
            found = self._plugged(ctx)  # most likely a slip: what is wrong with plugins must not hide that
        else:
            found = plugged.nouns(_settings(ctx), frozenset(self.table))
        noun = found.get(cmd_name) or found.get(cmd_name.removesuffix("s"))
        return None if noun is None else noun.command

    def _plugged(self, ctx: Any) -> dict[str, plugged.Found]:
        return plugged.nouns_or_warning(_settings(ctx), frozenset(self.table))


def _settings(ctx: Any) -> Settings:
    return ctx.obj if ctx is not None and isinstance(ctx.obj, Settings) else Settings()


def _prepare_streams() -> None:
    """Closed streams (`<&-`) read and write nothing; a letter that an encoding lacks is written as an escape."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115 - for as long as the process
        elif mode == "w" and isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


app = noun("Background jobs for Python: decorators, one command, any store.", cls=Root, empty_is_fine=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command line (default: this process's) and answers the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    gc.set_threshold(_MANY)
    _prepare_streams()
    try:
        command = typer.main.get_command(app)
        if ASKED in os.environ:
            return answer_shell(command)
        if arguments == ["--version"]:
            from dispatch_cli.version import version_of

            print(f"{PROGRAM} {version_of('dispatch-tasks')}")
            return 0
        settings = Settings(argv=tuple(arguments))
        answer = command.main(arguments, prog_name=PROGRAM, standalone_mode=False, obj=settings)
        sys.stdout.flush()
        if answer == INTERRUPTED:
            raise KeyboardInterrupt
        return answer if isinstance(answer, int) else 0
    except SystemExit as exit_:
        return exit_.code if isinstance(exit_.code, int) else 1
    except BrokenPipeError:
        # Whoever read our output has seen enough (`| head`); the interpreter must not complain about it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except BaseException as error:
        from dispatch_cli.failures import report

        return report(error, as_json=wants_json(arguments))
