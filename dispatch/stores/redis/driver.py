"""A connection of redis-py, for where hiredis is not installed."""

from __future__ import annotations

import asyncio
import select
from collections.abc import Callable, Sequence
from typing import Any

from redis import exceptions
from redis.asyncio.connection import Connection, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from dispatch.errors import DataRejected
from dispatch.stores.redis.address import Address
from dispatch.stores.redis.wire import Call, Refusal, Reply

_KINDS = {"tcp": Connection, "tls": SSLConnection, "unix": UnixDomainSocketConnection}
_CODES = {
    exceptions.NoScriptError: "NOSCRIPT",
    exceptions.BusyLoadingError: "LOADING",
    exceptions.ReadOnlyError: "READONLY",
    exceptions.OutOfMemoryError: "OOM",
    exceptions.NoPermissionError: "NOPERM",
}
"""What redis-py takes off the text of an error."""


class DriverLink:
    """A Wire."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._listening: asyncio.Task[None] | None = None
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def exchange(self, commands: Sequence[Call], limit: float) -> list[Reply]:
        connection = self._connection
        try:
            data = connection.pack_commands(commands)
        except (exceptions.DataError, UnicodeError, OverflowError) as error:
            told = f"a value cannot be stored ({type(error).__name__}: {error}); nothing was written"
            raise DataRejected(told) from error
        try:
            async with asyncio.timeout(limit):
                await connection.send_packed_command(data, check_health=False)
                return [_told(await self._read()) for _ in commands]
        except exceptions.ConnectionError as error:
            raise ConnectionResetError(str(error)) from error

    async def _read(self) -> Reply:
        try:
            return await self._connection.read_response(disable_decoding=True)
        except exceptions.ResponseError as error:
            return error

    def subscribe(self, channel: bytes, heard: Callable[[Reply], None]) -> None:
        self._listening = asyncio.create_task(self._listen(channel, heard), name="dispatch-redis-listen")

    async def _listen(self, channel: bytes, heard: Callable[[Reply], None]) -> None:
        try:
            await self._connection.send_command("SUBSCRIBE", channel, check_health=False)
            while True:
                heard(await self._connection.read_response(disable_decoding=True, push_request=True))
        except (exceptions.RedisError, OSError):
            self.end()

    def fresh(self) -> bool:
        if self.closed.done() or not self._connection.is_connected:
            return False
        quiet = select.poll()
        quiet.register(self._connection._writer.get_extra_info("socket").fileno(), select.POLLIN)
        return not quiet.poll(0)

    def end(self) -> None:
        if self.closed.done():
            return
        self.closed.set_result(None)
        if self._listening is not None and self._listening is not asyncio.current_task():
            self._listening.cancel()
        writer = self._connection._writer
        if writer is not None:
            writer.transport.abort()
        self._connection._writer = self._connection._reader = None


def _told(reply: Reply) -> Reply:
    """Errors as refusals, also those inside a transaction's answer."""
    if isinstance(reply, list):
        return [_told(part) if isinstance(part, Exception) else part for part in reply]
    if not isinstance(reply, exceptions.ResponseError):
        return reply
    code = next((code for kind, code in _CODES.items() if isinstance(reply, kind)), "")
    return Refusal(f"{code} {reply}" if code else str(reply))


async def connect(address: Address, protocol: int) -> DriverLink:
    """A connection that is ready for use; an OSError or a Refusal where it cannot be."""
    options: dict[str, Any] = {
        **address.options,
        "protocol": protocol,
        "retry": Retry(NoBackoff(), 0),
        "socket_timeout": None,
    }
    if address.kind != "unix":
        options["socket_keepalive"] = True
    connection = _KINDS[address.kind](**options)
    try:
        await connection.connect()
    except exceptions.ResponseError as error:
        raise _told(error) from error
    except exceptions.AuthenticationError as error:
        raise Refusal(f"WRONGPASS {error}") from error
    except exceptions.ConnectionError as error:
        raise ConnectionRefusedError(str(error)) from error
    return DriverLink(connection)
