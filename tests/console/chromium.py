"""A real headless Chromium, driven as a person drives it.

    with browser() as chromium:
        page = chromium.page(url)            one that records errors and foreign requests

What drives it (playwright) comes by `make browser` into a directory of its own; the browser is the
system's, which the variable CHROMIUM may name. `why_not` says what is absent.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

DRIVER = Path(__file__).parents[2] / ".venv-browser"
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--no-first-run",
)  # fmt: skip


def executable() -> str | None:
    found = (shutil.which(name) for name in (os.environ.get("CHROMIUM", ""), *_NAMES) if name)
    return next((path for path in found if path), None)


def why_not() -> str | None:
    """What a test in the browser lacks here, with the line that brings it; None: nothing."""
    if executable() is None:
        return "no Chromium here: apt-get install --no-install-recommends chromium"
    if not DRIVER.exists():
        return f"no {DRIVER.name} here: make browser"
    return None


class Chromium:
    """A running browser; `problems` are what pages said and what they asked of others."""

    def __init__(self, running: Any):
        self._running = running
        self.problems: list[str] = []

    def page(self, url: str, *, width: int = 1280, height: int = 800, scheme: str = "light") -> Any:
        """An open page of its own profile."""
        page = self._running.new_page(
            viewport={"width": width, "height": height}, color_scheme=scheme
        )
        origin = "/".join(url.split("/")[:3])
        page.on("console", lambda said: self.problems.append(f"console: {said.text}"))
        page.on("pageerror", lambda error: self.problems.append(f"error: {error}"))
        page.on("request", lambda asked: self._asked(asked.url, origin))
        page.on("response", lambda got: self._got(got.url, got.status))
        page.goto(url)
        return page

    def _asked(self, url: str, origin: str) -> None:
        if not url.startswith(origin + "/"):
            self.problems.append(f"asked of somebody else: {url}")

    def _got(self, url: str, status: int) -> None:
        if status >= 400:
            self.problems.append(f"{status}: {url}")


def follow(link: Any) -> None:
    """Click what leads to a page, and wait for all of that page: `count` does not wait for what
    the browser has not read yet."""
    with link.page.expect_navigation(wait_until="load"):
        link.click()


@contextlib.contextmanager
def browser() -> Iterator[Chromium]:
    sys.path.append(str(DRIVER))  # behind the project's own packages
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=executable(), args=list(_FLAGS))
        try:
            yield Chromium(running)
        finally:
            running.close()
