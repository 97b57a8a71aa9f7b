"""A dead letter as a device flush to send again: what was rejected, under an id of its own.

    rejected impressions         those that the dead letter names, out of its device flush
    an unreadable device flush   all of it, if nothing but a text of its device is broken: bytes
                                 that are no UTF-8 become U+FFFD
    anything else                cannot be sent

Its log_id is new, because the other impressions of the flush have counted under the old one. It is
the same each time, so that sending it twice counts once.
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


def flush_to_replay(dead_letter: DeadLetter) -> ImpressionLog | None:
    """The rejected impressions as a device flush to send again; None if nothing can be read."""
    ranges, _ = log_ranges(dead_letter.value)
    if dead_letter.value_bytes is not None or dead_letter.log_index < 0 or len(ranges) != 1:
        return None
    data = dead_letter.value[slice(*ranges[0])]
    flush = message_of(data) or _repaired(data)
    n = None if flush is None else length_of(flush)
    chosen = dead_letter.impressions or range(n or 0)
    if flush is None or not n or chosen[-1] >= n:
        return None
    for name in _PER_IMPRESSION:
        column = getattr(flush, name)
        if len(column):
            column[:] = [column[i] for i in chosen]
    flush.log_id = max(1, hash_id(f"again:{dead_letter.identity}:{flush.log_id}", LOG_BITS))
    return flush


def _repaired(data: bytes) -> ImpressionLog | None:
    """A flush whose device has a text that is no UTF-8; None if more than that is wrong."""
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
    flush = message_of(b"".join(rest))
    if flush is not None:
        flush.device.type, flush.device.app_version = texts[_TYPE], texts[_APP_VERSION]
    return flush
