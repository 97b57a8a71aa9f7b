"""`impressions speed` and `python -m speed`: one worker of the stream, until asked to stop.

SIGTERM and SIGINT finish the batch under way and exit 0. An error that keeps it from working ends
it with another code, and its supervisor (systemd, Kubernetes, `impressions dev`) starts it again.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
from typing import Annotated

import typer

from impressions.clock import now_ms
from impressions.process.command import Json, report, verb
from impressions.settings.model import Settings
from impressions.terminal.console import emit

_AcceptLoss = Annotated[
    bool,
    typer.Option(
        "--accept-loss",
        help="Go on although impressions are lost for good: records with their producer's time "
        "instead of the broker's are skipped, and no answer counts them. The log names partitions "
        "and offsets; answers are marked incomplete.",
    ),
]
_QUIET = ("faust", "mode", "aiokafka")
_GARBAGE_AFTER = 100_000
"""New objects, before Python looks for cycles among them. A batch makes tens of thousands, which
live until it is published: to look after every 700, the default, took 5 to 10 % of the CPU."""


@verb
def command(settings: Settings, accept_loss: _AcceptLoss = False, json: Json = False) -> None:
    """Keep the deltas: apply the live stream and publish each profile's recent aggregates.

    \b
    Examples:
      impressions speed
      impressions speed --set speed.metrics_listen=127.0.0.1:9465

    Start as many as there are cores; they share the partitions. Topics are checked first.
    """
    from impressions.compiled.blocks import kernels
    from impressions.compiled.flushes import reader
    from impressions.kafka import topics
    from impressions.terminal import log

    log.configure()
    for name in _QUIET:
        logging.getLogger(name).setLevel(
            logging.DEBUG if os.environ.get("IMPRESSIONS_FAUST_DEBUG") else logging.CRITICAL
        )
    topics.check(settings)
    reader()  # compiled or loaded before the group waits for a sign of life, as is the next one
    kernels()
    gc.freeze()  # modules stay: they need not be collected
    gc.set_threshold(_GARBAGE_AFTER)
    asyncio.run(_work(settings, accept_loss, json))


async def _work(settings: Settings, accept_loss: bool, json: bool) -> None:
    from impressions.process import metrics, registry
    from impressions.process.stop_signal import END, stopping_on
    from impressions.terminal import log
    from speed.directory import hold_directory
    from speed.metrics import Metrics
    from speed.worker import Worker, describe

    directory = hold_directory(settings.speed_dir)
    own = Metrics()
    stopping, loop = asyncio.Event(), asyncio.get_running_loop()
    try:
        with (
            stopping_on(*END, said=lambda: loop.call_soon_threadsafe(stopping.set)),
            metrics.serve(own.registry, settings.speed.metrics_listen) as address,
            registry.registered(settings, "speed", metrics=address),
        ):
            log.info("started", state=directory.path.name, metrics=address)
            emit(
                {"pid": os.getpid(), "metrics": address, "state": str(directory.path)},
                json=json,
                table=f"working; metrics on http://{address}/metrics",
            )
            await Worker(settings, directory.path, now_ms, own, accept_loss).run(stopping)
            log.info("stopped")
    except Exception as error:  # of any kind: logged, then raised as an ImpressionsError
        log.LOGGER.error("%s", log.line("ended", error=repr(error)))
        described = describe(error)
        if described.reason == "stuck":  # a thread that waits for the broker would keep the process
            os._exit(report(described, json))
        if described is error:
            raise
        raise described from error
    finally:
        directory.release()
