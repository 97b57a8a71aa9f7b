"""Peers in Go: built once a run, in a directory that is thrown away.

In: the name of a program of benchmarks/peers/go. Out: its executable. go.mod pins each module,
go.sum holds its checksum, and nothing else is taken (`-mod=readonly`). The messages are generated
from our proto by generators of the same pins. Needs `go` and a module proxy, or its modules in Go's
cache.
"""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

from benchmarks.peers.installed import PeerMissing
from impressions.terminal.console import say

_SOURCES = Path(__file__).parent / "go"
_PROTOS = Path(__file__).parents[2] / "protos"
_PROTO = "impressions/v1/impressions_service.proto"
_WITHIN_S = 600
_GENERATORS = {
    "protoc-gen-go": "google.golang.org/protobuf/cmd/protoc-gen-go",
    "protoc-gen-go-grpc": "google.golang.org/grpc/cmd/protoc-gen-go-grpc",
}


def executable(name: str) -> Path:
    """The program, built.

    Raises:
        PeerMissing: there is no Go here, or it could not build what is pinned.
    """
    return _built(name, _directory())


@cache
def _built(name: str, directory: Path) -> Path:
    if name == "redis":
        _generate(directory)
    _go(directory, "build", "-o", str(directory / "bin" / name), f"./{name}")
    return directory / "bin" / name


@cache
def _directory() -> Path:
    """A copy of the sources, removed when this process ends."""
    if shutil.which("go") is None:
        raise PeerMissing("grpc-go: there is no `go` on the PATH; install Go 1.26 or newer")
    directory = Path(tempfile.mkdtemp(prefix="impressions-bench-go-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    say(f"bench: building the peers in Go in {directory} (a minute the first time)")
    shutil.copytree(_SOURCES, directory, dirs_exist_ok=True)
    return directory


def _generate(directory: Path) -> None:
    """Package pb, from our proto."""
    for generator, package in _GENERATORS.items():
        _go(directory, "build", "-o", str(directory / "bin" / generator), package)
    (directory / "pb").mkdir(exist_ok=True)
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{_PROTOS}"]
    for generator in _GENERATORS:
        kind = generator.removeprefix("protoc-gen-")
        command += [f"--plugin={generator}={directory / 'bin' / generator}"]
        command += [f"--{kind}_out={directory}", f"--{kind}_opt=module=impressions.bench"]
        command += [f"--{kind}_opt=M{_PROTO}=impressions.bench/pb"]
    _run("protoc", [*command, _PROTO], directory)


def _go(directory: Path, *arguments: str) -> None:
    _run("go", ["go", arguments[0], "-mod=readonly", "-trimpath", *arguments[1:]], directory)


def _run(what: str, command: list[str], directory: Path) -> None:
    environment = {**os.environ, "GOFLAGS": "-buildvcs=false", "GOTOOLCHAIN": "local"}
    try:
        done = subprocess.run(
            command, cwd=directory, env=environment, capture_output=True, text=True,
            timeout=_WITHIN_S,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise PeerMissing(f"{what}: not done within {_WITHIN_S} s") from error
    if done.returncode:
        raise PeerMissing(f"{what} failed: {done.stderr.strip()[-600:]}")
