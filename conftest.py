"""Fixtures for all tests, the plugins' included."""

from __future__ import annotations

import os
import sys
from pathlib import Path

if sys.dont_write_bytecode:
    # Containers often forbid bytecode next to the source. Without any, each process that a test starts compiles a
    # thousand modules again, which is half of its time.
    sys.dont_write_bytecode = False
    sys.pycache_prefix = str(Path(__file__).parent / ".pytest_cache" / "bytecode")
    os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
# No test speaks to anything but this machine. A client reads the certificates of the world in 30 ms, each time.
os.environ["SSL_CERT_DIR"] = str(Path(__file__).parent / ".pytest_cache" / "no-certificates")

import logging
from collections.abc import Callable, Iterator

import hypothesis
import pytest
import structlog
from click.testing import CliRunner, Result

from rfsn_core.telemetry.redaction import SECRETS
from rfsn_core.testing.fixtures import anyio_backend, redis, serve

__all__ = ["anyio_backend", "redis", "serve"]

# A busy machine must not fail a test.
hypothesis.settings.register_profile("patient", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("patient")


@pytest.fixture(autouse=True)
def restored_logging() -> Iterator[None]:
    """Restore the logging, and the secrets, that a command inside a test sets for the whole process."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()
    SECRETS.clear()


@pytest.fixture(autouse=True)
def trusting(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trust the worlds that tests make, and keep tests away from the user's own trust; see `test_trust.py`."""
    monkeypatch.setenv("RFSN_TRUST", "1")
    folder = str(tmp_path_factory.mktemp("config"))
    for variable in ("XDG_CONFIG_HOME", "APPDATA"):
        monkeypatch.setenv(variable, folder)


@pytest.fixture
def rfsn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run commands in this process, in an empty folder, on the example world unless another is given.

    That is a hundred times faster than to start a process for it.
    """
    from rfsn_core.cli import main

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RFSN_WORLD", raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("RFSN_DATA_DIR", str(tmp_path / "data"))

    def run(*arguments: object, typed: str | None = None, **environment: str) -> Result:
        result = CliRunner().invoke(main, [str(argument) for argument in arguments], input=typed, env=environment)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run
