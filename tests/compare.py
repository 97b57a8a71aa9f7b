"""Compare the product's rows with the oracle's, pair by pair; `differences` is empty when equal.

`unlike` compares values that may be large. pytest writes a line-by-line difference of what an
`assert a == b` compares, which takes minutes for a megabyte of bytes.
"""

import math
from collections.abc import Mapping

from impressions.core.item import location_of, title_of
from impressions.core.rows import Rows
from impressions.core.spec import Spec


def as_dict(profile: int, rows: Rows, spec: Spec) -> dict:
    """Rows in the form of tests.naive.answers."""
    out = {}
    for i, (title, location) in enumerate(
        zip(title_of(rows.items).tolist(), location_of(rows.items).tolist(), strict=True)
    ):
        row = {"last_seen_ms": int(rows.last_seen_ms[i])}
        for m, measure in enumerate(spec.measure_names):
            row[measure] = float(rows.totals[m, i])
            for h, half_life in enumerate(spec.half_lives_days):
                row[measure, half_life] = float(rows.sums[m, h, i])
        out[profile, title, location] = row
    return out


def differences(found: dict, expected: dict, rel_tol: float) -> list[str]:
    """What differs: missing and surplus pairs, integers not equal, floats beyond `rel_tol`."""
    out = [f"{key}: missing" for key in expected.keys() - found.keys()]
    out += [f"{key}: not expected" for key in found.keys() - expected.keys()]
    for key in expected.keys() & found.keys():
        for column, want in expected[key].items():
            got = found[key][column]
            exact = column in ("last_seen_ms", "impressions", "plays")
            if got != want if exact else not math.isclose(got, want, rel_tol=rel_tol):
                out.append(f"{key} {column}: {got!r}, expected {want!r}")
    return sorted(out)


def unlike(found, expected) -> list[str]:
    """The keys, or places, whose values are missing (or None), not expected, or other ones."""
    found, expected = _by_key(found), _by_key(expected)
    found = {key: value for key, value in found.items() if value is not None}
    out = [f"{_name(key)}: missing" for key in expected.keys() - found.keys()]
    out += [f"{_name(key)}: not expected" for key in found.keys() - expected.keys()]
    common = expected.keys() & found.keys()
    return sorted(out + [f"{_name(key)}: differs" for key in common if found[key] != expected[key]])


def _by_key(values) -> Mapping:
    return values if isinstance(values, Mapping) else dict(enumerate(values))


def _name(key) -> str:
    return key.hex() if isinstance(key, bytes) else str(key)
