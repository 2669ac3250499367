"""The conformance suites as a program: `python -m rfsn_core.testing.conformance STAGE PROVIDER`.

The provider under test is picked by options, so that a provider, or a configuration of one, needs no test file. Tests
that a provider does not pass are named in a file, with the reason: they are skipped, or must fail. A report says what
became of each test.

::

    # expectations.toml
    [[skip]]
    test = "test_odd_voice_styles"      # a part of the test's name
    reason = "the engine has one style"

    [[fail]]
    test = "test_rate_changes_the_length"
    reason = "issue 12"
"""

from __future__ import annotations

import json
import os
import sys
import tomllib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import pytest
from pydantic import BaseModel, Field, ValidationError

from rfsn_core.contract.errors import UserError
from rfsn_core.contract.provider import Provider
from rfsn_core.contract.version import version
from rfsn_core.testing import suites

SUITES: dict[str, type[suites.ProviderSuite]] = {
    "understanding": suites.UnderstanderSuite,
    "abstraction": suites.AbstractorSuite,
    "selection": suites.PolicySuite,
    "rendering": suites.RendererSuite,
    "gating": suites.GateSuite,
    "speech": suites.VoiceSuite,
    "storage": suites.StoreSuite,
    "archive": suites.ArchiveSuite,
    "embedding": suites.EmbedderSuite,
}
"""Stage → its suite."""


Target = str | Provider[Any, Any]
"""The name of an installed provider, or a provider."""


class Exempt(BaseModel, extra="forbid"):
    """A test that is not expected to pass."""

    test: str = Field(min_length=3)
    reason: str = Field(min_length=1)


class Expectations(BaseModel, extra="forbid"):
    """What a file of expectations may say."""

    skip: list[Exempt] = []
    fail: list[Exempt] = []


@dataclass
class Result:
    """What became of one test."""

    test: str
    outcome: str
    """`passed`, `failed`, `skipped`, `xfailed` (failed as expected) or `xpassed` (passed unexpectedly)."""
    seconds: float
    reason: str = ""


def read_expectations(path: Path | None) -> Expectations:
    """Read a file of expectations. Raises UserError."""
    if path is None:
        return Expectations()
    try:
        return Expectations.model_validate(tomllib.loads(path.read_text("utf-8")))
    except (OSError, ValueError, ValidationError) as error:
        raise UserError(f"{path}: {str(error).splitlines()[0]}") from error


class Plugin:
    """The pytest plugin of one run: it makes the test class, applies the expectations and collects the results.

    :param settings: the provider's.
    """

    def __init__(
        self, stage: str, provider: str | Provider[Any, Any], settings: dict[str, Any], expectations: Expectations
    ) -> None:
        self.results: list[Result] = []
        self.unused: list[str] = []
        self._expectations = expectations
        suite = SUITES[stage]
        self.case = type("TestProvider", (suite,), {"provider": provider, "settings": settings, "__test__": True})

    @pytest.hookimpl
    def pytest_pycollect_makemodule(self, module_path: Path, parent: Any) -> Any:
        """Collect the class that was made in place of the file that names it."""
        module = pytest.Module.from_parent(parent, path=module_path)
        collected = sys.modules[Plugin.__module__]
        collected.TestProvider = self.case  # type: ignore[attr-defined]
        module._getobj = lambda: collected  # type: ignore[method-assign]
        return module

    @pytest.hookimpl
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Mark the tests that are not expected to pass."""
        items[:] = [item for item in items if "TestProvider" in item.nodeid]
        for kind, entries in (("skip", self._expectations.skip), ("fail", self._expectations.fail)):
            for entry in entries:
                named = [item for item in items if entry.test in item.name]
                if not named:
                    self.unused.append(entry.test)
                skip, fail = pytest.mark.skip(reason=entry.reason), pytest.mark.xfail(strict=True, reason=entry.reason)
                for item in named:
                    item.add_marker(skip if kind == "skip" else fail)

    @pytest.hookimpl
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note what became of a test."""
        if report.when == "call" or (report.when == "setup" and report.outcome != "passed"):
            self.results.append(Result(report.nodeid.split("::")[-1], *_outcome(report)))


def _outcome(report: pytest.TestReport) -> tuple[str, float, str]:
    expected = getattr(report, "wasxfail", None)
    if report.skipped and expected is not None:
        return "xfailed", report.duration, expected
    if report.failed and "XPASS" in str(report.longrepr):
        return "xpassed", report.duration, str(report.longrepr)
    reason = report.longrepr[2] if report.skipped and isinstance(report.longrepr, tuple) else ""
    if report.failed:
        reason = str(report.longrepr).strip().splitlines()[-1]
    return report.outcome, report.duration, str(reason).removeprefix("Skipped: ")


def run(
    stage: str, provider: Target, settings: dict[str, Any], expectations: Expectations, *, only: str = "",
    report: Path | None = None,
) -> int:  # fmt: skip
    """Run the suite of a stage on a provider; return pytest's exit code, 1 for an expectation that names no test.

    :param only: a pytest expression that selects tests by name.
    :param report: the file for the results, as JSON.
    """
    plugin = Plugin(stage, provider, settings, expectations)
    # No settings of the folder in which it runs, and no plugins that would run tests elsewhere.
    options = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--rootdir", str(Path.cwd()), "-c", os.devnull]
    code = int(pytest.main([*options, *(["-k", only] if only else []), __file__], plugins=[plugin]))
    for name in plugin.unused:
        sys.stderr.write(f"rfsn: the expectations name '{name}', which is no test\n")
    if report is not None:
        counts: dict[str, int] = {}
        for result in plugin.results:
            counts[result.outcome] = counts.get(result.outcome, 0) + 1
        values = {
            "stage": stage, "provider": getattr(provider, "name", provider), "kernel": version(), "counts": counts,
            "results": [asdict(result) for result in plugin.results],
        }  # fmt: skip
        report.write_text(json.dumps(values, indent=1, ensure_ascii=False) + "\n", "utf-8")
    return code or int(bool(plugin.unused))


@click.command()
@click.argument("stage", type=click.Choice(list(SUITES)))
@click.argument("provider")
@click.option("--settings", default="{}", help="The provider's settings, as JSON.")
@click.option("--expect", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="A file of expectations.")
@click.option("--report", type=click.Path(dir_okay=False, path_type=Path), help="Write the results there, as JSON.")
@click.option("-k", "only", default="", help="Run the tests whose names match.")
def main(stage: str, provider: str, settings: str, expect: Path | None, report: Path | None, only: str) -> None:
    """Run the conformance suite of STAGE on an installed PROVIDER."""
    try:
        values = json.loads(settings)
        expectations = read_expectations(expect)
    except (ValueError, UserError) as error:
        raise click.ClickException(str(error)) from error
    sys.exit(run(stage, provider, values, expectations, only=only, report=report))


if __name__ == "__main__":
    main()
