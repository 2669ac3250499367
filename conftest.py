"""Fixtures of all tests, those of the plugins included."""

from rfsn_core.testing.fixtures import anyio_backend, serve

__all__ = ["anyio_backend", "serve"]
