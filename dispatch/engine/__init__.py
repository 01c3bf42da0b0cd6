"""The engine: the loops that run jobs."""

from dispatch.engine.engine import Engine
from dispatch.engine.settings import Settings

__all__ = ["Engine", "Settings"]
