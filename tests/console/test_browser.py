"""What a person does with the console, in a real Chromium, before a real small system.

The system is one for all tests, which read it in the order of the file; the last one breaks it.
SCREENSHOTS=docs/images writes the pictures of docs/console.md.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from impressions.clock import now_ms
from tests.broker import TestBroker
from tests.console.chromium import Chromium, browser, follow, why_not
from tests.console.system import LIVE, PROFILE, System
from tests.live import until
from tests.serving.support import by_title, expected_of

ABSENT = why_not()
pytestmark = [
    pytest.mark.kafka,
    pytest.mark.slow,
    pytest.mark.skipif(ABSENT is not None, reason=ABSENT or ""),
]
PAGES = ("Path", "Generations and hosts", "Quality", "Reconciliation", "Jobs", "Profile")
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory, broker: TestBroker) -> Iterator[System]:
    names = ("topic", "deltas_topic", "rejected_topic", "clock_topic")
    topics = {name: f"console-{os.getpid()}-{name}".replace("_", "-") for name in names}
    with System(tmp_path_factory.mktemp("console") / "home", broker.bootstrap, **topics) as running:
        yield running


@pytest.fixture(scope="module")
def url(system: System) -> str:
    return system.console()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Chromium]:
    with browser() as running:
        yield running


@pytest.fixture(autouse=True)
def _nothing_is_wrong_in_the_browser(chromium: Chromium) -> Iterator[None]:
    """No error in its console, no answer with an error, nothing asked of another host."""
    chromium.problems.clear()
    yield
    assert chromium.problems == []


def picture(page: Any, name: str, height: int) -> None:
    """A picture for the documentation, where one is wanted."""
    if directory := os.environ.get("SCREENSHOTS"):
        size = {"x": 0, "y": 0, "width": page.viewport_size["width"], "height": height}
        page.screenshot(path=Path(directory) / f"{name}.png", clip=size, full_page=True)


def seen(page: Any) -> str:
    """What a person reads."""
    text: str = page.locator("main").inner_text()
    return text


def asked(system: System, *words: str) -> Any:
    """`impressions get` of the profile, as JSON."""
    command = [sys.executable, "-m", "impressions.cli.main", "get", "--profile", str(PROFILE),
               "--address", system.server, "--json", *words]  # fmt: skip
    return json.loads(subprocess.run(command, capture_output=True, check=True).stdout)


def test_a_finding_is_found_on_the_path_seen_in_the_days_and_accepted(
    chromium: Chromium, system: System, url: str
) -> None:
    """The path is broken at Quality; the page of the days shows where; typing the command that it
    prints mends it, and nothing is broken any more."""
    page = chromium.page(url)
    page.get_by_role("heading", name="Broken at Quality").wait_for(timeout=120_000)
    follow(page.get_by_role("link", name="Quality", exact=True))
    assert "stand" in page.locator(".notice").inner_text()
    assert page.locator("svg.chart .band.blocks").count() == 1
    picture(page, "console-quality", 700)
    for command in page.locator(".finding.blocks code").all_inner_texts():
        assert re.fullmatch(r'impressions accept \S+ --reason "\.\.\."', command)
        assert system.run("accept", command.split()[2], "--reason", "a campaign") == 0

    def well() -> bool:
        page.goto(url)
        return "Broken" not in seen(page)

    until(well, "all stages are well", 60)
    titles = page.locator(".strip:not(.loose) h3").all_inner_texts()
    assert titles == [
        "Topic", "Land", "Close", "Quality", "Compact, export", "Load", "Activate", "Serve",
        "Topic", "Speed", "Follower", "Serve",
    ]  # fmt: skip
    follow(page.get_by_role("link", name="Quality", exact=True))
    page.get_by_label("Segment").select_option("all")
    page.get_by_label("Measure").select_option("impressions")
    follow(page.get_by_role("button", name="Show"))
    assert "impressions of all, by day of ingest" in seen(page)

    def accepted() -> bool:
        """The days are asked for on their own, and may be older than the path's answers."""
        page.reload()
        return bool(page.locator(".finding.accepted").count())

    until(accepted, "the finding is shown as accepted", 60)


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (1280, "dark"), (390, "light")])
def test_every_page_is_found_in_the_menu_and_fits_the_window(
    chromium: Chromium, url: str, width: int, scheme: str
) -> None:
    """One main heading each, the environment above it, no table without a caption; nothing
    sticks out to the side, and text stands out from its ground."""
    page = chromium.page(url, width=width, scheme=scheme)
    for name in PAGES:
        follow(page.get_by_role("navigation").get_by_role("link", name=name, exact=True))
        assert page.locator("h1").count() == 1
        assert "staging eu-1" in page.locator("header").inner_text()
        assert page.locator("table:not(:has(caption))").count() == 0
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name
        assert page.evaluate(_CONTRAST) >= 4.5, name


