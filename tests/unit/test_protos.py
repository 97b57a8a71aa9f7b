"""The committed stubs are what protos/ generates today."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_stubs_are_up_to_date(tmp_path: Path) -> None:
    """Regenerated into an empty directory they are the same files with the same bytes."""
    command = [sys.executable, "-m", "grpc_tools.protoc", f"--proto_path={ROOT / 'protos'}"]
    for kinds, of in ((("python", "pyi"), "*.proto"), (("grpc_python",), "*_service.proto")):
        protos = sorted(map(str, (ROOT / "protos").rglob(of)))
        assert protos, f"no {of} found"
        outputs = [f"--{kind}_out={tmp_path}" for kind in kinds]
        subprocess.run([*command, *outputs, *protos], check=True, capture_output=True)
    fresh = {p.name: p.read_text("utf-8") for p in (tmp_path / "impressions" / "v1").iterdir()}
    stubs = ROOT / "impressions" / "v1"
    committed = {p.name: p.read_text("utf-8") for p in stubs.glob("*_pb2*")}
    stale = sorted(n for n in fresh.keys() | committed.keys() if fresh.get(n) != committed.get(n))
    assert stale == [], "run: make protos"
