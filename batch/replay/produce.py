"""`impressions produce`: a file of events becomes live traffic."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from batch.mapping import flags
from impressions.clock import monotonic_s, now_ms
from impressions.core.errors import ServiceError
from impressions.core.event import Reason
from impressions.process.command import DryRun, Json, verb
from impressions.settings.model import Settings
from impressions.terminal.console import emit, human_time, progress, say, warn

if TYPE_CHECKING:
    from batch.replay.events import Events
    from batch.replay.flushes import Logs
    from impressions.core.decay import Float
    from impressions.producer import Producer

_NAP_S = 0.005  # shorter waits are not worth a sleep
_FLUSH_S = 60.0

_Files = Annotated[
    list[str],
    typer.Option("--from", metavar="PATH", help="Parquet, CSV or JSON lines; repeatable."),
]
_Rate = Annotated[
    float | None, typer.Option(min=1e-3, help="Impressions per second.", show_default="all at once")
]
_Speed = Annotated[
    float | None,
    typer.Option(min=1e-6, metavar="X", help="X times as fast as they arrived; 1 is real time."),
]
_Shift = Annotated[
    bool,
    typer.Option("--shift-to-now", help="Move all event times so that the newest is now."),
]
_NewIds = Annotated[
    bool,
    typer.Option(
        "--new-log-ids", help="New log ids at each run: the same file sent again counts again."
    ),
]


@verb
def command(
    settings: Settings,
    from_: _Files,
    map_: flags.Map = None,
    mapping: flags.MappingFile = None,
    ingest_time: flags.IngestTime = None,
    separator: flags.Separator = None,
    encoding: flags.Encoding = None,
    no_header: flags.NoHeader = False,
    timezone: flags.Timezone = None,
    location: flags.Location = None,
    rate: _Rate = None,
    replay_speed: _Speed = None,
    shift_to_now: _Shift = False,
    new_log_ids: _NewIds = False,
    json: Json = False,
    dry_run: DryRun = False,
) -> None:
    """Send the impressions of files to Kafka, in the order in which they arrived.

    \b
    Examples:
      impressions produce --from events.parquet --mapping events.toml --rate 500
      impressions produce --from day.csv --map profile_id=user --map title_id=video \\
        --map event_time=ts:ms --ingest-time event --replay-speed 60 --shift-to-now

    The mapping is that of `impressions land`, and so is what one log is; the ingest time decides
    order and distance only, the broker stamps its own. Without a log_id each row is a log whose id
    is made of the file's sha256 and the row's number: within two ingest slots, the same file again
    is dropped as sent before (--new-log-ids counts it again).

    Rows that cannot be sent are left out and counted with their reason; what breaks the rule of
    validity is sent, and rejected by the readers. Exit code 8 when not everything was delivered.
    """
    from batch.mapping.grammar import read_mapping
    from batch.replay.events import read_events
    from batch.replay.flushes import arrange, renamed
    from batch.replay.pace import due_s
    from impressions.kafka import topics

    chosen = read_mapping(
        map_ or [], mapping, ingest_time, separator=separator, encoding=encoding,
        header=False if no_header else None, timezone=timezone, locations=location or [],
    )  # fmt: skip
    if not dry_run:
        topics.source_id(settings)  # before minutes are spent on reading
    events, left_out, notes = read_events(from_, chosen, settings.spec, now_ms())
    for note in notes:
        say(note)
    logs = arrange(events, chosen.ingest_is_event, "log_id" in chosen)
    due = due_s(logs, rate, replay_speed)
    if new_log_ids:
        logs = replace(logs, events=renamed(logs.events, str(now_ms())))
    if shift_to_now and len(events):
        shift_ms = now_ms() - int(events.event_ms.max())
        logs = replace(logs, events=replace(logs.events, event_ms=logs.events.event_ms + shift_ms))
    report = _report(logs, left_out, dry_run)
    _warn_of_rejections(logs.events, settings)
    if not dry_run:
        report |= _send(settings, logs, due)
    emit(report, json=json, table=_summary(report))
    if report["not_delivered"]:
        warn(f"{report['not_delivered']:,} logs were not delivered: {report['errors']}")
        raise typer.Exit(ServiceError.exit_code)


def _report(logs: Logs, left_out: Counter[str], dry_run: bool) -> dict[str, Any]:
    return {
        "dry_run": dry_run,
        "read": len(logs.events) + left_out.total(),
        "impressions": len(logs.events),
        "logs": len(logs),
        "left_out": dict(left_out),
        "newest_event": human_time(int(logs.events.event_ms.max())) if len(logs) else None,
        "records": 0,
        "not_delivered": 0,
        "errors": {},
        "seconds": 0.0,
    }


def _warn_of_rejections(events: Events, settings: Settings) -> None:
    """What the readers would reject if it arrived now: seldom what was meant."""
    import numpy as np

    from impressions.core import event

    reasons, _ = event.check(
        events.profile_id,
        events.title_id,
        events.location,
        events.event_ms,
        np.full(len(events), now_ms()),
        events.dwell_s,
        settings.spec,
    )
    found = Counter(Reason(reason).label for reason in reasons.tolist() if reason)
    if found:
        most = ", ".join(f"{n:,} {label}" for label, n in found.most_common())
        say(f"the readers will reject {found.total():,} of {len(events):,} impressions: {most}")
        if Reason.OUT_OF_WINDOW.label in found:
            say("--shift-to-now moves all event times so that the newest is now")


def _send(settings: Settings, logs: Logs, due_s: Float) -> dict[str, Any]:
    """Sends every log when it is due; returns what became of them."""
    from impressions.producer import Producer

    began_s = monotonic_s()
    with (
        Producer(settings) as producer,
        progress("produce", total=len(logs.events), unit="items") as bar,
    ):
        send = _sender(producer, logs)
        for log, due in enumerate(due_s.tolist()):
            while (wait_s := began_s + due - monotonic_s()) > _NAP_S:
                time.sleep(min(wait_s, 0.5))
            bar.advance(send(log))
        left = producer.flush(_FLUSH_S)
        counts, errors = producer.counts, producer.errors
    seconds = round(monotonic_s() - began_s, 3)
    return {
        "records": counts.records, "not_delivered": left, "errors": errors, "seconds": seconds,
    }  # fmt: skip


def _sender(producer: Producer, logs: Logs) -> Callable[[int], int]:
    """A function that sends log i and returns its number of impressions. Lists slice quickly."""
    from impressions.kafka.decoded_batch import ABSENT

    events = logs.events
    starts: list[int] = logs.starts.tolist()
    profiles, log_ids = events.profile_id.tolist(), events.log_id.tolist()
    devices, versions = events.device_type.tolist(), events.app_version.tolist()
    columns = {
        "title_ids": events.title_id.tolist(),
        "event_time_ms": events.event_ms.tolist(),
        "locations": events.location.tolist(),
        "played": events.played.tolist(),
        "dwell_s": events.dwell_s.tolist(),
    }
    optional = {"rows": events.row.tolist(), "positions": events.position.tolist()}

    def send(log: int) -> int:
        start, end = starts[log], starts[log + 1]
        given = {name: values[start:end] for name, values in optional.items()}
        producer.add(
            profiles[start],
            log_ids[start],
            device_type=devices[start],
            app_version=versions[start],
            **{name: values[start:end] for name, values in columns.items()},
            **{name: values for name, values in given.items() if ABSENT not in values},
        )
        return end - start

    return send


def _summary(report: dict[str, Any]) -> str:
    verb_ = "would send" if report["dry_run"] else "sent"
    left_out = ", ".join(f"{n:,} {reason}" for reason, n in report["left_out"].items())
    return (
        f"{verb_} {report['impressions']:,} impressions in {report['logs']:,} logs and "
        f"{report['records']:,} records in {report['seconds']:.1f} s; "
        f"not delivered: {report['not_delivered']:,} logs; left out: {left_out or 'none'}"
    )
