"""The worked example of docs/architecture.md: its tables are read, computed again and compared.

Inputs and results both come from the page, so neither can change without the other. The product's
own parts answer (profile block, `speed.apply`, merge, project); the oracle answers beside them.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from impressions.core import slot
from impressions.core.answer import Query, project
from impressions.core.merge import merge, plus
from impressions.core.spec import Spec
from impressions.formats import delta_block, profile_block
from impressions.formats.delta_block import DeltaBlock
from impressions.kafka.decoded_batch import decode
from oracle import naive
from speed.applying.apply import apply
from tests.blocks import profile_block_of
from tests.speed.records import record_bytes

PAGE = Path(__file__).parents[2] / "docs" / "architecture.md"
SECTION = re.search(r"## One profile, followed in numbers\n(.*?)\n## ", PAGE.read_text(), re.DOTALL)
SPEC = Spec()
PROFILE, SHARDS = 42, 4
COLUMNS = [("impressions", None), ("impressions", 7), ("plays", 7), ("dwell_s", 365)]


def ms(text: str) -> int:
    return slot.parse_logical_date(text.replace(" ", "T"), Spec(slot_ms=1000))


CUTOVER_MS = ms("2026-11-15")


def tables() -> list[list[list[str]]]:
    """Every table of the section, without heads, as cells."""
    assert SECTION is not None, "the section is there under this name"
    parsed: list[list[list[str]]] = []
    for table in re.findall(r"((?:^ *\|.*\|$\n?)+)", SECTION[1], re.MULTILINE):
        lines = table.strip().splitlines()[2:]
        parsed.append([[cell.strip() for cell in line.strip(" |").split("|")] for line in lines])
    return parsed


def log_of(cells: list[str]) -> tuple[int, int, int, list[dict[str, Any]]]:
    """A row of `log | ingest | event | title | location | played | dwell_s` as the oracle's log."""
    log, ingest, event, title, location, played, dwell_s = cells
    seen = {"title": int(title), "location": int(location), "event_ms": ms(event),
            "played": int(played == "yes"), "dwell_s": float(dwell_s)}  # fmt: skip
    return PROFILE, int(log), ms(ingest), [seen]


BATCH, AT_CUTOVER, WEEK_LATER, STREAM, AT_NOON = tables()
BATCH_LOGS = [log_of(cells) for cells in BATCH]
STREAM_LOGS = [log_of(cells[1:]) for cells in STREAM]


def numbers(rows: list[list[str]]) -> dict[int, list[float]]:
    """Title -> the numbers of its row; of a sum that is written out, what it comes to."""
    return {int(row[0]): [float(cell.split("=")[-1]) for cell in row[1:]] for row in rows}


def streamed() -> tuple[DeltaBlock, int]:
    """The one block of the live half, through its bytes, and how many they are."""
    values = [record_bytes((profile, log, events)) for profile, log, _, events in STREAM_LOGS]
    ingest_ms = np.array([log[2] for log in STREAM_LOGS], np.int64)
    batch = decode(values, ingest_ms, 0, SHARDS, SPEC)
    done = apply(batch, np.arange(len(values)), lambda _: None, 1, SPEC)
    assert (done.applied, done.duplicate) == (2, 1)
    ((_, block),) = done.blocks.items()
    data = delta_block.encode(block, SPEC)
    return delta_block.decode(data, SPEC), len(data)


def answered(query: str, cutover_ms: int, logs: list[Any], deltas: list[DeltaBlock]) -> Any:
    """Title -> numbers, from a generation of `logs` and the stream's blocks."""
    applied, _ = naive.accept(logs)
    data = profile_block_of([event for _, event, _ in applied], cutover_ms, SPEC)
    block = profile_block.decode(data, SPEC)
    rows = merge(ms(query), cutover_ms, block, deltas, SPEC)
    wanted = Query(SPEC.measure_names, SPEC.half_lives_days, totals=True, ema_rates=True)
    got = project(rows, wanted, SPEC)
    columns = [got.totals[m] if h is None else got.decayed[m, h] for m, h in COLUMNS]
    columns.append(got.ema_rates["impressions", 7])
    table = np.stack(columns, axis=1).tolist()
    return dict(zip(got.title_ids.tolist(), table, strict=True))


def by_the_oracle(query: str, logs: list[Any]) -> dict[int, list[float]]:
    rows = naive.answers(naive.accept(logs)[0], ms(query))
    return {
        title: [row[m] if h is None else row[m, h] for m, h in COLUMNS]
        for (_, title, _), row in rows.items()
    }


def assert_same(shown: dict[int, list[float]], *answers: dict[int, list[float]]) -> None:
    """To the digits that the page has: rounded to six decimals or two digits of a tiny number."""
    for answer in answers:
        assert answer.keys() == shown.keys()
        for title, row in shown.items():
            got = answer[title][: len(row)]
            assert got == pytest.approx(row[: len(got)], rel=0.02 if row[1] < 1e-6 else 1e-5)


def test_the_answer_at_the_cutover() -> None:
    """Step 4: the generation alone."""
    got = answered("2026-11-15", CUTOVER_MS, BATCH_LOGS, [])
    assert_same(numbers(AT_CUTOVER), got, by_the_oracle("2026-11-15", BATCH_LOGS))


def test_the_answer_a_week_later() -> None:
    """Step 5: the same generation; the tail day has left the window."""
    got = answered("2026-11-22", CUTOVER_MS, BATCH_LOGS, [])
    assert_same(numbers(WEEK_LATER), got, by_the_oracle("2026-11-22", BATCH_LOGS))


def test_what_the_stream_makes_of_three_records() -> None:
    """Step 6: one block under the profile and its slot, its size, version, logs and sum."""
    block, size_bytes = streamed()
    assert SECTION is not None
    assert f"block of {size_bytes} bytes results" in " ".join(SECTION[1].split())
    assert (block.slot_start_ms, block.epoch, block.offset) == (CUTOVER_MS, 1, 2)
    assert block.log_ids.tolist() == [104, 105]
    rows = plus([block.rows(SPEC)], SPEC)
    assert rows.totals[:, 0].tolist() == [2, 1, 34]
    assert rows.sums[0, 1, 0] == pytest.approx(2.000613, rel=1e-6)
    assert "**2.000613**" in SECTION[1]


def test_both_halves_at_noon() -> None:
    """Step 7: generation and stream are brought to the query time, then added."""
    block, _ = streamed()
    got = answered("2026-11-15 12:00:00", CUTOVER_MS, BATCH_LOGS, [block])
    everything = [*BATCH_LOGS, *STREAM_LOGS]
    # Title 9 is in the answer too; the page follows title 7.
    at_noon, oracle = {7: got[7]}, {7: by_the_oracle("2026-11-15 12:00:00", everything)[7]}
    assert_same(numbers(AT_NOON), at_noon, oracle)


def test_the_next_generation_answers_the_same() -> None:
    """Step 8: the old generation with the block, the new one that owns its slot."""
    block, _ = streamed()
    everything = [*BATCH_LOGS, *STREAM_LOGS]
    old = answered("2026-11-16", CUTOVER_MS, BATCH_LOGS, [block])
    new = answered("2026-11-16", ms("2026-11-16"), everything, [block])
    assert SECTION is not None
    shown = re.search(r"answer the same: ([\d., ]+)\.", " ".join(SECTION[1].split()))
    assert shown is not None
    row = {7: [float(number) for number in shown[1].split(", ")]}
    assert_same(row, {7: old[7]}, {7: new[7]}, {7: by_the_oracle("2026-11-16", everything)[7]})
