"""The app: the only place that puts store, services, plugins and engine together."""

from dispatch.app.dispatcher import Dispatch
from dispatch.app.implicit import open_implicit
from dispatch.app.sync import SyncApp

__all__ = ["Dispatch", "SyncApp", "open_implicit"]
