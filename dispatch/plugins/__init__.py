"""Plugins of one app: registering and finding them, and calling their hooks without letting one of them do harm."""

from dispatch.plugins.manager import PluginManager

__all__ = ["PluginManager"]