_CONTRAST = """() => {
  const light = (text) => {
    const [r, g, b] = text.match(/[\\d.]+/g).slice(0, 3).map(Number)
      .map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (node) => {
    for (; node; node = node.parentElement) {
      const color = getComputedStyle(node).backgroundColor;
      if (/^rgb\\(/.test(color)) return color;
    }
    return "rgb(255, 255, 255)";
  };
  let least = 21;
  for (const node of document.querySelectorAll("h1,h2,h3,p,a,td,th,dt,dd,b,span,button,label")) {
    if (!node.innerText || !node.offsetParent) continue;
    const [a, b] = [light(getComputedStyle(node).color), light(ground(node))];
    least = Math.min(least, (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05));
  }
  return least;
}"""
"""The least contrast of any text on the page, as WCAG defines it."""


def test_a_profile_is_looked_up_and_its_numbers_are_those_of_the_oracle(
    chromium: Chromium, system: System, url: str
) -> None:
    """What is drawn is what `impressions get` prints and what the events make."""
    page = chromium.page(url + "profile")
    page.get_by_label("Profile id").fill(str(PROFILE))
    follow(page.get_by_role("button", name="Look up"))

    def live_is_there() -> bool:
        page.reload()
        return row_of(page, LIVE[0][0])[0] >= LIVE[0][1]

    until(live_is_there, "the live events are in the answer", 60)
    at_ms = now_ms()
    events = [e for e in (*system.events, *system.sent) if e[0] == PROFILE]
    expected = by_title(expected_of(PROFILE, events, at_ms + 1, at_ms))
    printed = {row["title_id"]: row for row in asked(system)["rows"]}
    titles = [int(t) for t in page.locator("table.bars tbody th").all_inner_texts()]
    assert sorted(titles) == sorted(title for _, title, _ in expected) == sorted(printed)
    for title in titles:
        drawn, row = row_of(page, title), expected[PROFILE, title, 0]
        assert drawn[:2] == [row["impressions"], row["plays"]]
        assert drawn[2] == pytest.approx(row["dwell_s"], rel=1e-3)
        assert drawn[2] == pytest.approx(printed[title]["dwell_s"], rel=1e-3)
    widths = page.locator("table.bars rect.impressions").evaluate_all(
        "bars => bars.map(bar => bar.getBoundingClientRect().width / bar.parentNode.clientWidth)"
    )
    most = max(row["impressions"] for row in expected.values())
    assert widths == pytest.approx(
        [expected[PROFILE, title, 0]["impressions"] / most for title in titles], abs=0.02
    )
    assert "The answer is complete." in seen(page)
    picture(page, "console-profile", 1180)


