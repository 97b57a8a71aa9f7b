"""Records and the oracle's flushes of the same events, for the tests of the stream.

An event is a dict as in oracle/naive.py; a log is (profile, log_id, [event, ...]).
"""

from impressions.v1.impression_record_pb2 import ImpressionLog, ImpressionRecord


def log_message(profile, log_id, events) -> ImpressionLog:
    log = ImpressionLog(log_id=log_id, profile_id=profile)
    for e in events:
        log.title_ids.append(e["title"])
        log.locations.append(e["location"])
        log.event_time_ms.append(e["event_ms"])
        log.played.append(bool(e["played"]))
        log.dwell_s.append(e["dwell_s"])
    return log


def record_bytes(*logs) -> bytes:
    """The value of one Kafka record."""
    return ImpressionRecord(logs=[log_message(*log) for log in logs]).SerializeToString()
