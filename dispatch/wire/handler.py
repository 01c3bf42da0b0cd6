"""Answers request frames, whatever they came over: looks the method up, checks who asks, calls the service."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from dispatch.access import Identity
from dispatch.scope import use_scope
from dispatch.services.audit import acting_as
from dispatch.wire.frames import Frame, FrameType
from dispatch.wire.methods import METHODS, Ask
from dispatch.wire.params import Params
from dispatch.wire.refusals import Refusal, refusal_of, refused

if TYPE_CHECKING:
    from dispatch import Dispatch

P = TypeVar("P", bound=Params)


class WireHandler:
    """Answers frames for one app.

    Args:
        app: an open app. read_only: whether what changes something is refused.
        logger: gets what went wrong inside.
    """

    def __init__(self, app: Dispatch, *, read_only: bool = False, logger: logging.Logger | None = None) -> None:
        self.app = app
        self._read_only = read_only
        self._logger = logger or logging.getLogger("dispatch.wire")

    async def handle(self, frame: Frame, identity: Identity) -> Frame:
        """The response or error that answers a frame of somebody who has proven who they are."""
        if frame.type == FrameType.PING:
            return Frame(type=FrameType.PONG, correl_id=frame.id)
        try:
            return response(frame, await self._result(frame, identity))
        except Exception as error:
            return self.refused(frame, error)

    def refused(self, frame: Frame, error: Exception) -> Frame:
        """The error frame for what went wrong with a frame; what is our own fault is logged."""
        refusal = refusal_of(error)
        if refusal.status >= 500:
            self._logger.warning("%s: %r", frame.method, error, exc_info=error)
        return refused(refusal, frame.id)

    def authorise(self, frame: Frame, identity: Identity, scope: str, *, changes: bool = False) -> None:
        """Raises Refusal (403) unless the identity may do what needs that scope, in the tenant that the frame names."""
        if not identity.may(scope):
            raise Refusal(403, f"this key lacks the scope {scope}")
        if changes and self._read_only:
            raise Refusal(403, "this server only shows")
        if (frame.app_id or frame.org_id) and (frame.app_id, frame.org_id) != tuple(identity.scope):
            raise Refusal(403, "the tenant comes from the key, and this key has another one")

    async def _result(self, frame: Frame, identity: Identity) -> Any:
        if frame.type != FrameType.REQUEST:
            raise Refusal(400, f"send requests and pings, not {frame.type} frames")
        method = METHODS.get(frame.method)
        if method is None:
            raise unknown(frame.method)
        self.authorise(frame, identity, method.scope, changes=method.changes)
        data = taken(frame, method.takes)
        with use_scope(*identity.scope), acting_as(identity.who):
            return await method.act(Ask(self.app, identity), data)


def taken(frame: Frame, kind: type[P]) -> P:
    """The frame's data as the method takes them. Raises Refusal (400)."""
    try:
        return msgspec.convert({} if frame.body is None else frame.body, kind, strict=True)
    except msgspec.ValidationError as error:
        raise Refusal(400, f"{frame.method}: {error}") from None


def response(frame: Frame, result: Any) -> Frame:
    """The frame that answers a request."""
    return Frame(type=FrameType.RESPONSE, correl_id=frame.id, data=result)


def unknown(method: str) -> Refusal:
    """The refusal of a method that there is not, or not over this transport."""
    return Refusal(405, f"there is no method {method[:100]!r} here; there are: {', '.join(METHODS)}")
