"""Runs verbs in one Spark session for processes that ask through a socket, one at a time.

A verb by itself starts a JVM for ten seconds; the demo's process (examples/demo/spark_process.py)
keeps one, and this gives it to whoever connects.
"""

from __future__ import annotations

import os
import threading
from multiprocessing.connection import Client, Listener
from pathlib import Path

from examples.demo.spark_process import SparkProcess
from tests.airflow.environment import ROOT

_END: list[str] = []


class OneSession:
    """Listens at `<directory>/session`; verbs run in `directory`, with its impressions.toml."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        self._spark = SparkProcess(directory, environment, directory / "spark.log")
        self._listener = Listener(str(directory / "session"))
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        out, err = self._directory / "out", self._directory / "err"
        while True:
            with self._listener.accept() as caller:
                words = caller.recv()
                if words == _END:
                    return
                code = self._spark.run(tuple(words), out, err)
                said = [path.read_text("utf-8") if path.exists() else "" for path in (out, err)]
                caller.send((1 if code is None else code, *said))

    def stop(self) -> None:
        with Client(str(self._directory / "session")) as caller:
            caller.send(_END)
        self._thread.join()
        self._listener.close()
        self._spark.stop()
