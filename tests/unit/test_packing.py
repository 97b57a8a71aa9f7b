"""Packing: sorted rows of the aggregate table become profile blocks, however they are cut."""

import random
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch.exporting.profile_packing import check_order, pack, ranks
from batch.lake.ema_columns import NOT_TAIL, columns_of
from impressions.core import window
from impressions.core.errors import CorruptData
from impressions.core.item import location_of, profile_of_key, title_of
from impressions.core.spec import DAY_MS, Spec
from impressions.formats import profile_block

SPEC = Spec()
CUTOVER_MS = 20_772 * DAY_MS
FIRST_DAY = window.first_day(CUTOVER_MS, SPEC)
INTEGERS = ("profile_id", "title_id", "location", "impressions", "plays")


def table(keys, seed=1):
    """Rows with these (profile, tail day or None, title, location) and random numbers; no sums of
    plays where there was no play."""
    rng = random.Random(seed)
    rows: list[dict] = [
        {
            "profile_id": profile, "tail_day": day, "title_id": title, "location": location,
            "last_seen": (CUTOVER_MS - rng.randint(0, 300 * DAY_MS)) * 1000,
            "impressions": rng.randint(1, 500), "plays": rng.randint(0, 3),
            **{name: rng.random() for name in ("dwell_s", *SPEC.decayed_names)},
        }
        for profile, day, title, location in keys
    ]  # fmt: skip
    for row in rows:
        row.update({n: 0.0 for n in SPEC.decayed_names if n[:5] == "plays" and not row["plays"]})
    types = {name: pa.int64() for name in INTEGERS} | {"location": pa.int32()}
    types |= {"tail_day": pa.date32(), "last_seen": pa.timestamp("us", "UTC")}
    names = [*INTEGERS, "tail_day", "last_seen", "dwell_s", *SPEC.decayed_names]
    columns = {n: pa.array([r[n] for r in rows], types.get(n, pa.float64())) for n in names}
    return pa.table(columns)


def random_keys(seed, profiles=30):
    rng = random.Random(seed)
    keys = {
        (
            profile * 1000 + rng.randint(0, 1),
            rng.choice([None, None, FIRST_DAY, FIRST_DAY + 27]),
            rng.randint(1, 9),
            rng.randint(0, 255),
        )
        for profile in range(profiles)
        for _ in range(rng.randint(1, 40))
    }
    return sorted(keys, key=lambda key: (key[0], -1 if key[1] is None else key[1], *key[2:]))


def packed(rows, cuts=()):
    """The rows in pieces that end at these places, which must be those of profiles."""
    pieces = [rows.slice(a, b - a) for a, b in pairwise([0, *cuts, rows.num_rows])]
    columns = [columns_of(piece, SPEC) for piece in pieces if piece.num_rows]
    return list(pack(columns, CUTOVER_MS, SPEC))


def test_sums_without_a_total_are_refused():
    """Decayed plays of titles that were not played, it says."""
    rows = table(random_keys(seed=3))
    at = rows.column_names.index("plays")
    rows = rows.set_column(at, "plays", pa.array([0] * rows.num_rows, pa.int64()))
    with pytest.raises(CorruptData, match="decayed plays, but plays 0"):
        packed(rows)


def test_every_row_is_in_the_block_of_its_profile():
    """Keys in order, and each number as it came (float32 where the block stores float32)."""
    rows = table(random_keys(seed=3))
    found = []
    for one in packed(rows):
        block = profile_block.decode(one.block, SPEC)
        body, tail = block.rows(), block.tail_from(FIRST_DAY)
        assert one.entries == len(body) + len(tail)
        profile = profile_of_key(one.key)
        for part, days in ((body, [None] * len(body)), (tail, ["tail"] * len(tail))):
            for i, day in enumerate(days):
                found.append(
                    (
                        profile, day, title_of(part.items)[i], location_of(part.items)[i],
                        part.last_seen_ms[i], *part.totals[:2, i], part.sums[:, :, i].ravel(),
                    )
                )  # fmt: skip
    expected = rows.to_pylist()
    assert len(found) == len(expected)
    for got, want in zip(found, expected, strict=True):
        assert got[0] == want["profile_id"]
        assert (got[1] is None) == (want["tail_day"] is None)
        assert got[2:4] == (want["title_id"], want["location"])
        assert got[4] == round(want["last_seen"].timestamp() * 1000)
        assert got[5:7] == (want["impressions"], want["plays"])
        assert got[7] == pytest.approx([want[name] for name in SPEC.decayed_names], rel=1e-6)


