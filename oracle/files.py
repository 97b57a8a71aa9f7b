"""The oracle's reader: rows of a file become the logs that oracle/naive.py judges.

Plain Python over dictionaries; shares no code with the product. `columns` says where each of our
fields is, as "name" or "name:unit", the way a mapping file does. What one log is in a file is
stated in docs/formats.md: with an ingest column, rows of one (profile, log_id, ingest time), a row
repeated in every column belonging to a later copy of the log; without one, each row by itself,
known by its log_id and its content.
"""

import hashlib
from datetime import UTC, datetime

SCALE_MS = {"s": 1000, "ms": 1, "us": 0.001}


def time_ms(value, unit):
    if value is None:
        return None
    if unit in SCALE_MS:
        return (
            int(value * 1000 // 1) if unit == "s" else int(value) // (1000 if unit == "us" else 1)
        )
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400_000_000 + since.seconds * 1_000_000 + since.microseconds) // 1000


def integer(value, unit, bits):
    if value is None or unit != "hash":
        return value
    return int.from_bytes(hashlib.sha256(value.encode()).digest()[:8], "big") & ((1 << bits) - 1)


def log_id_of(row, column, unit):
    if column.startswith("hash("):
        return tuple(row[name.strip()] for name in column[5:-1].split(","))
    return integer(row[column.partition(":")[0]], unit, 63) if column else None


def logs_of(rows, columns):
    """Rows (dictionaries, in file order) as logs in order of arrival."""
    where = {field: (*column.split(":"), "")[:2] for field, column in columns.items()}

    def get(row, field):
        return row[where[field][0]] if field in where else None

    def unit(field):
        return where.get(field, ("", ""))[1]

    copies, logs = {}, {}
    for number, row in enumerate(rows):
        profile = integer(get(row, "profile_id"), unit("profile_id"), 63)
        event_ms = time_ms(get(row, "event_time"), unit("event_time"))
        by_ingest = "ingest_time" in where
        ingest_ms = time_ms(get(row, "ingest_time"), unit("ingest_time")) if by_ingest else event_ms
        log_id = log_id_of(row, columns.get("log_id", ""), unit("log_id"))
        content = (profile, log_id, ingest_ms, *(get(row, f) for f in where if f != "log_id"))
        copy = copies[content] = copies.get(content, -1) + 1
        log_key = (profile, log_id, ingest_ms, copy) if log_id is not None and by_ingest else number
        identity = log_id if by_ingest or log_id is None else content
        dwell = get(row, "dwell_s") or 0
        event = {
            "title": integer(get(row, "title_id"), unit("title_id"), 55),
            "location": get(row, "location") or 0,
            "event_ms": event_ms,
            "played": int(bool(get(row, "played"))),
            "dwell_s": dwell / 1000 if unit("dwell_s") == "ms" else dwell,
        }
        logs.setdefault(log_key, (profile, identity, ingest_ms, []))[3].append(event)
    return sorted(logs.values(), key=lambda log: (log[2] is not None, log[2] or 0))
