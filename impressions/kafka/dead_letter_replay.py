"""A dead letter as a log to send again: what was rejected, under an id of its own.

    rejected impressions   those that the dead letter names, out of its log
    an unreadable log      all of it, if nothing but a text of its device is broken: bytes that are
                           no UTF-8 become U+FFFD
    anything else          cannot be sent

Its log_id is new, because the rest of the log has counted under the old one, and the same each
time, so that sending it twice counts once.
"""

from __future__ import annotations

from impressions.core.ids import LOG_BITS, hash_id
from impressions.formats.device_flushes import length_of, message_of
from impressions.formats.flush_framing import Malformed, fields, log_ranges
from impressions.kafka.dead_letters import DeadLetter
from impressions.v1.impression_record_pb2 import ImpressionLog

_PER_IMPRESSION = (
    "title_ids", "locations", "rows", "positions", "event_time_ms", "played", "dwell_s"
)  # fmt: skip
_BYTES, _DEVICE, _TYPE, _APP_VERSION = 2, 3, 1, 2


def revived(dead_letter: DeadLetter) -> ImpressionLog | None:
    """The rejected impressions as a log to send again; None where nothing can be read."""
    ranges, _ = log_ranges(dead_letter.value)
    if dead_letter.value_bytes is not None or dead_letter.log_index < 0 or len(ranges) != 1:
        return None
    data = dead_letter.value[slice(*ranges[0])]
    log = message_of(data) or mended(data)
    n = None if log is None else length_of(log)
    chosen = dead_letter.impressions or range(n or 0)
    if log is None or not n or chosen[-1] >= n:
        return None
    for name in _PER_IMPRESSION:
        column = getattr(log, name)
        if len(column):
            column[:] = [column[i] for i in chosen]
    log.log_id = max(1, hash_id(f"again:{dead_letter.identity}:{log.log_id}", LOG_BITS))
    return log


def mended(data: bytes) -> ImpressionLog | None:
    """A log whose device has a text that is no UTF-8; None where more than that is wrong."""
    rest, texts = [], {_TYPE: "", _APP_VERSION: ""}
    try:
        for field in fields(data):
            if field.tag == _DEVICE << 3 | _BYTES:
                device = data[field.start : field.end]
                for text in fields(device):
                    if text.tag & 7 == _BYTES and text.number in texts:
                        texts[text.number] = device[text.start : text.end].decode(errors="replace")
            else:
                rest.append(data[field.begin : field.end])
    except Malformed:
        return None
    log = message_of(b"".join(rest))
    if log is not None:
        log.device.type, log.device.app_version = texts[_TYPE], texts[_APP_VERSION]
    return log
