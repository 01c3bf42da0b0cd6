"""The entry of a worker subprocess, `python -m dispatch.engine.child SOCKET PARENT`: what must hold before imports."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1
_STOPS = (signal.SIGINT, signal.SIGTERM)


def main(descriptor: int, parent: int) -> None:
    """Serves the worker whose process id is `parent` over the socket `descriptor` until that is closed."""
    outlive_stops()
    die_with(parent)
    from dispatch.engine.child_server import serve

    serve(descriptor)


def outlive_stops() -> None:
    """A terminal's Ctrl-C and a service manager's SIGTERM go to every process; the worker decides when this one ends.

    A handler that does nothing, rather than SIG_IGN: programs that a job starts get the default back.
    """
    for number in _STOPS:
        signal.signal(number, lambda _number, _frame: None)
    os.register_at_fork(after_in_child=_default_stops)


def die_with(parent: int) -> None:
    """Asks Linux to kill this process when its worker dies; elsewhere the end of the connection tells."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def _default_stops() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
