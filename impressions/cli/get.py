"""`impressions get`: one profile, asked over gRPC, as a table that a person can read.

Flags to a projection, the client's result to rows; no arithmetic here. The footer says what the
answer was made from and, when it is not complete, why. An answer for the past that holds later
impressions is not shown: each of them would weigh more than 1.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from impressions.core.completeness import WORDS
from impressions.core.errors import UsageError
from impressions.core.ids import PROFILE_BITS, TITLE_BITS, hash_id
from impressions.process.asked_server import Address, TlsCa, TokenFile, asked
from impressions.process.command import Json, verb
from impressions.settings.model import Settings
from impressions.terminal.console import Table, emit, human_age, human_time

if TYPE_CHECKING:
    from impressions.client import Context, ProfileResult
    from impressions.core.top import Top

_USUAL = ("impressions/7d", "impressions/30d", "impressions/365d", "plays/7d", "plays/30d")


@verb
def command(
    settings: Settings,
    profile: Annotated[int | None, typer.Option(help="Profile id.", show_default=False)] = None,
    profile_text: Annotated[
        str | None, typer.Option(help="Profile as text, hashed to its id.", show_default=False)
    ] = None,
    titles: Annotated[
        str, typer.Option(help="Only these title ids: 7,9.", show_default="all")
    ] = "",
    titles_text: Annotated[
        str, typer.Option(help="Only these titles, as text: a,b.", show_default=False)
    ] = "",
    locations: Annotated[
        str, typer.Option(help="Only these locations: 0,3.", show_default="all")
    ] = "",
    by_location: Annotated[
        bool, typer.Option("--by-location", help="A row per title and location.")
    ] = False,
    top: Annotated[
        int | None, typer.Option(min=1, help="Only the first N rows.", show_default="all")
    ] = None,
    by: Annotated[str, typer.Option(help="What --top ranks by.")] = "impressions/7d",
    measures: Annotated[
        str, typer.Option(help="Only these measures: plays,dwell_s.", show_default="all")
    ] = "",
    half_lives: Annotated[
        str, typer.Option(help="Only these half-lives in days: 1,7.", show_default="all")
    ] = "",
    at: Annotated[
        str,
        typer.Option(
            help="Time of the answer, not before the newest impression in it: ISO 8601 or epoch ms."
        ),
    ] = "now",
    ema_rates: Annotated[
        bool, typer.Option("--ema-rates", help="Add the EMA rates per day.")
    ] = False,
    plays_per_impression: Annotated[
        bool, typer.Option("--plays-per-impression", help="Add this ratio per half-life.")
    ] = False,
    address: Address = None,
    timeout_s: Annotated[float, typer.Option(help="Seconds to wait, retries included.")] = 5.0,
    token_file: TokenFile = None,
    tls_ca: TlsCa = None,
    json: Json = False,
) -> None:
    """Ask a server about one profile.

    \b
    Examples:
      impressions get --profile 42
      impressions get --profile 42 --top 10 --by plays/7d
      impressions get --profile-text user-abc --titles 7,9 --by-location --json

    Sums weigh each impression by 2^-(age / half-life); `plays/7d` is the sum of plays with a
    half-life of 7 days. Without --measures and --half-lives the table shows a few of them; --json
    always has all that was asked for.
    """
    profile_id = _profile_id(profile, profile_text)
    chosen_measures, chosen_days = _names(measures), _numbers("--half-lives", half_lives)
    with asked(settings, address, timeout_s, token_file, tls_ca, channels=1) as client:
        result = client.get(
            profile_id,
            at_ms=_time_ms(at),
            titles=[
                *_numbers("--titles", titles),
                *(hash_id(text, TITLE_BITS) for text in _names(titles_text)),
            ],
            locations=_numbers("--locations", locations),
            measures=chosen_measures,
            half_lives_days=chosen_days,
            by_location=by_location,
            top=_top(top, by) if top is not None else None,
            totals=True,
            last_seen=True,
            ema_rates=ema_rates,
            plays_per_impression=plays_per_impression,
        )
    if at != "now":
        _refuse_rows_of_later(result)
    shorten = not (chosen_measures or chosen_days)
    emit(_document(result), json=json, table=_table(result, shorten))
    if not json:
        emit(None, json=False, table=_footer(result))


def _profile_id(profile: int | None, text: str | None) -> int:
    if (profile is None) == (text is None):
        raise UsageError("expected one of --profile and --profile-text", hint="--profile 42")
    return hash_id(text, PROFILE_BITS) if text is not None else profile or 0


def _names(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _numbers(flag: str, text: str) -> list[int]:
    try:
        return [int(part) for part in _names(text)]
    except ValueError:
        raise UsageError(f"{flag} {text!r}: expected numbers such as 7,9") from None


def _top(k: int, by: str) -> Top:
    from impressions.core.top import Top

    measure, _, days = by.partition("/")
    if not days.removesuffix("d").isdigit():
        raise UsageError(f"--by {by!r}: expected measure/half-life, such as plays/7d")
    return Top(k, measure, int(days.removesuffix("d")))


def _time_ms(text: str) -> int | None:
    """Epoch milliseconds of `--at`; None leaves "now" to the server. No zone means UTC."""
    if text == "now":
        return None
    if text.isdigit():
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f"--at {text!r}: expected a time such as 2026-11-15T06:00:00Z, or epoch milliseconds"
        ) from None
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def _refuse_rows_of_later(result: ProfileResult) -> None:
    """Sums cannot forget what was seen after the time that is asked for.

    A server refuses times before its cutover; what came later, or before the first cutover, only
    the rows tell.
    """
    seen_ms = [] if result.last_seen_ms is None else result.last_seen_ms.tolist()
    asked_ms, newest_ms = result.context.query_time_ms, max(seen_ms, default=0)
    if newest_ms > asked_ms:
        later = sum(at_ms > asked_ms for at_ms in seen_ms)
        raise UsageError(
            f"--at {human_time(asked_ms)}: {later} of {len(seen_ms)} rows hold later impressions, "
            f"expected a time after the newest, {human_time(newest_ms)}",
            hint="leave out --at for now; a time that has passed is answered only from what was "
            "stored by then",
            reason="query_before_events",
        )


def _sums(result: ProfileResult) -> dict[str, Any]:
    """Every column of sums by the name that a person uses for it: `plays/7d`."""
    return {
        **{f"{measure}/{days}d": values for (measure, days), values in result.decayed.items()},
        **{f"{m}_per_day/{days}d": values for (m, days), values in result.ema_rates.items()},
        **{f"plays_per_imp/{days}d": v for days, v in result.plays_per_impression.items()},
    }


def _document(result: ProfileResult) -> dict[str, Any]:
    """The JSON form: what was asked about, what it was made from, one object per row."""
    columns: dict[str, Any] = {"title_id": result.title_ids}
    if result.locations is not None:
        columns["location"] = result.locations
    columns |= {"last_seen_ms": result.last_seen_ms, **result.totals, **_sums(result)}
    lists = {name: values.tolist() for name, values in columns.items()}
    return {
        "profile_id": result.profile_id,
        "context": result.context,
        "matched_rows": result.matched_rows,
        "rows": [dict(zip(lists, row, strict=True)) for row in zip(*lists.values(), strict=True)],
    }


def _table(result: ProfileResult, shorten: bool) -> Table | str:
    """The rows for people; `shorten` shows the usual columns of sums only."""
    if not len(result):
        return f"profile {result.profile_id}: no impressions in the window"
    document = _document(result)
    hidden = {name for name in _sums(result) if shorten and not _is_usual(name)}
    names = [n for n in document["rows"][0] if n not in hidden and n != "last_seen_ms"]
    totals_end = 1 + ("location" in names) + len(result.totals)
    names.insert(totals_end, "last_seen_ms")
    at_ms = result.context.query_time_ms
    show: dict[str, Callable[[Any], object]] = {
        "title_id": str,
        "last_seen_ms": lambda seen_ms: _ago(at_ms - seen_ms),
        "impressions": int,
        "plays": int,
    }
    rows = [[show.get(n, float)(row[n]) for n in names] for row in document["rows"]]
    headers = {"title_id": "title", "last_seen_ms": "last seen"}
    return Table([headers.get(n, n) for n in names], rows, title=f"profile {result.profile_id}")


def _is_usual(name: str) -> bool:
    return name in _USUAL or "_per_" in name


def _ago(age_ms: int) -> str:
    return f"{human_age(age_ms / 1000)} ago" if age_ms >= 0 else "just now"


def _footer(result: ProfileResult) -> str:
    """One line: how many rows, and what the answer was made from."""
    context = result.context
    live_ms = context.stream_through_ms
    parts = [
        f"{len(result)} of {result.matched_rows} rows",
        *_batch(context),
        f"asked for {human_time(context.query_time_ms)}",
        "no live stream" if live_ms is None else f"live through {human_time(live_ms)}",
        "complete" if context.complete else f"INCOMPLETE: {_why(context)}",
    ]
    return " · ".join(parts)


def _batch(context: Context) -> list[str]:
    if not context.generation:
        return ["no generation"]
    return [f"generation {context.generation}", f"cutover {human_time(context.cutover_ms)}"]


def _why(context: Context) -> str:
    return ", ".join(WORDS.get(reason, reason) for reason in context.reasons)
