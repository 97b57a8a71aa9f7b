"""`impressions rejected show | replay`: the dead letters of the stream."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from impressions.core.errors import ServiceError, UsageError
from impressions.process.command import DryRun, Json, new_app, verb
from impressions.settings.model import Settings
from impressions.terminal import log as log_line
from impressions.terminal.console import Table, emit, human_time, progress, say

if TYPE_CHECKING:
    from impressions.kafka.dead_letter_topic import Stray
    from impressions.kafka.dead_letters import DeadLetter
    from impressions.v1.impression_record_pb2 import ImpressionLog

_SHOWN_BYTES = 1024
"""Of a value, in hex: a log of some twenty impressions whole, and no screenful more."""

app = new_app(help="What the stream could not count, and why.")

_Reason = Annotated[
    list[str] | None,
    typer.Option(
        "--reason", metavar="WORD", help="Only dead letters with this reason; repeatable."
    ),
]
_Limit = Annotated[
    int, typer.Option(min=0, help="Dead letters to list; 0 lists none, only counts.")
]


@app.command("show")
@verb
def show(
    settings: Settings, reason: _Reason = None, limit: _Limit = 20, json: Json = False
) -> None:
    """List dead letters: where each came from, and why it did not count.

    A message there that is no dead letter of ours is listed as `unreadable`. Values are shown to
    their first 1,024 bytes; `value_bytes` says how long each was.

    \b
    Examples:
      impressions rejected show
      impressions rejected show --reason wrong_partition --json
    """
    counts: Counter[str] = Counter()
    listed: list[dict[str, Any]] = []
    with progress("read dead letters") as bar:
        for dead_letter in _dead_letters(settings, reason):
            bar.advance()
            counts.update(dead_letter.reasons)
            if len(listed) < limit:
                listed.append(_listed(dead_letter))
    rows = [
        [d["from"], d["ingested"], ",".join(d["reasons"]), d["impressions"], d["value_bytes"]]
        for d in listed
    ]
    emit(
        {"rejected": dict(counts), "dead_letters": listed},
        json=json,
        table=Table(
            ["topic:partition:offset:log", "ingested", "reasons", "impressions", "bytes"], rows
        ),
    )
    if not json:
        say(", ".join(f"{n:,} {word}" for word, n in counts.most_common()) or "no dead letters")


@app.command("replay")
@verb
def replay(
    settings: Settings, reason: _Reason = None, json: Json = False, dry_run: DryRun = False
) -> None:
    """Send dead letters to the source topic again, as new logs in the right partition.

    Use it after a fix: a rule was widened, or a producer chose the wrong partition. What still
    breaks the rule is rejected again. Each dead letter keeps its own new log_id, so sending it
    twice within two ingest slots counts once. A log that only has a broken text is sent with it
    mended; other logs and records that do not decode cannot be sent.

    \b
    Examples:
      impressions rejected replay --dry-run
      impressions rejected replay --reason wrong_partition
    """
    from impressions.producer import Producer

    counts = Counter(dead_letters=0, impressions=0, unreadable=0)
    left = 0
    with Producer(settings) as producer, progress("send dead letters") as bar:
        for dead_letter in _dead_letters(settings, reason):
            bar.advance()
            log = _revived(dead_letter)
            if log is None or not log.HasField("profile_id") or log.profile_id < 0:
                counts["unreadable"] += 1
                continue
            try:
                if not dry_run:
                    producer.send_message(log)
            except UsageError as error:  # larger than a record may be
                counts["unreadable"] += 1
                log_line.warning(
                    "not-sent", dead_letter=dead_letter.identity, because=error.message
                )
                continue
            counts["dead_letters"] += 1
            counts["impressions"] += len(log.title_ids)
        left = producer.flush()
    verb_ = "would send" if dry_run else "sent"
    emit(
        {**counts, "not_delivered": left, "dry_run": dry_run},
        json=json,
        table=f"{verb_} {counts['impressions']:,} impressions of {counts['dead_letters']:,} dead "
        f"letters; {counts['unreadable']:,} cannot be sent",
    )
    if left:
        raise ServiceError(f"{left} records were not delivered", hint="run it again")


def _listed(dead_letter: DeadLetter | Stray) -> dict[str, Any]:
    """What is shown of a dead letter; of its value the beginning."""
    from impressions.kafka.dead_letters import DeadLetter

    log, value = _revived(dead_letter), dead_letter.value
    ingest_ms = dead_letter.ingest_ms if isinstance(dead_letter, DeadLetter) else None
    whole = dead_letter.value_bytes if isinstance(dead_letter, DeadLetter) else None
    return {
        "from": dead_letter.identity,
        "ingest_ms": ingest_ms,
        "ingested": "" if ingest_ms is None else human_time(ingest_ms),
        "reasons": sorted(set(dead_letter.reasons)),
        "because": None if isinstance(dead_letter, DeadLetter) else dead_letter.because,
        "impressions": dead_letter.counts,
        "profile_id": log.profile_id if log is not None else None,
        "value_bytes": len(value) if whole is None else whole,
        "value_hex": value[:_SHOWN_BYTES].hex(),
        "value_cut": len(value) > _SHOWN_BYTES or whole is not None,
    }


def _revived(dead_letter: DeadLetter | Stray) -> ImpressionLog | None:
    from impressions.kafka.dead_letter_replay import flush_to_replay
    from impressions.kafka.dead_letters import DeadLetter

    return flush_to_replay(dead_letter) if isinstance(dead_letter, DeadLetter) else None


def _dead_letters(settings: Settings, reasons: list[str] | None) -> Iterator[DeadLetter | Stray]:
    from impressions.kafka.dead_letter_topic import dead_letters

    wanted = set(reasons or ())
    return (x for x in dead_letters(settings) if not wanted or wanted & set(x.reasons))
