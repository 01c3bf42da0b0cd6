"""Runs the snippets of one page in the current folder, in order, as a reader would: `python page_runner.py PAGE`.

A block whose first line is `# some/path.py` (or .toml) is written to that file. Other Python blocks share one
namespace; a `text` block below one is what it prints. Every TOML block is loaded as a configuration. In console blocks
each `$ …` is run, and the lines below it must come in its output: ids and times stand for any other, `…` for anything,
`<id>` in a command for the first id of that kind in the latest output that had one. A command must succeed, unless the
page shows its `error: …`. `dispatch run` without --burst goes on until `^C` or the end of the page.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import inspect
import io
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
import tomllib
from pathlib import Path
from typing import Any

from dispatch_cli.main import main as dispatch
from snippets import LANGUAGES, Command, Snippet, commands, snippets

from dispatch.config import load

DEADLINE = 60.0
_ID = re.compile(r"\b(job|dlq|wkr|run|evt)_[0-9a-hjkmnp-tv-z]{26}\b")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[\d.]*(?:Z|\+00:00)?")
_VARYING = re.compile(rf"((?:job|dlq|wkr|run|evt)_[0-9a-hjkmnp-tv-z]{{26}}|{_TIME.pattern}|…)")
_PREFIXES = {"workflow": "run", "event": "evt"}
"""Of the ids of nouns that are not called like their prefix."""
_PLAIN = re.compile(r"dispatch (?!run|demo)[^|&;<>$`]*")
"""Commands that need no shell and no process of their own."""


class Page:
    """One page's folder, namespace, event loop (which runs between the blocks, too), workers and last seen ids."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.namespace: dict[str, Any] = {"__name__": "__page__"}
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.workers: list[tuple[subprocess.Popen[bytes], Path]] = []
        self.ids: dict[str, str] = {}
        self.printed: str | None = None
        self.environment = {key: value for key, value in os.environ.items() if not key.startswith("DISPATCH_")}
        self.environment["PATH"] = f"{self._shims()}{os.pathsep}{os.environ['PATH']}"
        os.environ.clear()
        os.environ.update(self.environment)
        sys.path.insert(0, str(folder))

    def run(self, snippet: Snippet) -> None:
        """Does what the snippet says; raises when that is not what happens."""
        if snippet.language not in LANGUAGES:
            raise AssertionError(f"{snippet.place}: say what this block is: {', '.join(sorted(LANGUAGES))}")
        printed, self.printed = self.printed, None
        if snippet.language == "text":
            if printed is not None:
                expect(snippet.place, snippet.body.splitlines(), printed)
            return
        if snippet.not_run:
            return
        if snippet.file is not None:
            path = self.folder / snippet.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(snippet.body)
        match snippet.language:
            case "python" if snippet.file is None:
                self.printed = self._python(snippet)
            case "toml":
                self._toml(snippet)
            case "console" | "bash":
                for command in commands(snippet):
                    self._command(command)

    def close(self) -> None:
        """Ends the workers that still run; each must stop gracefully."""
        while self.workers:
            self._interrupt()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()

    def _python(self, snippet: Snippet) -> str:
        source = "\n" * (snippet.line - 1) + snippet.body
        code = compile(source, str(snippet.page), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            if code.co_flags & inspect.CO_COROUTINE:
                asyncio.run_coroutine_threadsafe(eval(code, self.namespace), self.loop).result(DEADLINE)
            else:
                exec(code, self.namespace)
        return output.getvalue()

    def _toml(self, snippet: Snippet) -> None:
        document = tomllib.loads(snippet.body)
        name = "pyproject.toml" if {"project", "tool"} & document.keys() else "dispatch.toml"
        place = self.folder / ".toml"
        place.mkdir(exist_ok=True)
        (place / name).write_text(snippet.body)
        loaded = load(file=place / name, env={})
        if loaded.warnings:
            raise AssertionError(f"{snippet.place}: {loaded.warnings}")
        for profile in document.get("profiles", {}):
            load(file=place / name, profile=profile, env={"PRODUCTION_STORE": "sqlite:////tmp/production.db"})

    def _command(self, command: Command) -> None:
        text = command.text
        if "<id>" in text:
            noun = text.split()[1]
            text = text.replace("<id>", self.ids[_PREFIXES.get(noun, noun)])
        output = [line for line in command.output if line != "^C"]
        if text.startswith("dispatch run") and "--burst" not in text:
            self._start(command.place, text)
            if "^C" in command.output:
                self._interrupt()
            return
        status, answer = self._inside(text) if _PLAIN.fullmatch(text) else self._shell(text)
        self.ids |= {found[1]: found[0] for found in reversed(list(_ID.finditer(answer)))}
        refused = any(line.startswith("error: ") for line in output)
        if (status != 0) != refused:
            raise AssertionError(f"{command.place}: `{text}` ended with {status}:\n{answer}")
        expect(command.place, output, answer)

    def _inside(self, text: str) -> tuple[int, str]:
        """The command line in this process, which spares a second of imports."""
        output, path = io.StringIO(), list(sys.path)
        sys.path.remove(str(self.folder))  # as for the installed command, which does not look here by itself
        try:
            with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
                status = dispatch(shlex.split(text)[1:])
        finally:
            sys.path[:] = path
        return status, output.getvalue()

    def _shell(self, text: str) -> tuple[int, str]:
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", text],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=DEADLINE,
        )
        return done.returncode, done.stdout.decode()

    def _start(self, place: str, text: str) -> None:
        log = self.folder / f".worker{len(self.workers)}.log"
        with log.open("wb") as stderr:
            worker = subprocess.Popen(
                ["bash", "-c", f"exec {text}"], cwd=self.folder, env=self.environment, stdout=stderr, stderr=stderr
            )
        self.workers.append((worker, log))
        deadline = time.monotonic() + DEADLINE
        while b"worker_started" not in log.read_bytes():
            if worker.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"{place}: `{text}` did not start:\n{log.read_text()}")
            time.sleep(0.01)

    def _interrupt(self) -> None:
        worker, log = self.workers.pop()
        worker.send_signal(signal.SIGINT)
        if worker.wait(DEADLINE) != 0:
            raise AssertionError(f"the worker ended with {worker.returncode}:\n{log.read_text()}")

    def _shims(self) -> Path:
        """A folder with `dispatch` and `python` as this interpreter has them."""
        folder = self.folder / ".bin"
        folder.mkdir()
        for name, arguments in (("dispatch", "-P -m dispatch_cli"), ("python", "")):
            shim = folder / name
            shim.write_text(f'#!/bin/sh\nexec "{sys.executable}" {arguments} "$@"\n')
            shim.chmod(0o755)
        return folder


def expect(place: str, shown: list[str], answer: str) -> None:
    """Raises unless the shown lines come in the answer, in that order, with anything in between."""
    lines = iter(answer.splitlines())
    for line in filter(str.strip, shown):
        pattern = re.compile(_pattern(line))
        if not any(pattern.fullmatch(" ".join(one.split())) for one in lines):
            raise AssertionError(f"{place}: the page shows\n  {line}\nbut the answer was\n{answer}")


def _pattern(line: str) -> str:
    made = []
    for part in _VARYING.split(" ".join(line.split())):
        if _ID.fullmatch(part):
            made.append(part.partition("_")[0] + "_[0-9a-z]{26}")
        elif _TIME.fullmatch(part):
            made.append(_TIME.pattern)
        else:
            made.append(".*" if part == "…" else re.escape(part))
    return "".join(made)


def main(page: Path) -> None:
    here = Page(Path.cwd())
    try:
        for snippet in snippets(page):
            here.run(snippet)
    finally:
        here.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
