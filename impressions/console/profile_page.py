"""One profile's answer, drawn: a bar for each title and measure, the decay of one title. Pure.

In: an answer of the client, and what to draw of it. Out: rows and drawings. Every number shown is
one of the answer: `impressions get` prints the same.
"""

from __future__ import annotations

from dataclasses import dataclass

from impressions.client.result import ProfileResult
from impressions.console.charts import bar, decay_chart
from impressions.console.look_up import Found
from impressions.console.masking import Masking
from impressions.console.words import ago, number, time
from impressions.core.completeness import WORDS
from impressions.core.errors import UsageError
from impressions.core.spec import HALF_LIVES_DAYS, MEASURES

TOTAL = 0
"""In place of half-life days: not decayed."""
RANK_DAYS = 7
_DAYS_AHEAD = 60
_LARGEST_ID = (1 << 63) - 1


@dataclass(frozen=True)
class Cell:
    """A number and its bar."""

    text: str
    bar: str


@dataclass(frozen=True)
class TitleRow:
    """A title's cells in the order of `MEASURES`."""

    title: int
    cells: tuple[Cell, ...]
    last_seen: str
    chosen: bool


@dataclass(frozen=True)
class Decay:
    """The curves of one title and measure, and the sums they begin with: (half-life, number)."""

    title: int
    measure: str
    chart: str
    sums: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class ProfileView:
    """The page below the form.

    Attributes:
        rows: titles, in the order of the answer.   matched: how many the profile has.
        facts: provenance as (name, value) pairs.
        reasons: why the answer is not complete.
        command: what asks the same on a command line.
    """

    profile: str
    rows: tuple[TitleRow, ...]
    matched: int
    weight: int
    decay: Decay | None
    complete: bool
    reasons: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]
    command: str


def parsed_id(text: str) -> int:
    """A profile id as it is typed.

    Raises:
        UsageError: it is none. The message does not repeat it.
    """
    if text.isascii() and text.isdigit() and len(text) <= 19 and int(text) <= _LARGEST_ID:
        return int(text)
    raise UsageError(
        f"profile: found {len(text)} characters that are no id, expected digits, at most 2^63-1",
        hint="a text is hashed to its id by: impressions get --profile-text",
    )


def view(
    found: Found, masking: Masking, now_ms: int, weight: int, title: int | None, measure: str | None
) -> ProfileView:
    """What is drawn: `weight` is a half-life or `TOTAL`; a title or measure that the answer does
    not have is replaced by the first one."""
    result, context = found.result, found.result.context
    measure = measure if measure in _MEASURE_NAMES else _MEASURE_NAMES[0]
    titles = result.title_ids.tolist()
    chosen = title if title in titles else titles[0] if titles else None
    profile = masking.id(result.profile_id)
    return ProfileView(
        profile,
        _rows(result, weight, chosen),
        result.matched_rows,
        weight,
        None if chosen is None else _decay(result, titles.index(chosen), measure),
        context.complete,
        tuple(WORDS.get(reason, reason) for reason in context.reasons),
        _facts(found, now_ms),
        f"impressions get --profile {profile} --address {found.address}",
    )


_MEASURE_NAMES = tuple(measure.name for measure in MEASURES)


def _rows(result: ProfileResult, weight: int, chosen: int | None) -> tuple[TitleRow, ...]:
    columns = [
        (name, (result.totals[name] if weight == TOTAL else result.decayed[name, weight]).tolist())
        for name in _MEASURE_NAMES
    ]
    seen_ms = [] if result.last_seen_ms is None else result.last_seen_ms.tolist()
    at_ms = result.context.query_time_ms
    return tuple(
        TitleRow(
            title,
            tuple(
                Cell(number(values[i]), bar(values[i], max(values), name))
                for name, values in columns
            ),
            ago(at_ms, seen_ms[i]),
            title == chosen,
        )
        for i, title in enumerate(result.title_ids.tolist())
    )


def _decay(result: ProfileResult, at: int, measure: str) -> Decay:
    title = int(result.title_ids[at])
    sums = {days: float(result.decayed[measure, days][at]) for days in HALF_LIVES_DAYS}
    text = f"{measure} of title {title} in the next {_DAYS_AHEAD} days, by half-life"
    return Decay(
        title,
        measure,
        decay_chart(text, sums, _DAYS_AHEAD),
        tuple((f"{days} d", number(value)) for days, value in sums.items()),
    )


def _facts(found: Found, now_ms: int) -> tuple[tuple[str, str], ...]:
    context = found.result.context
    through_ms, since_ms = context.stream_through_ms, found.stream_since_ms
    through = "no live stream, or its state is unknown"
    if through_ms is not None:
        through = f"{time(through_ms)} ({ago(now_ms, through_ms)})"
    since = "the first event" if through_ms is not None else "-"
    return (
        ("Time of the answer", time(context.query_time_ms)),
        ("Generation", context.generation or "none"),
        ("Cutover", time(context.cutover_ms) if context.generation else "-"),
        ("Deltas through", through),
        ("Deltas since", since if since_ms is None else time(since_ms)),
        ("Server", f"{found.address}, version {found.server_version}, shard {found.shard}"),
    )
