"""`impressions rejected show | replay`: the dead letters of the stream."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from impressions.errors import ServiceError
from impressions.shell.command import DryRun, Json, new_app, verb
from impressions.shell.console import Table, emit, human_time, say
from impressions.shell.settings import Settings

if TYPE_CHECKING:
    from impressions.kafka.dead_letters import DeadLetter

app = new_app(help="What the stream could not count, and why.")

_Reason = Annotated[
    list[str] | None,
    typer.Option("--reason", metavar="WORD", help="Only letters with this reason; repeatable."),
]
_Limit = Annotated[int, typer.Option(min=0, help="Letters to list; 0 lists none, only counts.")]


@app.command("show")
@verb
def show(
    settings: Settings, reason: _Reason = None, limit: _Limit = 20, json: Json = False
) -> None:
    """List dead letters: where each came from, and why it did not count.

    \b
    impressions rejected show
    impressions rejected show --reason wrong_partition --json
    """
    from impressions.kafka.dead_letters import revived

    counts: Counter[str] = Counter()
    listed: list[dict[str, Any]] = []
    for letter in _letters(settings, reason):
        counts.update(letter.reasons)
        if len(listed) < limit:
            log = revived(letter)
            listed.append(
                {
                    "from": letter.identity,
                    "ingest_ms": letter.ingest_ms,
                    "reasons": sorted(set(letter.reasons)),
                    "impressions": letter.counts,
                    "profile_id": log.profile_id if log is not None else None,
                    "value_hex": letter.value.hex(),
                }
            )
    rows = [
        [d["from"], human_time(d["ingest_ms"]), ",".join(d["reasons"]), d["impressions"]]
        for d in listed
    ]
    emit(
        {"rejected": dict(counts), "letters": listed},
        json=json,
        table=Table(["topic:partition:offset:log", "ingested", "reasons", "impressions"], rows),
    )
    if not json:
        say(", ".join(f"{n:,} {word}" for word, n in counts.most_common()) or "no dead letters")


@app.command("replay")
@verb
def replay(
    settings: Settings, reason: _Reason = None, json: Json = False, dry_run: DryRun = False
) -> None:
    """Send dead letters to the source topic again, as new logs in the right partition.

    For after a fix: a rule that was widened, a producer that chose the wrong partition. What still
    breaks the rule is rejected again. Each letter keeps its own new log_id, so sending it twice
    within two ingest slots counts once; records that do not decode cannot be sent.

    \b
    impressions rejected replay --reason wrong_partition
    """
    from impressions.kafka.dead_letters import revived
    from impressions.producer import Producer

    counts = Counter(letters=0, impressions=0, unreadable=0)
    left = 0
    with Producer(settings) as producer:
        for letter in _letters(settings, reason):
            log = revived(letter)
            if log is None or not log.HasField("profile_id") or log.profile_id < 0:
                counts["unreadable"] += 1
                continue
            counts["letters"] += 1
            counts["impressions"] += letter.counts
            if not dry_run:
                producer.send_message(log)
        left = producer.flush()
    verb_ = "would send" if dry_run else "sent"
    emit(
        {**counts, "not_delivered": left, "dry_run": dry_run},
        json=json,
        table=f"{verb_} {counts['impressions']:,} impressions of {counts['letters']:,} letters; "
        f"{counts['unreadable']:,} cannot be sent",
    )
    if left:
        raise ServiceError(f"{left} records were not delivered", hint="run it again")


def _letters(settings: Settings, reasons: list[str] | None) -> Iterator[DeadLetter]:
    from impressions.kafka.dead_letter_topic import dead_letters

    wanted = set(reasons or ())
    return (x for x in dead_letters(settings) if not wanted or wanted & set(x.reasons))
