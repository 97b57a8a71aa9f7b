"""The pages by address. Reads only: every address takes GET and HEAD, nothing else.

A request is answered if it names a host that is ours (guard.py). What comes from it is a choice
from lists, or the id of a profile, which is parsed, asked and forgotten: it is in no log. Templates
escape whatever they show; drawings are made of elements that do. Each page asks its parts together
and shows what came of each.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flask import Flask, Response, render_template, request
from markupsafe import Markup

from impressions.clock import Clock
from impressions.console import (
    generations_page,
    guard,
    jobs_page,
    look_up,
    path_page,
    profile_page,
    quality_page,
    rounds_page,
    words,
)
from impressions.console.answers import Answers
from impressions.console.environment import Environment
from impressions.console.masking import Masking
from impressions.console.page import PAGES, REFRESH_S, parts_of
from impressions.console.sources import LATER, STATUS
from impressions.core.spec import HALF_LIVES_DAYS, MEASURES
from impressions.history.run_record import RunRecord
from impressions.settings.model import Settings
from impressions.status.questions import Unknown, ask
from impressions.status.report import Status, judged, partitions
from impressions.status.stage import Problem

_WORST_PARTITIONS = 16
_CHOICES = ("segment", "measure", "job")
"""What an address keeps while a page is paused; never a word of the library's own."""
LookUp = Callable[[str, int, int], look_up.Found]
"""(address, profile id, half-life to rank by) -> what a server says."""


@dataclass(frozen=True)
class Console:
    """What the pages are made from.

    Attributes:
        host_names: what a browser may write as Host.
        addresses: servers that a profile may be looked up at, now.
    """

    settings: Settings
    environment: Environment
    masking: Masking
    answers: Answers
    clock: Clock
    host_names: frozenset[str]
    look_up: LookUp
    addresses: Callable[[], tuple[str, ...]]


def create_app(console: Console) -> Flask:
    """The WSGI application."""
    app = Flask("impressions.console")
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.jinja_env.globals |= {
        "environment": console.environment, "pages": PAGES, "words": words,
        "masked": not console.masking.shown, "refresh_s": REFRESH_S, "drawn": Markup,
    }  # fmt: skip
    views: dict[str, Callable[[Console], str]] = {
        "path": _path, "generations": _generations, "quality": _quality,
        "reconciliation": _reconciliation, "jobs": _jobs, "profile": _profile,
    }  # fmt: skip
    for name, address, _ in PAGES:
        app.add_url_rule(address, name, _bound(views[name], console), methods=["GET"])

    @app.before_request
    def refuse() -> tuple[str, int, dict[str, str]] | None:
        """In plain text, which tells a foreign page nothing of the system."""
        if not guard.is_ours(request.headers.get("Host"), console.host_names):
            return _plain("not a name of this console; its operator can add it: "
                          "console.host_names", 421)  # fmt: skip
        if request.method not in guard.METHODS:
            return _plain("the console reads only: GET and HEAD", 405)
        return None

    @app.after_request
    def protect(response: Response) -> Response:
        response.headers.update(guard.HEADERS)
        return response

    @app.errorhandler(404)
    @app.errorhandler(500)
    def failed(error: Any) -> tuple[str, int]:
        page = _page(console, "", {})
        return render_template("failed.html", code=error.code, says=error.description, **page), (
            error.code
        )

    return app


def _plain(text: str, code: int) -> tuple[str, int, dict[str, str]]:
    return text + "\n", code, {"Content-Type": "text/plain; charset=utf-8"}


def _bound(view: Callable[[Console], str], console: Console) -> Callable[[], str]:
    return lambda: view(console)


def _page(console: Console, name: str, asked: dict[str, Any]) -> dict[str, Any]:
    """What base.html wants. `paused`: by a person; the address keeps it."""
    at_ms = console.clock()
    kept = {key: request.args[key] for key in _CHOICES if key in request.args}
    return {
        "page": name,
        "at_ms": at_ms,
        "parts": parts_of(asked, at_ms),
        "paused": "paused" in request.args,
        "kept": kept,
    }


