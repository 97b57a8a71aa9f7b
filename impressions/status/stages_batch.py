"""The batch path, stage by stage, from what was found. Pure."""

from __future__ import annotations

from typing import Any

from impressions.core.slot import slot_start_ms
from impressions.core.spec import DAY_MS
from impressions.settings.model import Settings
from impressions.status.questions import Unknown
from impressions.status.stage import (
    Found,
    Problem,
    Stage,
    State,
    age_s,
    ago,
    deaths,
    future,
    plural,
    unknown,
)
from impressions.terminal.console import human_age, human_bytes, human_time

_FINDINGS = 3  # of each kind, in full


def landed(found: Found, settings: Settings) -> Stage:
    """How far raw is valid, how much waits, and how long the topic still has it."""
    lake, stream = found.lake, found.stream
    if isinstance(lake, Unknown):
        return unknown("landed", lake if not lake.absent else _gone(found) or lake)
    through_ms = lake.valid_through_ms
    line = "nothing says how far raw is valid" if through_ms is None else (
        f"valid through {human_time(through_ms)} ({ago(found.at_ms, through_ms)})"
    )  # fmt: skip
    left, lost = None, 0
    offsets = lake.landed_offsets
    if not isinstance(stream, Unknown) and len(offsets) == len(stream.partitions):
        pairs = [(at, stream.partitions[p]) for p, at in enumerate(offsets)]
        left = sum(max(0, source.end - at) for at, source in pairs)
        lost = sum(max(0, source.first - at) for at, source in pairs)
        line += f", {left:,} records to land"
    facts = {
        "valid_through_ms": through_ms,
        "age_s": age_s(found.at_ms, through_ms),
        "records_to_land": left,
        "records_lost": lost,
        "rows": sum(slot.rows for slot in lake.slots.values()),
        "headroom_s": None,
    }
    known_ms = () if through_ms is None else (through_ms,)
    problems = future(found.at_ms, known_ms, "what raw is valid through")
    problems += [*_behind(found, settings), *deaths(found, "land")]
    if not isinstance(found.headroom, Unknown) and found.headroom.least_ms is not None:
        facts["headroom_s"] = found.headroom.least_ms / 1000
        facts["retention_bytes_set"] = found.headroom.by_bytes
    if lost:
        problem = f"{lost:,} records went from the topic before they were landed"
        problems.append((problem, "impressions land says where"))
    return Stage("landed", "bad" if problems else "ok", line, tuple(problems), facts)


def _gone(found: Found) -> Unknown | None:
    """Why raw must be there: a run that landed rows is on record."""
    jobs = {} if isinstance(found.jobs, Unknown) else found.jobs.by_name
    for name in ("land", "import"):
        if name in jobs and jobs[name].work is not None:
            what = f"the history knows a run of {name} that landed rows, and there is no raw table"
            return Unknown(
                what, "is this its catalog? impressions config, warehouse and catalog_uri"
            )
    return None


def _behind(found: Found, settings: Settings) -> list[Problem]:
    """What a lander that stands still looks like: raw is old, and the topic is about to forget."""
    lake, alerts = found.lake, settings.alerts
    problems: list[Problem] = []
    alive = "is the lander alive? impressions land --every 1h"
    if not isinstance(lake, Unknown) and lake.landed_offsets and lake.valid_through_ms:
        bound_s = alerts.landed_age_h * 3600
        if found.at_ms - lake.valid_through_ms > bound_s * 1000:
            problems.append((f"nothing was landed for more than {human_age(bound_s)}", alive))
    room = found.headroom
    if not isinstance(room, Unknown) and room.least_ms is not None:
        # A topic that keeps records for a few days only is judged by half of that.
        bound_ms = min(alerts.headroom_days * DAY_MS, room.retention_ms / 2)
        if room.least_ms < bound_ms:
            left = f"in {human_age(room.least_ms / 1000)}" if room.least_ms else "now"
            problems.append((f"the topic forgets records that are not landed {left}", alive))
    return problems


def closed(found: Found, settings: Settings) -> Stage:
    """Closed through the first slot that is over and still has undecided rows."""
    lake = found.lake
    if isinstance(lake, Unknown):
        return unknown("closed", lake)
    through_ms = lake.valid_through_ms
    if through_ms is None:
        return Stage("closed", "none", "no slot is over yet")
    due = lake.due
    closed_ms = min(due, default=slot_start_ms(through_ms, settings.spec))
    facts = {
        "closed_through_ms": closed_ms,
        "age_s": age_s(found.at_ms, closed_ms),
        "due_slots": len(due),
        "undecided_rows": sum(lake.slots[slot].undecided for slot in due),
    }
    line = f"closed through {human_time(closed_ms)} ({ago(found.at_ms, closed_ms)})"
    if due:
        line += f", {len(due)} {plural('slot', due)} due: impressions close"
    return Stage("closed", "ok", line, (), facts)


def quality(found: Found) -> Stage:
    """Findings about the days of events; those that hold a generation back come first."""
    lake = found.lake
    if isinstance(lake, Unknown):
        return unknown("quality", lake)
    if lake.quality is None:
        return Stage("quality", "none", "no day was counted yet: impressions close")
    said = lake.quality
    facts = {
        "through_ms": said.through_ms,
        "blocking": list(said.blocking),
        "named": list(said.named),
        "accepted": said.accepted,
    }
    line = f"days through {human_time(said.through_ms)}"
    if not said.blocking and not said.named:
        return Stage("quality", "ok", f"{line}: like the days before", (), facts)
    line += f": {len(said.blocking)} {plural('finding', said.blocking)} to repair or to accept"
    line += f", {len(said.named)} to know" if said.named else ""
    hints = ((said.blocking, "repair the day, or: impressions accept <id> --reason ..."),
             (said.named, None))  # fmt: skip
    problems = tuple((one, hint) for several, hint in hints for one in several[:_FINDINGS])
    return Stage("quality", "bad" if said.blocking else "look", line, problems, facts)


