"""The rarer buttons: a run goes on or moves, many runs end, an endpoint gets a new secret, a whole fleet drains."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from dispatch.cluster.model import Announcement
from dispatch.registry import Registry
from tests.dashboard.browsing import Place, Visit, placed, visiting
from tests.dashboard.stage import staged

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    with staged() as found:
        yield found


def test_a_failed_run_goes_on_from_its_page(visit: Visit, place: Place) -> None:
    run_id = place.seen["failed"]
    page = visit.go(f"run/{run_id}", "checkout")
    page.get_by_role("button", name="Retry").click()
    visit.confirm(reason="the shelf is full again")
    visit.told("It is")
    (record, *_) = place.run(place.app.audit.list(limit=1))
    assert (record.verb, record.reason) == ("workflow.retry", "the shelf is full again")
    assert place.run(place.app.workflows.wait(run_id, timeout=20)).state == "failed", "it is out of stock still"


def test_a_run_is_moved_to_another_version_and_cancelled_among_others(visit: Visit, place: Place) -> None:
    run_id = place.seen["waiting"]
    newer = Announcement("checkout", "workflow", queue="default", schema={}, version=2)
    place.run(place.app.store.cluster.announce([newer]))
    page = visit.go(f"run/{run_id}", "checkout")
    page.get_by_role("button", name="Migrate").click()
    visit.confirm(version="2", reason="the new road")
    visit.told("It is")
    assert place.run(place.app.workflows.get(run_id)).version == 2
    visit.go("runs", "Workflows")
    page.get_by_label(f"Select {run_id}").check()
    page.get_by_role("button", name="Cancel 1").click()
    visit.confirm(reason="closed")
    visit.told("1 cancelled")
    (record, *_) = place.run(place.app.audit.list(limit=1))
    assert (record.verb, record.reason) == ("workflow.cancel", "closed")


def test_an_endpoint_gets_a_new_secret_and_a_delivery_is_sent_again(chromium: Any) -> None:
    from dispatch_relay import RelayExtension

    from tests.plugins.relay_world import Postbox

    postbox, registry = Postbox(), Registry()

    @registry.job
    async def restock() -> None: ...

    with placed(plugins=[RelayExtension(sender=postbox)], registry=registry) as place:
        place.run(place.app.start())
        with visiting(chromium, place) as visit:
            page = visit.go("webhooks", "Webhooks")
            page.get_by_role("button", name="New endpoint").click()
            visit.confirm(name="crm", url="https://a.example/hook", events="job.completed")
            first = page.locator(".alert code").inner_text()
            page.get_by_role("button", name="Rotate crm").click()
            visit.confirm()
            visit.told("It has a new secret")
            page.locator(".alert code").filter(has_not_text=first).wait_for()
            place.run(place.app.enqueue(restock))
            place.run(postbox.reached(1, timeout=30))
            page.get_by_label("Deliveries").locator("tbody .state.completed").first.wait_for(timeout=20_000)
            page.get_by_role("button", name="again").first.click()
            visit.told("It is sent again")
            place.run(postbox.reached(2, timeout=30))
        assert postbox.sent[0].id == postbox.sent[1].id


def test_every_worker_drains(visit: Visit, place: Place) -> None:
    """The last one here: what is drained works no more."""
    page = visit.go("workers", "Workers")
    page.get_by_role("button", name="Drain all").click()
    visit.confirm(reason="the machine goes")
    visit.told("1 asked to drain")
    assert place.run(place.app.workers.get(place.seen["worker"])).drain_requested
