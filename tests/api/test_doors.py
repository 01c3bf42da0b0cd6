"""One verb, many doors: every command has a route with a scope, and every route a command, but for those named here."""

from __future__ import annotations

from pathlib import Path

from dispatch.access import SCOPES
from dispatch.api.guard import ANYBODY, HOLDER
from dispatch.api.table import ROUTES
from tests.cli.test_examples import commands

_RUNS = "/v1/workflows/runs"
DOORS: dict[str, tuple[str, ...]] = {
    "job enqueue": ("POST /v1/jobs",),
    "job list": ("GET /v1/jobs",),
    "job count": ("GET /v1/jobs/counts",),
    "job stats": ("GET /v1/jobs/stats",),
    "job show": ("GET /v1/jobs/{job_id}",),
    "job explain": ("GET /v1/jobs/{job_id}/explain",),
    "job result": ("GET /v1/jobs/{job_id}/result",),
    "job watch": ("GET /v1/stream",),
    "job cancel": ("POST /v1/jobs/{job_id}/cancel", "POST /v1/jobs/cancel"),
    "job retry": ("POST /v1/jobs/{job_id}/retry", "POST /v1/jobs/retry"),
    "job delete": ("DELETE /v1/jobs/{job_id}", "POST /v1/jobs/delete"),
    "workflow start": (f"POST {_RUNS}",),
    "workflow list": (f"GET {_RUNS}",),
    "workflow show": (f"GET {_RUNS}/{{run_id}}",),
    "workflow timeline": (f"GET {_RUNS}/{{run_id}}/timeline",),
    "workflow diff": (f"GET {_RUNS}/{{run_id}}/diff",),
    "workflow result": (f"GET {_RUNS}/{{run_id}}/result",),
    "workflow signal": (f"POST {_RUNS}/{{run_id}}/signal",),
    "workflow cancel": (f"POST {_RUNS}/{{run_id}}/cancel", f"POST {_RUNS}/cancel"),
    "workflow retry": (f"POST {_RUNS}/{{run_id}}/retry", f"POST {_RUNS}/retry"),
    "workflow migrate": (f"POST {_RUNS}/{{run_id}}/migrate",),
    "workflow fork": (f"POST {_RUNS}/{{run_id}}/fork",),
    "event publish": ("POST /v1/events",),
    "event list": ("GET /v1/events",),
    "event show": ("GET /v1/events/{event_id}",),
    "event tail": ("GET /v1/events",),
    "cron list": ("GET /v1/crons",),
    "cron show": ("GET /v1/crons/{cron}",),
    "cron next": ("GET /v1/crons/{cron}/next",),
    "cron history": ("GET /v1/crons/{cron}/history",),
    "cron create": ("POST /v1/crons",),
    "cron edit": ("PATCH /v1/crons/{cron}",),
    "cron enable": ("POST /v1/crons/{cron}/enable",),
    "cron disable": ("POST /v1/crons/{cron}/disable",),
    "cron trigger": ("POST /v1/crons/{cron}/trigger",),
    "cron delete": ("DELETE /v1/crons/{cron}",),
    "cron prune": ("POST /v1/crons/prune",),
    "dlq list": ("GET /v1/dlq", "GET /v1/dlq/groups"),
    "dlq count": ("GET /v1/dlq/count",),
    "dlq show": ("GET /v1/dlq/{entry_id}",),
    "dlq replay": ("POST /v1/dlq/{entry_id}/replay", "POST /v1/dlq/replay"),
    "dlq discard": ("POST /v1/dlq/{entry_id}/discard", "POST /v1/dlq/discard"),
    "dlq purge": ("POST /v1/dlq/purge",),
    "queue list": ("GET /v1/queues",),
    "queue show": ("GET /v1/queues/{queue}",),
    "queue pause": ("POST /v1/queues/{queue}/pause",),
    "queue resume": ("POST /v1/queues/{queue}/resume",),
    "queue limit": ("PATCH /v1/queues/{queue}/limits",),
    "queue purge": ("POST /v1/queues/{queue}/purge",),
    "worker list": ("GET /v1/workers",),
    "worker show": ("GET /v1/workers/{worker_id}",),
    "worker drain": ("POST /v1/workers/{worker_id}/drain", "POST /v1/workers/drain"),
    "leader show": ("GET /v1/leader",),
    "leader resign": ("POST /v1/leader/resign",),
    "apikey create": ("POST /v1/apikeys",),
    "apikey list": ("GET /v1/apikeys",),
    "apikey revoke": ("DELETE /v1/apikeys/{key_id}",),
    "audit list": ("GET /v1/audit",),
    "plugin list": ("GET /v1/plugins",),
    "status": ("GET /v1/status",),
    "top": ("GET /v1/stats", "GET /v1/status"),
    "health": ("GET /healthz", "GET /readyz"),
    "version": ("GET /v1/version",),
}
HERE_ONLY = {
    *("run", "dev", "serve", "demo", "bench", "doctor", "completion", "openapi", "config show", "config init"),
    *("store init", "store migrate", "store status", "store verify", "store copy", "store prune"),
    *("check", "inspect", "cron plan", "job call"),  # these load the user's module
}
FOR_MACHINES = {
    "GET /v1/stats/series",
    *("GET /scale", "GET /metrics", "GET /v1/definitions", "GET /v1/workflows", f"GET {_RUNS}/counts"),
    *("POST /v1/tickets", "GET /v1/session", "POST /v1/session", "DELETE /v1/session", "GET /login"),
}
"""What only programs and browsers ask for."""


def test_every_command_has_a_route_and_every_route_a_command() -> None:
    everything = {words for words, command in commands() if words and not hasattr(command, "commands")}
    assert everything - HERE_ONLY == {*DOORS}
    table = {f"{route.method} {route.path}" for route in ROUTES}
    reached = {route for routes in DOORS.values() for route in routes}
    assert reached | FOR_MACHINES == table
    assert not reached & FOR_MACHINES - {f"GET {_RUNS}/counts"}


def test_every_route_has_a_scope_and_whatever_writes_has_one_that_writes() -> None:
    for route in ROUTES:
        assert route.scope in (*SCOPES, HOLDER, ANYBODY)
        if route.rule.changes:
            assert route.scope.endswith(":write") or route.scope == "admin", route.path


def test_the_page_about_http_lists_every_route_with_its_scope() -> None:
    page = (Path(__file__).parents[2] / "docs" / "http.md").read_text()
    for route in ROUTES:
        scope = {ANYBODY: "—", HOLDER: "any key"}.get(route.scope, f"`{route.scope}`")
        line = f"| `{route.method} {route.path}` | {scope}{' †' if route.shared else ''} | "
        assert line in page, line
