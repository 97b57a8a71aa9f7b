"""The client library: light to import, honest about failures, spread over its channels."""

import socket
import subprocess
import sys
import threading
import time

import pytest

from impressions.client import CallFailed, ImpressionsClient, response_messages
from impressions.client.result import result_of
from impressions.core.errors import CorruptData
from tests.generations import CUTOVER_MS
from tests.serving.support import install, serving, settings_in

AWAY_S = 11.0
HEAVY = ("rocksdict", "pydantic", "typer", "rich", "pyarrow", "pyspark", "pandas")


def test_importing_the_client_is_light_and_pulls_no_server():
    """grpc, protobuf and numpy only; the best of three fresh processes."""
    code = (
        "import time, sys; t = time.perf_counter(); import impressions.client;"
        "print(time.perf_counter() - t, *(m for m in sys.modules if '.' not in m))"
    )
    runs = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        for _ in range(3)
    ]
    words = [run.stdout.split() for run in runs]
    assert not set(HEAVY) & set(words[0][1:])
    assert {"grpc", "numpy"} <= set(words[0][1:])
    assert min(float(w[0]) for w in words) < 1.0


def test_an_unreachable_server_is_an_error_with_its_address_and_a_hint():
    unreachable = pytest.raises(CallFailed, match=r"127\.0\.0\.1:1")
    with ImpressionsClient("127.0.0.1:1", timeout_s=10) as client, unreachable as caught:
        client.get(1)
    assert (caught.value.code, caught.value.reason) == ("UNAVAILABLE", "unavailable")
    assert "impressions serve" in caught.value.hint
    assert caught.value.exit_code == 8


def test_a_call_survives_a_server_that_comes_a_little_later(tmp_path):
    """Nothing listens at the first attempts; gRPC's retries reach the server when it does."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = settings_in(tmp_path, listen=f"127.0.0.1:{port}")
    install(settings)
    results = []
    with ImpressionsClient(f"127.0.0.1:{port}", timeout_s=10) as client:
        call = threading.Thread(
            target=lambda: results.append(client.get(1, at_ms=CUTOVER_MS)), daemon=True
        )
        started_s = time.monotonic()
        call.start()
        threading.Event().wait(0.15)
        with serving(settings):
            call.join(10)
    assert [result.profile_id for result in results] == [1], f"{time.monotonic() - started_s:.1f} s"


def test_a_server_that_was_long_away_is_found_at_once(tmp_path):
    """Whatever the client tried meanwhile: gRPC's own pause before it connects again has grown
    beyond the time in which calls are retried."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    settings = settings_in(tmp_path, listen=address)
    install(settings)
    with ImpressionsClient(address, timeout_s=10) as client:
        away_until_s = time.monotonic() + AWAY_S
        while time.monotonic() < away_until_s:
            with pytest.raises(CallFailed):
                client.get(1, at_ms=CUTOVER_MS)
        with serving(settings):
            for _ in range(2):  # on each channel
                assert client.get(1, at_ms=CUTOVER_MS).profile_id == 1


def test_columns_of_different_lengths_are_refused():
    """A sender that splits a packed field, or damage on the way."""
    answer = response_messages.ProfileAnswer(title_ids=bytes(16))
    answer.totals.add(measure="plays", values=bytes(8))
    with pytest.raises(CorruptData, match="1 values, expected 2"):
        result_of(answer, by_location=False, last_seen=False)
