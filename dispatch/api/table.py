"""The one table of routes: each with the scope that a key needs for it."""

from __future__ import annotations

from dispatch.api import admin, crons, dlq, events, jobs, overview, queues, sessions, stream, workers, workflows
from dispatch.api.routing import Route

ROUTES: tuple[Route, ...] = (
    *jobs.ROUTES,
    *workflows.ROUTES,
    *events.ROUTES,
    *crons.ROUTES,
    *dlq.ROUTES,
    *queues.ROUTES,
    *workers.ROUTES,
    *overview.ROUTES,
    *admin.ROUTES,
    *sessions.ROUTES,
    *stream.ROUTES,
)
"""Whoever is not in it is not served; routes of plugins bring their own scopes."""
