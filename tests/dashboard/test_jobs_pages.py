"""The pages about jobs, queues and dead letters: they follow what happens, and do what they say."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from dispatch.cluster.model import Announcement
from dispatch.ids import JobID, WorkerID
from dispatch.jobs.model import JobState, NewJob
from dispatch.queues import QueueConfig
from tests.api.world import seed
from tests.dashboard.browsing import Place, Visit, placed, visiting

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    with placed() as found:
        found.seen = dict(found.run(seed(found.app)))
        yield found


def enqueue(place: Place, name: str, queue: str = "default", payload: bytes = b"{}", **more: Any) -> JobID:
    job = NewJob(JobID.new(), name, payload, queue=queue, **more)
    place.run(place.app.store.jobs.enqueue([job]))
    return job.id


def state(place: Place, job_id: str) -> JobState:
    return place.run(place.app.jobs.get(JobID(job_id))).state


def test_somebody_logs_in_with_a_key_and_out_again(chromium: Any, place: Place) -> None:
    key = place.run(place.app.keys.create("grace", scopes=("*",))).token
    context = chromium.new_context()
    try:
        page = context.new_page()
        page.goto(place.url)
        page.get_by_label("API key").fill("dk_wrong")
        page.keyboard.press("Enter")
        page.get_by_text("That is no valid key.").wait_for()
        page.get_by_label("API key").fill(key)
        page.keyboard.press("Enter")
        page.get_by_role("heading", name="Overview").wait_for()
        assert page.get_by_text("grace").count() == 1
        page.get_by_role("button", name="Log out").click()
        page.get_by_label("API key").wait_for()
    finally:
        context.close()


def test_the_overview_counts_what_there_is_and_follows_it(visit: Visit, place: Place) -> None:
    page = visit.go("overview", "Overview")
    assert page.get_by_text("no live worker serves").count() == 1
    assert page.locator(".chart canvas").count() == 2
    before = int(page.locator(".tiles a", has_text="pending").locator("b").inner_text())
    page.get_by_text("live", exact=True).wait_for()
    enqueue(place, "later")
    page.locator(".tiles a", has_text="pending").locator("b", has_text=str(before + 1)).wait_for(timeout=8000)


def test_jobs_are_filtered_and_changed_many_at_once(visit: Visit, place: Place) -> None:
    ids = [enqueue(place, "bulk", "loads", tags=("blue",)) for _ in range(3)]
    page = visit.go("jobs?name=bulk", "Jobs")
    assert page.locator("tbody tr").count() == 3
    page.get_by_label("Tag").fill("red")
    page.keyboard.press("Enter")
    page.get_by_text("No job looks like that.").wait_for()
    visit.go("jobs?name=bulk&tag=blue", "Jobs")
    page.get_by_label("Select all").check()
    page.get_by_role("button", name="Cancel").click()
    visit.confirm(reason="not today")
    visit.told("3 cancelled")
    assert {state(place, id_) for id_ in ids} == {JobState.CANCELLED}
    (record, *_) = place.run(place.app.audit.list(limit=1))
    assert (record.verb, record.reason, record.who.partition(" ")[0]) == ("job.cancel", "not today", "ada")
    page.get_by_label(f"Select {ids[0]}").check()
    page.get_by_role("button", name="Retry").click()
    visit.told("1 retried")
    assert state(place, ids[0]) is JobState.PENDING
    page.get_by_label(f"Select {ids[1]}").check()
    page.get_by_role("button", name="Delete").click()
    visit.confirm()
    visit.told("1 deleted")
    page.locator("tbody tr").nth(2).wait_for(state="detached")


def test_a_job_shows_its_life_and_can_be_cancelled_retried_and_deleted(visit: Visit, place: Place) -> None:
    job_id = enqueue(place, "story", payload=b'{"to": "ada", "password": "hidden"}', metadata={"ticket": 7})
    page = visit.go(f"job/{job_id}", "story")
    assert '"to": "ada"' in page.get_by_label("Arguments").inner_text()
    assert "hidden" not in page.get_by_label("Arguments").inner_text()
    assert '"ticket": 7' in page.get_by_label("Metadata").inner_text()
    assert page.get_by_role("heading", name="Explanation").count() == 1
    page.get_by_role("button", name="Cancel").click()
    visit.confirm(reason="wrong address")
    page.locator(".head .state.cancelled").wait_for()
    page.get_by_role("button", name="Retry").click()
    page.locator(".head .state.pending").wait_for()
    page.get_by_role("button", name="Delete").click()
    visit.confirm()
    page.get_by_role("heading", name="Jobs", exact=True).wait_for()
    assert place.run(place.app.store.jobs.get(job_id)) is None


def test_a_job_shows_how_its_attempts_failed(visit: Visit, place: Place) -> None:
    entry = place.run(place.app.dlq.list()).items[0]
    page = visit.go(f"job/{entry.job_id}", "doomed")
    assert page.get_by_text("ValueError").count() >= 2
    assert page.get_by_role("heading", name="Failed attempts").count() == 1


def test_a_page_follows_the_job_it_shows(visit: Visit, place: Place) -> None:
    job_id = enqueue(place, "followed", "watched")
    page = visit.go(f"job/{job_id}", "followed")
    page.get_by_text("live", exact=True).wait_for()
    worker = WorkerID(place.seen["worker_id"])
    place.run(place.app.store.jobs.claim(worker, queues={"watched": 1}, names=["followed"], limit=1, lease=60))
    page.locator(".head .state.running").wait_for(timeout=8000)


def test_a_queue_is_paused_resumed_limited_and_purged(visit: Visit, place: Place) -> None:
    for _ in range(2):
        enqueue(place, "parcel", "parcels")
    page = visit.go("queues", "Queues")
    page.get_by_role("button", name="Pause parcels").click()
    visit.confirm(duration="600", reason="stocktaking")
    page.get_by_text("stocktaking").wait_for()
    pause = place.run(place.app.queues.get("parcels")).pause
    assert pause is not None
    assert pause.until is not None
    page.get_by_role("button", name="Resume parcels").click()
    page.get_by_role("button", name="Pause parcels").wait_for()
    assert place.run(place.app.queues.get("parcels")).pause is None
    page.get_by_role("button", name="Limits of parcels").click()
    visit.confirm(max_concurrency="3", rate_limit="2.5")
    page.get_by_text("jobs at once: 3, jobs a second: 2.5").wait_for()
    assert place.run(place.app.queues.get("parcels")).config == QueueConfig(
        "parcels", max_concurrency=3, rate_limit=2.5
    )
    page.get_by_role("button", name="Purge parcels").click()
    visit.confirm()
    visit.told("2 jobs deleted")
    assert place.run(place.app.queues.get("parcels")).pending == 0


def test_dead_letters_are_replayed_discarded_and_purged(chromium: Any) -> None:
    with placed() as place:
        for _ in range(2):
            place.run(seed(place.app))
        with visiting(chromium, place) as visit:
            page = visit.go("dead", "Dead letters")
            entries = place.run(place.app.dlq.list()).items
            assert len(entries) == 4
            visit.go(f"letter/{entries[0].id}", "doomed")
            page.get_by_role("button", name="Discard").click()
            visit.confirm()
            page.locator(".head .state.discarded").wait_for()
            visit.go(f"letter/{entries[1].id}", "doomed")
            page.get_by_role("button", name="Replay").click()
            visit.confirm()
            page.locator(".head .state.replayed").wait_for()
            visit.go("dead", "Dead letters")
            page.get_by_label(f"Select {entries[2].id}").check()
            page.get_by_role("button", name="Discard 1").click()
            visit.confirm()
            visit.told("1 discarded")
            page.get_by_role("button", name="Replay all doomed ValueError").click()
            visit.confirm(reason="fixed")
            visit.told("1 replayed")
            page.get_by_text("No dead letter waits for a decision.").wait_for()
            page.get_by_role("button", name="Purge").click()
            visit.confirm(older_than="0")
            visit.told("4 dead letters deleted")


def test_a_dead_letter_is_replayed_with_other_arguments(chromium: Any) -> None:
    with placed() as place:
        place.run(seed(place.app))
        (first, *_) = place.run(place.app.dlq.list()).items
        with visiting(chromium, place) as visit:
            page = visit.go(f"letter/{first.id}", "doomed")
            page.get_by_role("button", name="With other arguments").click()
            visit.confirm(payload='{"edited": [1, 2]}', reason="by phone")
            page.locator(".head .state.replayed").wait_for()
        entry = place.run(place.app.dlq.get(first.id))
        assert entry.payload == first.payload
        assert place.run(place.app.jobs.get(entry.replayed_as)).payload == b'{"edited":[1,2]}'


def test_who_may_only_look_finds_no_buttons(chromium: Any, place: Place) -> None:
    with visiting(chromium, place, place.login("job:read", "stats:read", "dlq:read")) as visit:
        page = visit.page
        visit.go("queues", "Queues")
        assert page.get_by_role("button", name="Pause").count() == 0
        visit.go(f"job/{place.seen['job_id']}", "add")
        assert page.get_by_role("button", name="Cancel").count() == 0
        visit.go("dead", "Dead letters")
        assert page.get_by_role("button", name="Purge").count() == 0
        assert page.get_by_text("every few seconds").count() == 1, "without the scope it asks now and then"


def test_announced_names_are_offered_by_the_filter(visit: Visit, place: Place) -> None:
    place.run(place.app.store.cluster.announce([Announcement("known", "job", queue="default", schema={}, version=1)]))
    page = visit.go("jobs", "Jobs")
    assert page.locator("datalist option[value=known]").count() == 1
