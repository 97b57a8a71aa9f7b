"""The same rows as protobuf messages, one per row, and as one Parquet file with zstd.

Both hold what a block holds and no more precision: float32 sums, but float64 for the 1-day
half-life, whose sums of a year ago are below float32. (A block stores their fourth root.)
"""

from __future__ import annotations

import io
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

from impressions.core.decay import Int
from impressions.core.item import location_of, title_of
from impressions.core.rows import Rows
from impressions.core.spec import Spec

_INT64, _FLOAT, _DOUBLE = (
    FieldDescriptorProto.TYPE_INT64,
    FieldDescriptorProto.TYPE_FLOAT,
    FieldDescriptorProto.TYPE_DOUBLE,
)


def _message() -> Any:
    """message Row { ...; repeated double day_sums = 8; repeated float sums = 9; }
    message Profile { repeated Row rows = 1; }"""
    file = FileDescriptorProto(name="naive.proto", syntax="proto3")
    row = file.message_type.add(name="Row")
    names = ("title_id", "location", "last_seen_ms", "tail_age", "impressions", "plays")
    for number, name in enumerate(names, 1):
        row.field.add(name=name, number=number, type=_INT64, label=1)
    row.field.add(name="dwell_s", number=7, type=_FLOAT, label=1)
    row.field.add(name="day_sums", number=8, type=_DOUBLE, label=3)
    row.field.add(name="sums", number=9, type=_FLOAT, label=3)
    profile = file.message_type.add(name="Profile")
    profile.field.add(name="rows", number=1, type=11, label=3, type_name=".Row")
    pool = DescriptorPool()
    pool.Add(file)
    return GetMessageClass(pool.FindMessageTypeByName("Profile"))


Profile = _message()


def as_protobuf(rows: Rows, tail_age: Int) -> bytes:
    """One message of one message per row; `tail_age` is 0 outside the tail."""
    profile = Profile()
    columns = zip(
        title_of(rows.items).tolist(),
        location_of(rows.items).tolist(),
        rows.last_seen_ms.tolist(),
        tail_age.tolist(),
        rows.totals.T.tolist(),
        rows.sums[:, 0].T.tolist(),
        rows.sums[:, 1:].reshape(-1, len(rows)).T.tolist(),
        strict=True,
    )
    for title, location, last_seen_ms, age, (
        impressions,
        plays,
        dwell_s,
    ), day_sums, sums in columns:
        profile.rows.add(
            title_id=title,
            location=location,
            last_seen_ms=last_seen_ms,
            tail_age=age,
            impressions=int(impressions),
            plays=int(plays),
            dwell_s=dwell_s,
            day_sums=day_sums,
            sums=sums,
        )
    data: bytes = profile.SerializeToString()
    return data


def as_parquet(profiles: list[tuple[int, Rows, Int]], spec: Spec) -> bytes:
    """All profiles in one file, ascending by profile; a plainly named column per sum."""
    tables = [_table(*profile, spec) for profile in profiles]
    sink = io.BytesIO()
    pq.write_table(pa.concat_tables(tables), sink, compression="zstd")
    return sink.getvalue()


def _table(profile_id: int, rows: Rows, tail_age: Int, spec: Spec) -> pa.Table:
    columns = {
        "profile_id": pa.array([profile_id] * len(rows), pa.int64()),
        "title_id": pa.array(title_of(rows.items)),
        "location": pa.array(location_of(rows.items), pa.int32()),
        "last_seen": pa.array(rows.last_seen_ms, pa.timestamp("ms")),
        "tail_age": pa.array(tail_age, pa.int32()),
    }
    for measure, total in zip(spec.measures, rows.totals, strict=True):
        kind = pa.int64() if measure.integral else pa.float32()
        columns[measure.name] = pa.array(total).cast(kind, safe=False)
    for m, measure_name in enumerate(spec.measure_names):
        for h, half_life_days in enumerate(spec.half_lives_days):
            kind = pa.float64() if half_life_days == 1 else pa.float32()
            name = spec.decayed_name(measure_name, half_life_days)
            columns[name] = pa.array(rows.sums[m, h]).cast(kind, safe=False)
    return pa.table(columns)
