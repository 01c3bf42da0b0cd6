"""Hears keys on a terminal while something is drawn on it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def hearing(
    loop: asyncio.AbstractEventLoop, *, key: Callable[[str], None], resized: Callable[[], None]
) -> Iterator[None]:
    """Calls `key` with what is typed, which is not echoed, and `resized` when the window changes."""
    with contextlib.ExitStack() as undo:
        if hasattr(signal, "SIGWINCH"):
            loop.add_signal_handler(signal.SIGWINCH, resized)
            undo.callback(loop.remove_signal_handler, signal.SIGWINCH)
        if sys.stdin.isatty() and os.name == "posix":
            import termios
            import tty

            descriptor = sys.stdin.fileno()
            before = termios.tcgetattr(descriptor)
            undo.callback(termios.tcsetattr, descriptor, termios.TCSADRAIN, before)
            tty.setcbreak(descriptor)
            loop.add_reader(descriptor, lambda: key(_typed(descriptor)))
            undo.callback(loop.remove_reader, descriptor)
        yield


def _typed(descriptor: int) -> str:
    try:
        return os.read(descriptor, 64).decode("ascii", "ignore") or "q"  # a terminal that is gone quits, too
    except OSError:
        return "q"