def _path(console: Console) -> str:
    asked = console.answers.get(*STATUS)
    asked |= console.answers.get(*LATER)
    status = _status(console, asked)
    strip = path_page.strip(status, console.masking)
    rows = sorted(
        partitions(status.found),
        key=lambda row: (-round(row["worker_age_s"] or 0), row["partition"]),
    )
    return render_template(
        "path.html",
        strip=strip,
        more=strip.found,
        partitions=rows[:_WORST_PARTITIONS],
        left_out=max(0, len(rows) - _WORST_PARTITIONS),
        processes=status.found.processes,
        **_page(console, "path", asked),
    )


def _status(console: Console, asked: dict[str, Any]) -> Status:
    answers = {name: answer.value for name, answer in asked.items()}
    return judged(answers, console.settings, console.clock())


def _generations(console: Console) -> str:
    asked = console.answers.get("lake", "published", "host", "servers", "fleet")
    at_ms = console.clock()
    values = {name: answer.value for name, answer in asked.items()}
    return render_template(
        "generations.html",
        rows=generations_page.rows(asked, at_ms, console.masking),
        host=generations_page.host_view(values["host"], at_ms),
        servers=(
            *generations_page.servers(values["servers"], at_ms),
            *generations_page.servers(values["fleet"], at_ms),
        ),
        **_page(console, "generations", asked),
    )


def _quality(console: Console) -> str:
    asked = console.answers.get("days")
    days = asked["days"].value
    view = None
    if not isinstance(days, Unknown):
        view = quality_page.view(days, request.args.get("segment"), request.args.get("measure"))
    return render_template("quality.html", view=view, **_page(console, "quality", asked))


def _reconciliation(console: Console) -> str:
    asked = console.answers.get("rotation", "runs")
    at_ms = console.clock()
    runs = _runs(asked["runs"].value, "reconcile")
    return render_template(
        "reconciliation.html",
        rotation=rounds_page.rotation(asked["rotation"].value, at_ms),
        rounds=rounds_page.rounds(runs, at_ms, console.masking),
        events=rounds_page.events(runs, console.masking),
        **_page(console, "reconciliation", asked),
    )


def _jobs(console: Console) -> str:
    asked = console.answers.get("runs")
    at_ms, job = console.clock(), request.args.get("job") or None
    found = asked["runs"].value
    runs = _runs(found)
    return render_template(
        "jobs.html",
        jobs=jobs_page.jobs(runs, at_ms),
        rows=jobs_page.rows(runs, job, at_ms, console.masking),
        job=job,
        damaged=() if isinstance(found, Unknown) else found.damaged,
        **_page(console, "jobs", asked),
    )


def _runs(found: Any, job: str | None = None) -> tuple[RunRecord, ...]:
    runs: tuple[RunRecord, ...] = () if isinstance(found, Unknown) else found.runs
    return tuple(run for run in runs if job is None or run.job == job)


def _profile(console: Console) -> str:
    """The form, and below it what came of it."""
    addresses = console.addresses()
    typed = request.args.get("profile", "").strip()
    address = request.args.get("server")
    address = address if address in addresses else addresses[0]
    weight = _chosen("weight", (profile_page.TOTAL, *HALF_LIVES_DAYS))
    view, problem = _looked_up(console, address, typed, weight) if typed else (None, None)
    return render_template(
        "profile.html",
        view=view,
        problem=problem,
        typed=typed,
        address=address,
        addresses=addresses,
        weight=weight,
        weights=(profile_page.TOTAL, *HALF_LIVES_DAYS),
        measures=[measure.name for measure in MEASURES],
        **_page(console, "profile", {}),
    )


def _looked_up(
    console: Console, address: str, typed: str, weight: int
) -> tuple[profile_page.ProfileView | None, Problem | None]:
    """What is drawn, or why it is not: one of the two."""
    rank_days = weight or profile_page.RANK_DAYS
    answer = ask(lambda: console.look_up(address, profile_page.parsed_id(typed), rank_days))
    if isinstance(answer, Unknown):
        known = int(typed) if typed.isascii() and typed.isdigit() else None
        return None, (console.masking.text(answer.because, known), answer.hint)
    choice = (weight, _number("title"), request.args.get("measure"))
    return profile_page.view(answer, console.masking, console.clock(), *choice), None


def _chosen(name: str, allowed: tuple[int, ...]) -> int:
    value = _number(name)
    return value if value in allowed else allowed[0]


def _number(name: str) -> int | None:
    text = request.args.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 19 else None
