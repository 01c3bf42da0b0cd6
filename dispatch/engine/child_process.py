"""The worker's handle on one of its subprocesses: start it, give it a job, hear its answer, kill it, reap it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping

from dispatch.engine.child_frames import Header, pack, read_frame

_MODULE = "dispatch.engine.child"
_READ_BUFFER = 1024 * 1024
_LAST_WORDS = 1.0


class Death(Exception):
    """The subprocess ended before it answered; `started` says whether it had begun with the job."""

    def __init__(self, pid: int, returncode: int, *, started: bool) -> None:
        super().__init__(pid, returncode)
        self.pid = pid
        self.returncode = returncode
        self.started = started

    @property
    def how(self) -> str:
        """Its end in words."""
        if self.returncode >= 0:
            return f"exited with {self.returncode}"
        try:
            return f"was killed by {signal.Signals(-self.returncode).name}"
        except ValueError:
            return f"was killed by signal {-self.returncode}"


class ChildProcess:
    """One subprocess and the connection to it; it does one job at a time."""

    def __init__(
        self, process: asyncio.subprocess.Process, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._process = process
        self._reader = reader
        self._writer = writer
        self.pid = process.pid
        self.served = 0
        """How many jobs it has answered."""
        self._end = asyncio.create_task(self._watch(), name=f"dispatch subprocess {self.pid}")

    @classmethod
    async def start(cls, hello: Header, *, environment: Mapping[str, str]) -> ChildProcess:
        """Starts one; OSError when the system has no room for it."""
        ours, theirs = socket.socketpair()
        with theirs:
            reader, writer = await asyncio.open_connection(sock=ours, limit=_READ_BUFFER)
            try:
                process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-m", _MODULE, str(theirs.fileno()), str(os.getpid())),
                    stdin=asyncio.subprocess.DEVNULL,
                    pass_fds=(theirs.fileno(),),
                    start_new_session=True,
                    env={**os.environ, **environment},
                )
            except BaseException:
                writer.transport.abort()
                raise
        writer.write(pack(hello))
        return cls(process, reader, writer)

    @property
    def alive(self) -> bool:
        """Whether nothing is known of its end."""
        reader = self._reader
        return self._process.returncode is None and not reader.at_eof() and reader.exception() is None

    async def call(
        self, header: Header, body: bytes, *, progress: Callable[[float, str | None], None]
    ) -> tuple[Header, bytes]:
        """Gives it a job and returns its answer; raises Death when it ends before."""
        started = False
        try:
            self._writer.write(pack(header, body))
            while True:
                answer, data = await read_frame(self._reader)
                if answer["kind"] == "started":
                    started = True
                elif answer["kind"] != "progress":
                    self.served += 1
                    return answer, data
                elif started:  # else it is a late word of the job before
                    progress(answer["fraction"], answer["note"])
        except EOFError:
            self.kill()
            raise Death(self.pid, await self.gone(), started=started) from None

    def retire(self) -> None:
        """Lets an idle one leave its lifespans and end."""
        self._writer.close()

    def kill(self) -> None:
        """Kills it at once, with everything it started in its session."""
        if self._process.returncode is None:
            self._kill_group()

    async def gone(self) -> int:
        """Its return code, once it is dead and reaped; cancelled, it waits on: until then the slot is taken."""
        cancelled: asyncio.CancelledError | None = None
        while not self._end.done():
            try:
                await asyncio.wait([self._end])
            except asyncio.CancelledError as error:
                cancelled = error
        self._writer.transport.abort()
        if cancelled is not None:
            raise cancelled
        return self._end.result()

    async def _watch(self) -> int:
        code = await self._process.wait()
        self._kill_group()
        # What it said last is read before the end of the connection, which a runaway descendant could hold open.
        asyncio.get_running_loop().call_later(_LAST_WORDS, self._writer.transport.abort)
        return code

    def _kill_group(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