@pytest.mark.parametrize("seed", range(20))
def test_cut_anywhere_equals_whole(seed):
    """Where profiles end."""
    rows, rng = table(random_keys(seed)), random.Random(seed)
    profiles = rows.column("profile_id").to_pylist()
    ends = [i for i in range(1, len(profiles)) if profiles[i] != profiles[i - 1]]
    cuts = sorted(rng.sample(ends, rng.randint(0, len(ends))))
    assert packed(rows, cuts) == packed(rows)


@pytest.mark.parametrize("seed", range(5))
def test_pieces_in_any_order_give_the_same_blocks(seed):
    """Whole profiles whose rows lie as in a data file, or anyhow."""
    rows, rng = table(random_keys(seed)), random.Random(seed)
    profiles = rows.column("profile_id").to_pylist()
    middle = profiles.index(rng.choice(profiles))
    pieces = []
    for part in (rows.slice(0, middle), rows.slice(middle)):
        order = rng.sample(range(part.num_rows), part.num_rows)
        pieces.append(columns_of(part.take(pa.array(order, pa.int64())), SPEC))
    pieces = [piece for piece in pieces if len(piece.rows)]
    assert list(pack(pieces, CUTOVER_MS, SPEC)) == packed(rows)


def test_rows_that_come_twice_are_refused_also_when_sorted():
    rows = table([(1, None, 2, 0), (1, None, 1, 0), (1, None, 2, 0)])
    with pytest.raises(CorruptData, match="each once"):
        packed(rows)


def test_profiles_that_come_again_in_a_later_piece_are_refused():
    rows = table([(1, None, 1, 0), (1, None, 2, 0)])
    with pytest.raises(CorruptData, match="profile 1 comes after profile 1"):
        packed(rows, cuts=[1])


def test_no_rows_no_blocks():
    assert packed(table([])) == []


@pytest.mark.parametrize(
    "keys",
    [
        [(2, None, 1, 0), (1, None, 1, 0)],
        [(1, None, 2, 0), (1, None, 1, 0)],
        [(1, None, 1, 1), (1, None, 1, 0)],
        [(1, None, 1, 0), (1, None, 1, 0)],
        [(1, FIRST_DAY, 1, 0), (1, None, 2, 0)],
        [(1, FIRST_DAY + 1, 1, 0), (1, FIRST_DAY, 2, 0)],
    ],
    ids=["profiles", "titles", "locations", "repeated", "tail first", "tail days"],
)
def test_rows_out_of_order_are_refused(keys):
    """A reader searches blocks by bisection, so order is not a detail."""
    with pytest.raises(CorruptData, match="not come after"):
        check_order(columns_of(table(keys), SPEC), after=-1)


def test_null_is_refused():
    rows = table([(1, None, 1, 0)])
    at = rows.column_names.index("plays_hl_7d")
    holed = rows.set_column(at, "plays_hl_7d", pa.array([None], pa.float64()))
    with pytest.raises(CorruptData, match="1 nulls in plays_hl_7d"):
        packed(holed)


def test_blocks_are_the_same_bytes_each_time():
    rows = table(random_keys(seed=11))
    assert packed(rows) == packed(rows)
    assert np.unique([one.key for one in packed(rows)]).size == len(packed(rows))


COLUMN = {
    "profile": st.sampled_from([0, 1, 7, 2**63 - 1]),
    "day": st.sampled_from([NOT_TAIL, 0, FIRST_DAY, FIRST_DAY + 27]),
    "item": st.sampled_from([0, 1, 255, 2**33]),
}


@given(st.lists(st.tuples(*COLUMN.values()), min_size=1, max_size=40))
def test_one_number_sorts_rows_as_their_three_columns_do(keys):
    """Rows of ascending profiles, repeated ones too."""
    keys.sort(key=lambda key: key[0])
    rank = ranks(*np.array(keys, np.int64).T)
    by_rank = [keys[i] for i in np.argsort(rank, kind="stable")]
    assert by_rank == sorted(keys)
    assert len(set(rank.tolist())) == len(set(keys))


def test_rows_that_one_number_cannot_sort_have_none():
    """Items of 60 bits beside four profiles; profiles that descend; negative items; no rows."""
    four, day = np.arange(4), np.full(4, FIRST_DAY)
    assert ranks(four, day, np.arange(4)) is not None
    assert ranks(four, day, four << 60) is None
    assert ranks(four[::-1], day, four) is None
    assert ranks(four, day, four - 1) is None
    assert ranks(four[:0], day[:0], four[:0]) is None