def test_a_title_is_chosen_and_its_decay_drawn(
    chromium: Chromium, system: System, url: str
) -> None:
    """The sums below the curves are those of the command line."""
    page = chromium.page(url + "profile")
    page.get_by_label("Profile id").fill(str(PROFILE))
    page.get_by_label("Weight").select_option("30")
    follow(page.get_by_role("button", name="Look up"))
    title = int(page.locator("table.bars tbody th").nth(1).inner_text())
    follow(page.get_by_role("button", name=f"Draw the decay of title {title}"))
    assert f"impressions of title {title}: what each half-life leaves" in seen(page)
    assert page.locator("svg.chart polyline").count() == 5
    shown = page.locator(".small-table tbody td").all_inner_texts()
    (row,) = asked(system, "--titles", str(title))["rows"]
    for text, days in zip(shown, (1, 7, 30, 180, 365), strict=True):
        assert float(text) == pytest.approx(row[f"impressions/{days}d"], rel=2e-3)


def test_an_id_is_not_shown_on_the_page_unless_asked_for(
    chromium: Chromium, system: System, url: str
) -> None:
    for console, shown in ((url, False), (system.console("--show-profile-ids"), True)):
        page = chromium.page(f"{console}profile?profile={PROFILE}")
        caption = page.locator("table.bars caption").inner_text()
        assert (f"Profile {PROFILE}:" in caption) is shown
        field = page.get_by_label("Profile id")
        hidden = field.evaluate("field => getComputedStyle(field).webkitTextSecurity")
        assert hidden == ("none" if shown else "disc")


def test_a_killed_worker_is_found_by_its_text(chromium: Chromium, system: System, url: str) -> None:
    """The stage that broke, what to do, and that the others follow from it: read from the page that
    stands open, which renews itself."""
    page = chromium.page(url)
    assert page.get_by_role("alert").count() == 0
    system.kill_worker()
    page.get_by_role("heading", name="Broken at Speed").wait_for(timeout=120_000)
    notice = page.get_by_role("alert")
    assert "speed (pid" in notice.inner_text()
    assert "died" in notice.inner_text()
    assert "impressions speed" in notice.locator("code").inner_text()
    assert "BROKEN" in page.locator("#live-worker").inner_text()
    assert page.locator("#live-topic.ok, #batch-topic.ok").count() == 2

    def followed() -> bool:
        page.reload()
        return page.locator(".stage.behind", has_text="Serve").count() == 2

    until(followed, "the answers are late, too", 60)
    assert page.get_by_role("alert").count() == 1, "the others follow from it"
    assert "Look at Speed first." in page.locator(".stage.behind").first.inner_text()
    picture(page, "console-broken", 860)
    picture(chromium.page(url, width=390, height=844, scheme="dark"), "console-phone", 844)


def test_a_job_that_failed_is_seen_with_its_reason(
    chromium: Chromium, system: System, url: str
) -> None:
    """A real run: a reconciliation with a server that is not there."""
    assert system.run("quality") == 0
    assert system.run("reconcile", "--profile", "7", "--address", "127.0.0.1:1") != 0
    page = chromium.page(url + "jobs")

    def there() -> bool:
        page.reload()
        return "BROKEN" in page.locator("main").inner_text().upper()

    until(there, "the run is in the history", 60)
    row = page.locator("tbody tr", has_text="reconcile").last.inner_text()
    assert "exit 8, unavailable" in row
    assert "profile=•••••" in row
    picture(page, "console-jobs", 460)


def test_a_foreign_name_and_a_change_are_refused_by_the_real_server(url: str) -> None:
    """Over a socket, too: the check is in front of every page."""
    for request, code in (
        (urllib.request.Request(url, headers={"Host": "evil.example"}), 421),
        (urllib.request.Request(url, method="DELETE"), 405),
    ):
        with pytest.raises(urllib.error.HTTPError) as refused:
            _DIRECT.open(request, timeout=60)
        assert refused.value.code == code
        refused.value.close()


def row_of(page: Any, title: int) -> list[float]:
    """The numbers beside the bars of a title; zeros where it has no row."""
    row = page.locator("table.bars tbody tr").filter(
        has=page.get_by_role("rowheader", name=str(title), exact=True)
    )
    if not row.count():
        return [0.0, 0.0, 0.0]
    return [float(text.replace(",", "")) for text in row.locator(".number").all_inner_texts()]
