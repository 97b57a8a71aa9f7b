"""A real worker, as a process of its own."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request

from impressions.settings.model import Settings
from tests.live import until

_OPEN = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class WorkerProcess:
    """`python -m speed` with these settings; `module` may be one that changes it and runs it."""

    def __init__(
        self, settings: Settings, tmp_path, module: str = "speed", flags=(), **environment: str
    ):
        self.log_path = tmp_path / f"speed-{time.monotonic_ns()}.log"
        self.config = self.log_path.with_suffix(".toml")
        self.config.write_text(toml_of(settings.model_dump(mode="json", exclude_defaults=True)))
        with self.log_path.open("wb") as log:
            self.popen = subprocess.Popen(
                [sys.executable, "-m", module, "--config", str(self.config), "--json", *flags],
                stdout=subprocess.PIPE,
                stderr=log,
                env={**os.environ, **environment},
            )

    @property
    def log(self) -> str:
        return self.log_path.read_text()

    def ready(self):
        """Wait until partitions are assigned to it."""
        self.metrics_address = json.loads(self.popen.stdout.readline())["metrics"]
        until(lambda: "INFO assigned" in self.log or self.popen.poll() is not None, "assigned")
        return self

    def metric(self, name: str) -> float:
        """The sum of a metric's samples."""
        return sum(self._samples(name))

    def samples(self, name: str) -> int:
        """How many samples a metric has."""
        return len(self._samples(name))

    def _samples(self, name: str) -> list[float]:
        with _OPEN.open(f"http://{self.metrics_address}/metrics", timeout=60) as answer:
            lines = answer.read().decode().splitlines()
        return [float(x.rpartition(" ")[2]) for x in lines if x.startswith(name)]

    def kill(self) -> None:
        self.popen.kill()
        self.popen.wait(60)

    def stop(self) -> int:
        self.popen.send_signal(signal.SIGTERM)
        return self.popen.wait(120)

    def close(self) -> None:
        """End it however it is, paused too."""
        with contextlib.suppress(ProcessLookupError):
            self.popen.send_signal(signal.SIGCONT)
            self.popen.kill()
        self.popen.wait(60)
        self.popen.stdout.close()


def toml_of(values: dict, prefix: str = "") -> str:
    """Nested settings as TOML; JSON's scalars are TOML's."""
    plain = {k: v for k, v in values.items() if not isinstance(v, dict)}
    text = "".join(f"{json.dumps(k)} = {json.dumps(v)}\n" for k, v in plain.items())
    for key, value in values.items():
        if isinstance(value, dict) and value:
            name = f"{prefix}{json.dumps(key)}"
            text += f"\n[{name}]\n" + toml_of(value, f"{name}.")
    return text
