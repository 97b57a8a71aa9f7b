"""A disk that fills up during a load: refused, nothing harmed, and room is all it takes.

The disk is a real one, a small tmpfs in a mount namespace of its own, so the writes fail where the
kernel says so. The check before the load is blinded: the room was there when it looked, and
something else took it.
"""

import json
import subprocess
import sys

import pytest

NAMESPACE = ["unshare", "--user", "--map-root-user", "--mount"]
DISK_MIB = 8


def can_mount(directory):
    try:
        command = [*NAMESPACE, "mount", "-t", "tmpfs", "none", str(directory)]
        return subprocess.run(command, capture_output=True, timeout=20).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def test_a_full_disk_refuses_the_load_and_harms_nothing(world, tmp_path):
    """At twelve sizes of the remaining room, from none to nearly enough; then it is enough."""
    if not can_mount(tmp_path):
        pytest.skip("no permission to mount a tmpfs in a namespace of its own")
    script = [sys.executable, __file__, str(tmp_path / "home"), str(tmp_path / "disk")]
    mount = f'mount -t tmpfs -o size={DISK_MIB}m none {tmp_path / "disk"} && exec "$@"'
    (tmp_path / "disk").mkdir()
    done = subprocess.run(
        [*NAMESPACE, "sh", "-c", mount, "sh", *script], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["attempts"] == 12
    assert report["refused"] == {"disk_full": 12}
    assert report["harmed"] == []
    assert report["loaded_after_freeing"]


def main(home, disk):
    """Inside the namespace: fill, load, look; prints what happened as JSON."""
    from bulkload import load_checks
    from bulkload.activate import activate
    from bulkload.load import load
    from bulkload.verify import verify_host
    from impressions.core.errors import ImpressionsError
    from impressions.settings.model import Settings
    from impressions.settings.sections.live import Host
    from tests.bulkload.world import EVENTS, NEW, NEW_MS, OLD, PARTITIONS, World
    from tests.generations import blocks_of

    host = Host(reserve_bytes=0, data_dir=disk / "host")
    world = World(Settings(home=home, partitions=PARTITIONS, host=host))
    block = max(blocks_of(EVENTS, NEW_MS).values(), key=len)
    world.publish(NEW_MS, blocks=dict.fromkeys(range(1, 501), block), files_per_shard=2)
    load(world.settings, OLD)
    activate(world.settings, OLD)
    size_bytes = world.manifest(NEW).size_bytes
    refused, harmed, before = {}, [], world.snapshot()
    load_checks.free_bytes = lambda _: 1 << 40
    for twelfth in range(12):
        fill(disk, room_bytes=size_bytes * twelfth // 12)
        try:
            load(world.settings, NEW)
        except ImpressionsError as error:
            refused[error.reason] = refused.get(error.reason, 0) + 1
        if world.snapshot() != before or not verify_host(world.settings, None).ok:
            harmed.append(twelfth)
    (disk / "ballast").unlink()
    loaded = load(world.settings, NEW).action == "loaded" and verify_host(world.settings, NEW).ok
    report = {
        "attempts": 12, "refused": refused, "harmed": harmed, "loaded_after_freeing": loaded,
    }  # fmt: skip
    print(json.dumps(report))


def fill(disk, room_bytes):
    """A ballast file that leaves this much room."""
    import shutil

    ballast = disk / "ballast"
    ballast.unlink(missing_ok=True)
    with ballast.open("wb") as file:
        file.write(bytes(max(0, shutil.disk_usage(disk).free - room_bytes)))


if __name__ == "__main__":
    from pathlib import Path

    main(Path(sys.argv[1]), Path(sys.argv[2]))
