"""Commands run in the process of the tests, which is a hundred times faster than starting one for each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from rfsn_core.cli import main

Rfsn = Callable[..., Result]


@pytest.fixture
def rfsn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rfsn:
    """Runs a command in an empty folder, on the example world unless another is given."""
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
