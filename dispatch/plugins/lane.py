"""A thread on which the plain functions of one plugin run, in order, so that one that hangs holds up nothing else."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import copy_context
from typing import Any

from dispatch.clock import boot_seconds

IDLE = 10.0
"""Seconds after which a thread with nothing to do ends; the next call starts another one."""


class Lane:
    """Calls functions one after the other on a thread of its own, which ends with the process, whatever it does.

    Args:
        name: of the thread. most: calls that may wait.
    """

    def __init__(self, name: str, *, most: int) -> None:
        self._name = name
        self._most = most
        self._waiting: deque[tuple[Callable[[], Any], Future[Any]]] = deque()
        self._changed = threading.Condition()
        self._runs = False
        self._busy_since: float | None = None

    @property
    def stuck_for(self) -> float:
        """How many seconds the present call has taken so far."""
        since = self._busy_since
        return 0.0 if since is None else boot_seconds() - since

    @property
    def pending(self) -> int:
        """How many calls are not over yet."""
        return len(self._waiting) + (self._busy_since is not None)

    def submit(self, function: Callable[[], Any]) -> Future[Any] | None:
        """Calls it in its turn, in the caller's context; None when too many wait already."""
        answer: Future[Any] = Future()
        context = copy_context()
        with self._changed:
            if len(self._waiting) >= self._most:
                return None
            self._waiting.append((lambda: context.run(function), answer))
            if self._runs:
                self._changed.notify()
            else:
                self._runs = True
                threading.Thread(target=self._run, name=self._name, daemon=True).start()
        return answer

    def _run(self) -> None:
        while True:
            with self._changed:
                if not self._waiting:
                    self._changed.wait(IDLE)
                if not self._waiting:
                    self._runs = False
                    return
                function, answer = self._waiting.popleft()
                self._busy_since = boot_seconds()
            if answer.set_running_or_notify_cancel():
                try:
                    answer.set_result(function())
                except BaseException as error:
                    answer.set_exception(error)
            self._busy_since = None
