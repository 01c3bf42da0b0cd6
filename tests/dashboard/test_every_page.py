"""Every page: nothing goes wrong on it, it is accessible, it fits a phone, and no stored text ever runs."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dispatch.crons.model import CronSpec
from dispatch.events.model import Event
from dispatch.ids import CronID, JobID, WorkerID
from dispatch.jobs.model import Failure, NewJob, Transition, Verdict
from tests.dashboard.browsing import Place, Visit, visiting
from tests.dashboard.stage import staged

pytestmark = pytest.mark.slow
AXE = gzip.decompress((Path(__file__).parent / "axe.min.js.gz").read_bytes()).decode()
PAGES = (
    *("overview", "jobs", "job/{settled}", "job/{refund}", "definitions", "errors", "dead", "letter/{letter}"),
    *(
        "runs",
        "run/{waiting}",
        "run/{failed}",
        "events",
        "crons",
        "cron/{cron}",
        "queues",
        "workers",
        "worker/{worker}",
    ),
    *("audit", "settings"),
)
HOSTILE = (
    "<script>window.owned = 1</script>",
    "<img src=x onerror='window.owned = 1'>",
    "<svg/onload=window.owned=1>",
    "\"><iframe srcdoc='<script>parent.owned=1</script>'>",
    "javascript:window.owned=1",
    "</pre></textarea></title><script>window.owned=1</script>",
    "${window.owned=1}{{constructor.constructor('window.owned=1')()}}",
    "<a href='javascript:window.owned=1'>x</a><style>*{background:url(//evil.example)}</style>",
    "\u202e<math><mi xlink:href='data:x,<script>window.owned=1</script>'>",
)


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    with staged() as found:
        yield found


def problems(page: Any) -> list[str]:
    """What axe-core calls serious or worse."""
    if page.evaluate("typeof axe") == "undefined":
        page.evaluate(AXE)
    found = page.evaluate("async () => (await axe.run(document, {resultTypes: ['violations']})).violations")
    return [
        f"{one['id']}: {node['html'][:160]}"
        for one in found
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_page_opens_and_is_accessible(chromium: Any, place: Place, theme: str) -> None:
    with visiting(chromium, place, color_scheme=theme, bypass_csp=True) as visit:
        for address in PAGES:
            page = visit.go(address.format(**place.seen))
            page.locator("h1#title").wait_for()
            assert problems(page) == [], address


def test_every_page_fits_a_phone(chromium: Any, place: Place) -> None:
    with visiting(chromium, place) as visit:
        page = visit.page
        page.set_viewport_size({"width": 375, "height": 720})
        for address in PAGES:
            visit.go(address.format(**place.seen))
            page.locator("h1#title").wait_for()
            wide = page.evaluate("document.documentElement.scrollWidth")
            assert wide <= 375, f"{address} is {wide} px wide"
        page.get_by_role("button", name="Menu").click()
        page.get_by_role("link", name="Queues", exact=True).click()
        page.get_by_role("heading", name="Queues").wait_for()
        assert page.get_by_role("link", name="Workers", exact=True).count() == 0, "the menu folds again"


def test_the_login_page_is_accessible_and_fits_a_phone(chromium: Any, place: Place) -> None:
    context = chromium.new_context(viewport={"width": 375, "height": 720}, bypass_csp=True)
    try:
        page = context.new_page()
        page.goto(place.url)
        assert problems(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= 375
        page.goto(f"{place.url}/login?ticket=used-before")
        page.get_by_text("`dispatch serve` prints another one").wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= 375
    finally:
        context.close()


def test_a_job_is_found_and_cancelled_by_keyboard_alone(visit: Visit, place: Place) -> None:
    job = NewJob(JobID.new(), "by_hand", b"{}", queue="nobody")
    place.run(place.app.store.jobs.enqueue([job]))
    page = visit.go("overview", "Overview")

    def press(key: str, until: str) -> None:
        """Presses the key until what has the focus is called so."""
        name = "document.activeElement.ariaLabel || document.activeElement.innerText || document.activeElement.name"
        for _ in range(60):
            page.keyboard.press(key)
            if str(page.evaluate(name)).startswith(until):
                return
        raise AssertionError(f"{key} never leads to {until}")

    press("Tab", "Skip to the page")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "title"
    press("Shift+Tab", "Jobs")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Jobs", exact=True).wait_for()
    page.get_by_label("Name, or a job's id").wait_for()
    press("Tab", "name")
    page.keyboard.type("by_hand")
    page.keyboard.press("Enter")
    page.locator("tbody tr").nth(1).wait_for(state="detached")
    press("Tab", "by_hand")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="by_hand").wait_for()
    page.get_by_role("button", name="Cancel").wait_for()
    press("Tab", "Cancel")
    page.keyboard.press("Enter")
    page.get_by_role("dialog").wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="detached")
    assert page.locator(".head .state.pending").count() == 1, "Escape means no"
    assert page.evaluate("document.activeElement.innerText") == "Cancel", "the focus is where it was"
    page.keyboard.press("Enter")
    page.get_by_role("dialog").wait_for()
    page.keyboard.type("not needed")
    page.keyboard.press("Enter")
    page.locator(".head .state.cancelled").wait_for()
    assert place.run(place.app.jobs.get(job.id)).reason == "not needed"


async def hostile(place: Place) -> dict[str, str]:
    """Stored text that would like to run, wherever a store takes free text."""
    store, text = place.app.store, " ".join(HOSTILE)
    worker, job_id = WorkerID.new(), JobID.new()
    payload = json.dumps({bad: [bad] for bad in HOSTILE}).encode()
    await store.jobs.enqueue(
        [NewJob(job_id, "hostile", payload, queue="bad", tags=HOSTILE[:3], metadata={bad: bad for bad in HOSTILE})]
    )
    (claimed,) = (await store.jobs.claim(worker, queues={"bad": 1}, names=["hostile"], limit=1, lease=60)).jobs
    failure = Failure(HOSTILE[1], text, text)
    fail = Transition(job_id, claimed.epoch, Verdict.FAIL, failure=failure, reason=text, dead_letter=True)
    (ended,) = await store.jobs.finish(worker, [fail])
    assert ended.dead_letter is not None
    await store.events.publish(Event("hostile", payload, key=HOSTILE[1]))
    spec = CronSpec(name="hostile", schedule="@daily", target="daily_report", payload=payload)
    entry = await store.crons.create(spec, entry_id=CronID.new(), next_fire_at=None)
    assert entry is not None
    await place.app.crons.disable("hostile", reason=text[:500], by=HOSTILE[0])
    await place.app.queues.pause("bad", by=HOSTILE[1], reason=text)
    (checkout,) = (one for one in (await place.app.workflows.list()).items if one.id == place.seen["waiting"])
    await place.app.workflows.cancel(checkout.id, reason=text)
    return {"job": job_id, "letter": ended.dead_letter, "cron": entry.id, "run": checkout.id}


def test_no_stored_text_ever_runs(chromium: Any, place: Place) -> None:
    bad = place.run(hostile(place))
    addresses = [
        *("overview", "jobs?name=hostile", f"job/{bad['job']}", "errors", "dead", f"letter/{bad['letter']}", "events"),
        *("crons", f"cron/{bad['cron']}", "queues", "runs", f"run/{bad['run']}", "audit", "definitions"),
        *(f"{page}?{name}={HOSTILE[1]}" for page in ("jobs", "dead", "events") for name in ("name", "error", "key")),
        f"job/{HOSTILE[1]}",
        HOSTILE[0],
    ]
    with visiting(chromium, place) as visit:
        page = visit.page
        page.add_init_script(
            "addEventListener('securitypolicyviolation', event => console.error('CSP ' + event.blockedURI))"
        )
        page.reload()
        for address in addresses:
            visit.go(address)
            page.locator("h1#title").wait_for()
            for summary in page.locator("main summary").all():
                summary.click()
            assert page.evaluate("window.owned") is None, address
            assert page.locator("main script, main iframe, main img").count() == 0
            assert page.locator("a[href^='javascript:']").count() == 0
        shown = visit.go(f"job/{bad['job']}", "hostile").locator("main").inner_text()
        assert HOSTILE[0] in shown, "it is shown as what it is"
        visit.wrong = [said for said in visit.wrong if "status of 4" not in said]
        assert visit.wrong == []


def test_a_huge_payload_is_cut(visit: Visit, place: Place) -> None:
    job = NewJob(JobID.new(), "huge", json.dumps({"text": "x" * 200_000}).encode(), queue="nobody")
    place.run(place.app.store.jobs.enqueue([job]))
    page = visit.go(f"job/{job.id}", "huge")
    shown = page.get_by_label("Arguments").inner_text()
    assert 64 * 1024 <= len(shown) < 66 * 1024
    assert "more characters" in shown
