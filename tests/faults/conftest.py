"""Fixtures of the fault tests: those of the parts they break, under the same names."""

from tests.bulkload.conftest import empty, template, world

__all__ = ["empty", "serving_settings", "template", "world"]


def serving_settings(world):
    """Settings of a server on a world's host, at any free port."""
    listen = {"listen": "127.0.0.1:0", "poll_s": 0.02}
    serving = world.settings.serving.model_copy(update=listen)
    return world.settings.model_copy(update={"serving": serving})
