"""A disk that fills up under the copy of the deltas: reads go on, and room is all it takes.

The disk is a small tmpfs in a mount namespace of its own; the follower is the real process, started
again by a loop as its server would. The test looks into the namespace through /proc/<pid>/root.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from impressions.deltas.store import open_secondary
from impressions.formats.delta_block import key
from tests.broker import stream_settings
from tests.compare import unlike
from tests.deltas.follow import NOW_MS, block, through_of
from tests.deltas.support import Publisher
from tests.faults.test_load_full_disk import NAMESPACE, can_mount, fill
from tests.live import until

pytestmark = [pytest.mark.kafka, pytest.mark.slow]
DISK_MIB = 96
SLOT_MS = 20_000
AGAIN = 'until "$@"; do echo x >> {mark}; done'


@pytest.fixture
def follower(tmp_path, broker):
    """(settings, disk as seen from here, file with a line for each failure of the process)."""
    if not can_mount(tmp_path):
        pytest.skip("no permission to mount a tmpfs in a namespace of its own")
    settings = stream_settings(tmp_path, broker, partitions=2, slot_seconds=SLOT_MS // 1000)
    disk, mark = tmp_path / "disk", tmp_path / "failures"
    disk.mkdir()
    values = {
        "home": settings.home, "partitions": 2, "slot_seconds": SLOT_MS // 1000,
        "kafka.bootstrap": settings.kafka.bootstrap, "kafka.topic": settings.kafka.topic,
        "kafka.deltas_topic": settings.kafka.deltas_topic, "host.data_dir": disk / "host",
    }  # fmt: skip
    flags = [word for k, v in values.items() for word in ("--set", f"{k}={v}")]
    script = f"mount -t tmpfs -o size={DISK_MIB}m none {disk} && {AGAIN.format(mark=mark)}"
    command = [
        *NAMESPACE,
        "sh",
        "-c",
        script,
        "sh",
        sys.executable,
        "-m",
        "impressions.deltas",
        *flags,
    ]
    with (tmp_path / "said").open("wb") as said:
        process = subprocess.Popen(command, start_new_session=True, stderr=said)
    yield settings, Path(f"/proc/{process.pid}/root{disk}"), mark
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(20)


def test_a_follower_on_a_full_disk_loses_nothing_and_goes_on(follower, tmp_path):
    """Full: the process ends and is started again, the reader has what it had. Room: everything
    that was published is there."""
    settings, disk, mark = follower
    stream = Publisher(settings)
    published = {}

    def publish(profiles, through_ms):
        for profile in profiles:
            value = block(settings, offset=profile, titles=60_000)
            published[profile] = [value]
            stream.put(key(profile, NOW_MS), value)
        stream.beat(through_ms)

    publish(range(1, 7), NOW_MS)
    store = disk / "host" / "deltas" / "store"
    until(lambda: (store / "CURRENT").exists(), "the follower has begun")
    reader = open_secondary(store, tmp_path / "reader")

    def has_come_to(through_ms):
        reader.catch_up()
        return all(through_of(reader, p, settings) == through_ms for p in (0, 1))

    until(lambda: has_come_to(NOW_MS), "the first blocks are there")
    held = dict(published)
    fill(disk, room_bytes=1 << 20)
    publish(range(7, 31), NOW_MS + 1)
    until(lambda: mark.exists() and len(mark.read_text()) >= 2, "the full disk ended it", 60)
    assert not has_come_to(NOW_MS + 1)
    assert unlike({p: reader.blocks(p) for p in held}, held) == [], "reads go on"

    (disk / "ballast").unlink()
    until(lambda: has_come_to(NOW_MS + 1), "it goes on by itself", 60)
    assert unlike({p: reader.blocks(p) for p in published}, published) == []
    reader.close()
    said = (tmp_path / "said").read_text()
    assert "is the disk full?" in said
    assert "this is a defect" not in said
    print(f"follower: ended {len(mark.read_text().split())} times by the full disk, nothing lost")
