"""The oracle: what answers must be, in plain Python over raw logs; shares no product code.

A log is (profile, log_id or None, ingest_ms, [impression, ...]); an impression is a dict with
title, location, event_ms, played (0/1), dwell_s; missing is None. Logs come in arrival order.
"""

DAY = 86_400_000
HALF_LIVES = (1, 7, 30, 180, 365)


def why_rejected(profile, log_ingest_ms, e):
    if profile is None or e["title"] is None or e["event_ms"] is None or log_ingest_ms is None:
        return "missing"
    if not (0 <= profile < 2**63 and 0 <= e["title"] < 2**55 and 0 <= e["location"] < 256):
        return "bad id"
    if not 0 <= e["dwell_s"] <= 86_400:
        return "bad dwell"
    if log_ingest_ms - e["event_ms"] > 337 * DAY:
        return "out of window"
    return None


def accept(logs, slot_ms=DAY):
    """([(profile, event, ingest_ms), ...] that count, how many were applied, dropped, rejected)."""
    seen, applied, counts = {}, [], {"applied": 0, "duplicate": 0, "rejected": 0}
    for profile, log_id, ingest_ms, impressions in logs:
        valid = [e for e in impressions if why_rejected(profile, ingest_ms, e) is None]
        counts["rejected"] += len(impressions) - len(valid)
        if not valid:
            continue
        slot, before = ingest_ms // slot_ms, seen.get((profile, log_id))
        if log_id is not None:
            seen[profile, log_id] = slot
            if before is not None and slot - before <= 1:
                counts["duplicate"] += len(valid)
                continue
        counts["applied"] += len(valid)
        for e in valid:
            ahead = e["event_ms"] - ingest_ms > 5 * 60_000
            event_ms = ingest_ms if ahead else e["event_ms"]
            applied.append((profile, {**e, "event_ms": event_ms}, ingest_ms))
    return applied, counts


def answers(applied, query_ms):
    """{(profile, title, location): {"last_seen_ms", measure: total, (measure, half-life): sum}}."""
    out = {}
    for profile, e, _ in applied:
        if e["event_ms"] // DAY <= query_ms // DAY - 365:
            continue
        row = out.setdefault((profile, e["title"], e["location"]), {"last_seen_ms": e["event_ms"]})
        row["last_seen_ms"] = max(row["last_seen_ms"], e["event_ms"])
        weights = [(h, 2.0 ** (-(query_ms - e["event_ms"]) / (h * DAY))) for h in HALF_LIVES]
        for measure, x in (("impressions", 1), ("plays", e["played"]), ("dwell_s", e["dwell_s"])):
            row[measure] = row.get(measure, 0) + x
            for h, weight in weights:
                row[measure, h] = row.get((measure, h), 0.0) + x * weight
    return out
