"""The dashboard: pages for people over the same API, with everything they need shipped along."""

from __future__ import annotations

from dispatch.api.dashboard.site import Dashboard

__all__ = ["Dashboard"]
