"""Brokers that are killed, restarted or paused: the only one, or any one of three."""

from __future__ import annotations

import random
import time

from impressions.local.broker import Broker
from tests.chaos.faults_processes import paused
from tests.chaos.system import System


def kill_broker(system: System, pick: random.Random) -> str:
    node, broker = _any(system, pick)
    broker.kill()
    away_s = pick.uniform(0, 3)
    time.sleep(away_s)
    broker.start()
    return f"node {node} away for {away_s:.1f} s"


def restart_broker(system: System, pick: random.Random) -> str:
    node, broker = _any(system, pick)
    broker.stop()
    broker.start()
    return f"node {node} in order"


def pause_broker(system: System, pick: random.Random) -> str:
    node, broker = _any(system, pick)
    running = broker.running()
    assert running is not None
    with paused(running.pid):
        time.sleep(paused_s := pick.choice((0.5, 2.0, 7.0)))
    return f"node {node} for {paused_s} s"


def _any(system: System, pick: random.Random) -> tuple[int, Broker]:
    return pick.choice(sorted(system.brokers.items(), key=lambda item: item[0]))


ALL = (kill_broker, restart_broker, pause_broker)
