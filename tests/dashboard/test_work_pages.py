"""The pages about workflows, cron, workers, events, keys and the rest: they show what is there and do what they say."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from dispatch.config import Config
from tests.dashboard.browsing import Place, Visit, placed, visiting
from tests.dashboard.stage import staged

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    with staged(config=Config(server={"environment": "production"})) as found:
        yield found


def test_a_run_shows_its_steps_over_time_and_goes_on_with_a_signal(visit: Visit, place: Place) -> None:
    run_id = place.seen["waiting"]
    page = visit.go(f"run/{run_id}", "checkout")
    steps = page.locator(".gantt tbody tr strong").all_inner_texts()
    assert steps[:2] == ["reserve", "charge"]
    assert page.locator(".gantt svg rect").count() >= 6
    page.locator(".gantt tr", has_text="charge").locator("summary").click()
    assert '"amount": 4200' in page.locator(".gantt tr", has_text="charge").inner_text()
    page.get_by_role("button", name="Signal").click()
    visit.confirm(name="payment.cleared", payload='{"order": 7}')
    page.locator(".head .state.completed").wait_for(timeout=10_000)
    assert "parcel 7" in page.get_by_label("Result").inner_text()


def test_a_run_is_forked_and_compared_and_cancelled(visit: Visit, place: Place) -> None:
    page = visit.go(f"run/{place.seen['done']}", "checkout")
    page.get_by_role("button", name="Fork").click()
    dialog = page.get_by_role("dialog")
    dialog.locator("select[name=before]").select_option("charge")
    visit.confirm(edits='{"reserve.shelf": 9}')
    visit.told("Forked")
    page.get_by_role("heading", name="Compared with what it was forked from").wait_for()
    page.get_by_label("Differences").get_by_text('"shelf": 9').wait_for()
    page.locator(".head .state.waiting").wait_for(timeout=15_000)
    page.get_by_role("button", name="Cancel").click()
    visit.confirm(reason="enough")
    page.locator(".head .state.cancelled").wait_for(timeout=10_000)


def test_runs_are_filtered_and_a_failed_one_is_retried(visit: Visit, place: Place) -> None:
    page = visit.go("runs?state=failed", "Workflows")
    assert page.locator("tbody tr").count() == 1
    assert "out of stock" in page.locator("tbody").inner_text()
    page.get_by_label(f"Select {place.seen['failed']}").check()
    page.get_by_role("button", name="Retry 1").click()
    visit.confirm()
    visit.told("1 go on")
    page.locator("main").get_by_label("failed").uncheck()
    page.locator("tbody tr").nth(2).wait_for()


def test_definitions_say_how_names_fare_and_are_called_by_hand(visit: Visit, place: Place) -> None:
    page = visit.go("definitions", "Definitions")
    row = page.locator("tbody tr", has_text="settle")
    assert "100 %" in row.inner_text()
    assert "ConnectionError" in row.inner_text()
    page.get_by_role("button", name="Enqueue send_receipt").click()
    page.get_by_role("dialog").locator("textarea").fill("{nonsense")
    page.get_by_role("dialog").locator("button[type=submit]").click()
    page.get_by_text("that is no JSON").wait_for()
    visit.confirm(payload='{"to": "grace", "order": 99}')
    page.locator(".head .state.completed").wait_for(timeout=10_000)
    assert "grace: order 99" in page.get_by_label("Result").inner_text()


def test_errors_are_grouped(visit: Visit) -> None:
    page = visit.go("errors", "Errors")
    assert "TimeoutError" in page.get_by_label("Errors of retrying jobs").inner_text()
    assert "ConnectionError" in page.get_by_label("Errors of dead letters").inner_text()


def test_a_cron_entry_is_triggered_disabled_enabled_edited_and_deleted(visit: Visit, place: Place) -> None:
    page = visit.go("crons", "Cron")
    page.get_by_role("button", name="New entry").click()
    page.get_by_role("dialog").locator("select[name=target]").select_option("daily_report")
    visit.confirm(name="hourly", schedule="0 * * * *")
    page.get_by_role("link", name="hourly").click()
    page.get_by_role("heading", name="hourly").wait_for()
    page.get_by_role("button", name="Trigger").click()
    visit.confirm()
    page.get_by_label("History").locator("tbody tr").first.wait_for(timeout=10_000)
    page.get_by_role("button", name="Disable").click()
    visit.confirm(reason="holidays")
    page.get_by_text("holidays").wait_for()
    page.get_by_role("button", name="Enable").click()
    page.locator(".head .state.enabled").wait_for()
    page.get_by_role("button", name="Edit").click()
    visit.confirm(schedule="30 * * * *")
    page.get_by_text("30 * * * *").wait_for()
    page.get_by_role("button", name="Delete").click()
    visit.confirm()
    visit.told("hourly is deleted")
    assert [entry.name for entry in place.run(place.app.crons.list()).items] == ["nightly-report"]


def test_an_event_is_published_and_found(visit: Visit, place: Place) -> None:
    page = visit.go("events", "Events")
    page.get_by_role("button", name="Publish").click()
    visit.confirm(name="stock.low", key="shelf-7", payload='{"left": 2}')
    visit.told("stock.low is published")
    page.get_by_label("Key").fill("shelf-7")
    page.keyboard.press("Enter")
    page.locator("tbody tr").nth(1).wait_for(state="detached")
    page.locator("tbody summary").click()
    assert '"left": 2' in page.locator("tbody").inner_text()


def test_an_api_key_is_made_shown_once_and_revoked_and_all_of_that_is_in_the_audit(visit: Visit, place: Place) -> None:
    page = visit.go("settings", "Settings")
    page.get_by_role("button", name="New key").click()
    visit.confirm(name="robot", scopes="job:read job:write", reason="for the robot")
    token = page.locator(".alert code").inner_text()
    assert place.run(place.app.keys.authenticate(token)) is not None
    page.get_by_role("button", name="Revoke robot").click()
    visit.confirm()
    visit.told("Revoked")
    assert place.run(place.app.keys.authenticate(token)) is None
    visit.go("audit", "Audit")
    page.get_by_label("Search among").fill("robot")
    page.get_by_role("cell", name="for the robot").wait_for()
    assert "apikey" in page.locator("tbody").inner_text()


def test_the_header_names_the_environment(visit: Visit) -> None:
    badge = visit.page.locator(".environment")
    assert badge.inner_text() == "production"
    assert badge.evaluate("one => getComputedStyle(one).backgroundColor") == "rgb(143, 20, 20)", "production is red"


def test_the_theme_is_a_choice(visit: Visit) -> None:
    page = visit.go("settings", "Settings")
    back = "getComputedStyle(document.body).backgroundColor"
    page.get_by_label("Theme").select_option("dark")
    assert page.evaluate(back) == "rgb(18, 21, 27)"
    page.reload()
    page.get_by_role("heading", name="Settings").wait_for()
    assert page.evaluate(back) == "rgb(18, 21, 27)"
    page.get_by_label("Theme").select_option("light")
    assert page.evaluate(back) == "rgb(246, 247, 249)"


def test_a_read_only_server_shows_everything_and_offers_nothing(chromium: Any) -> None:
    with (
        placed(config=Config(server={"read_only": True})) as place,
        visiting(chromium, place) as visit,
    ):
        page = visit.page
        page.get_by_text("read only").wait_for()
        for address in ("jobs", "dead", "crons", "events", "workers", "settings"):
            visit.go(address)
            assert page.locator("main .head button").count() == 0


def test_webhooks_are_there_with_the_plugin_only(chromium: Any, place: Place) -> None:
    from dispatch_relay import RelayExtension

    from tests.plugins.relay_world import Postbox

    with visiting(chromium, place) as visit:
        assert visit.page.get_by_role("link", name="Webhooks").count() == 0
    with placed(plugins=[RelayExtension(sender=Postbox())]) as other, visiting(chromium, other) as visit:
        page = visit.page
        page.get_by_role("link", name="Webhooks").click()
        page.get_by_role("button", name="New endpoint").click()
        visit.confirm(name="crm", url="https://a.example/hook", events="job.failed")
        page.get_by_text("whsec_").wait_for()
        page.get_by_role("button", name="Test crm").click()
        page.locator(".notes p").nth(1).wait_for()
        page.get_by_role("button", name="Disable crm").click()
        visit.confirm()
        page.get_by_role("button", name="Enable crm").click()
        page.get_by_role("button", name="Disable crm").wait_for()
        page.get_by_role("button", name="Remove crm").click()
        visit.confirm()
        page.get_by_text("There is no endpoint.").wait_for()


def test_the_leader_resigns_and_a_worker_is_drained(visit: Visit, place: Place) -> None:
    """The last one here: what is drained works no more."""
    page = visit.go("workers", "Workers")
    assert page.locator(".state.leader").count() == 1
    page.get_by_role("button", name="Resign leader").click()
    visit.confirm()
    visit.told("The term has ended")
    visit.go(f"worker/{place.seen['worker']}", "process")
    assert "send_receipt" in page.locator("main").inner_text()
    page.get_by_role("button", name="Drain").click()
    visit.confirm(reason="deploy")
    visit.told("It drains")
    assert place.run(place.app.workers.get(place.seen["worker"])).drain_requested
