"""A console whose parts are what a test says, asked through the test client of its library."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from werkzeug.test import TestResponse

from impressions.console import guard
from impressions.console.answers import Answers
from impressions.console.app import Console, create_app
from impressions.console.environment import environment_of
from impressions.console.look_up import Found
from impressions.console.masking import Masking
from impressions.console.sources import LATER, STATUS
from impressions.core.spec import DAY_MS
from impressions.settings.model import Settings
from impressions.status.questions import Absent
from tests.fixed_clock import FixedClock

AT_MS = 20_772 * DAY_MS  # 2026-11-15
HOST = "127.0.0.1:8470"
ADDRESS = "127.0.0.1:50051"
NAMES = (*STATUS, *LATER, "fleet", "days", "runs")


def absent() -> Any:
    raise Absent("nothing was made yet", "make it")


def no_server(address: str, profile_id: int, days: int) -> Found:
    raise AssertionError("nobody looked anything up")


class Browser:
    """Asks pages of a console, with its host unless another is said."""

    def __init__(
        self,
        home: Path,
        parts: Mapping[str, Callable[[], Any]] | None = None,
        *,
        shown: bool = False,
        look_up: Callable[[str, int, int], Found] = no_server,
        wait_s: float = 30,
        **console: Any,
    ):
        settings = Settings(home=home, console=console)
        questions = dict.fromkeys(NAMES, absent) | dict(parts or {})
        clock = FixedClock(AT_MS)
        self.console = Console(
            settings,
            environment_of(settings, "host-1"),
            Masking(shown),
            Answers(questions, clock, fresh_s=60, wait_s=wait_s),
            clock,
            guard.host_names("127.0.0.1", 8470, settings.console.host_names),
            look_up,
            lambda: (ADDRESS,),
        )
        self.client = create_app(self.console).test_client()

    def ask(self, path: str, method: str = "GET", host: str = HOST) -> TestResponse:
        return self.client.open(path, method=method, headers={"Host": host})

    def text(self, path: str) -> str:
        response = self.ask(path)
        assert response.status_code == 200, response.text
        return response.text
