"""Fixtures of the batch layer, whose jobs are broken here."""

from tests.integration.conftest import empty, lake

__all__ = ["empty", "lake"]
