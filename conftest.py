"""Fixtures for all tests, the plugins' included."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
import structlog

from rfsn_core.testing.fixtures import anyio_backend, redis, serve

__all__ = ["anyio_backend", "redis", "serve"]


@pytest.fixture(autouse=True)
def logs_stay_as_they_are() -> Iterator[None]:
    """A command that runs inside a test sets up logging for the whole process."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()