def generations(found: Found, settings: Settings) -> Stage:
    """In the table and in the directory; which of them lack rows that came too late for them.
    What could not be asked is not known, which is something else than none."""
    lake, listed = found.lake, found.published
    in_table = () if isinstance(lake, Unknown) else lake.generations
    known = [] if isinstance(listed, Unknown) else listed
    problems: list[Problem] = [(f"{g.generation}: {g.problem}", None) for g in known if g.problem]
    asked = {"in the table": lake, "exported": listed}
    hidden = {
        where: answer
        for where, answer in asked.items()
        if isinstance(answer, Unknown) and not answer.absent
    }
    problems += [
        (f"what is {where} is not known: {why.because}", why.hint) for where, why in hidden.items()
    ]
    late = [g for g in in_table if g.lacks]
    problems += [
        (f"{g.generation} lacks {g.lacks:,} rows that arrived after it", None) for g in late
    ]
    if late:
        problems[-1] = (problems[-1][0], "the next generation has them: impressions compact")
    whole = [g for g in known if g.state == "complete"]
    facts: dict[str, Any] = {
        "in_table": None if "in the table" in hidden else [
            {"generation": g.generation, "entries": g.entries, "main": g.is_main, "lacks": g.lacks}
            for g in in_table
        ],
        "published": None if "exported" in hidden else [
            {"generation": g.generation, "state": g.state, "profiles": g.profiles} for g in known
        ],
    }  # fmt: skip
    if not in_table and not known:
        state: State = "bad" if problems else "none"
        line = "not known" if hidden else "none yet: impressions compact"
        return Stage("generations", state, line, tuple(problems), facts)
    cutovers_ms = [g.cutover_ms for g in in_table] + [g.cutover_ms for g in whole]
    newest_ms = max(cutovers_ms, default=None)
    if newest_ms is None:
        return Stage("generations", "look", "none is whole", tuple(problems), facts)
    facts |= {"newest_cutover_ms": newest_ms, "newest_age_s": age_s(found.at_ms, newest_ms)}
    counts = {"in the table": len(in_table), "exported": len(whole)}
    counted = [
        f"{'an unknown number' if where in hidden else count} {where}"
        for where, count in counts.items()
    ]
    line = f"{', '.join(counted)}, newest {ago(found.at_ms, newest_ms)}"
    if ahead := future(found.at_ms, (newest_ms,), "the newest cutover"):
        return Stage("generations", "bad", line, (*ahead, *problems), facts)
    bound_s = settings.alerts.generation_age_days * DAY_MS / 1000
    if found.at_ms - newest_ms > bound_s * 1000:
        what = f"the newest generation is more than {human_age(bound_s)} old: a weekly run is late"
        problems = [(what, "docs/runbook/weekly-run-late.md"), *problems]
        return Stage("generations", "bad", line, tuple(problems), facts)
    return Stage("generations", "look" if problems else "ok", line, tuple(problems), facts)


def loaded(found: Found) -> Stage:
    host = found.host
    if isinstance(host, Unknown):
        return unknown("loaded", host)
    usable = [g for g in host.generations if g.state == "loaded" and not g.rolled_back]
    facts = {
        "data_dir": host.data_dir,
        "usable": [g.generation for g in usable],
        "free_bytes": host.free_bytes,
        "generations": [
            {"generation": g.generation, "state": g.state, "rolled_back": g.rolled_back}
            for g in host.generations
        ],
    }
    names = ", ".join(g.generation for g in usable)
    line = f"{names}; {human_bytes(host.free_bytes)} free" if usable else "no generation loaded"
    state: State = "bad" if host.damaged else "look" if host.problems else "ok"
    if state == "ok" and not usable:
        state, line = "none", "no generation loaded: impressions bulkload load latest"
    return Stage("loaded", state, line, tuple(host.problems), facts, damaged=host.damaged)


def active(found: Found, settings: Settings) -> Stage:
    host = found.host
    if isinstance(host, Unknown):
        return unknown("active", host)
    facts: dict[str, Any] = {"generation": host.active, "previous": host.previous}
    if host.active is None:
        return Stage("active", "none", "no generation active", (), facts)
    one = next((g for g in host.generations if g.generation == host.active), None)
    if one is None:
        return Stage("active", "bad", f"{host.active}, which is not on this host", (), facts)
    facts |= {
        "cutover_ms": one.cutover_ms,
        "age_s": age_s(found.at_ms, one.cutover_ms),
        "exact_until_ms": one.exact_until_ms,
        "past_horizon": one.past_horizon,
    }
    line = f"{host.active}, cutover {ago(found.at_ms, one.cutover_ms)}"
    bound_s = settings.alerts.host_generation_age_days * DAY_MS / 1000
    is_old = found.at_ms - one.cutover_ms > bound_s * 1000
    problems = future(found.at_ms, (one.cutover_ms,), "the cutover of what this host answers from")
    if is_old:
        problems.append((f"more than {human_age(bound_s)} old", "docs/runbook/generation-old.md"))
    if one.past_horizon:
        past = ("days that left the window are still counted", "activate a newer generation")
        return Stage("active", "bad" if is_old else "look", line, (*problems, past), facts)
    if problems:
        return Stage("active", "bad", line, tuple(problems), facts)
    left_s = (one.exact_until_ms - found.at_ms) / 1000
    return Stage("active", "ok", f"{line}, exact for {human_age(left_s)} more", (), facts)
