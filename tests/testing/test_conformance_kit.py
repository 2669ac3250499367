"""Tests of the tests: a provider that is broken does not pass, and exceptions are named with their reasons."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

BROKEN = """
import sys, itertools
from contextlib import asynccontextmanager
from dataclasses import replace
import numpy as np
from rfsn_core import Abstraction, Provider, Selection, Speech, Understanding, UpdateResult
from rfsn_core.defaults import storage
from rfsn_core.testing import conformance

class Understands:
    def understand(self, text, context):
        return Understanding(signal="nonsense")

class Abstracts:
    numbers = itertools.count()
    def abstract(self, game, npc):
        return Abstraction(f"N:{next(self.numbers)}", "1", (1.0,), ("bias",))

class Selects:
    version = "1"
    def select(self, context, arms):
        return Selection(arms[0].name, tuple(1.0 for _ in arms), tuple(arm.prior for arm in arms))
    def update(self, update):
        return UpdateResult()
    def checkpoint(self):
        return b""
    def restore(self, checkpoint):
        pass

class Renders:
    async def render(self, prompt, options):
        yield 3

class Gates:
    async def check(self, utterance):
        return None

class Speaks:
    sample_rate = 16000
    async def speak(self, text, voice):
        yield Speech(b"x")

class Archives:
    async def archive(self, turns):
        pass
    async def erase(self, save, npc, player):
        return 0

class Embeds:
    async def embed(self, texts):
        return np.ones((len(texts), 4), np.float32)

(real,) = storage.rfsn_storage()

@asynccontextmanager
async def forgetful(settings, host):
    async with real.open(settings, host) as store:
        async def search(scope, query, limit):
            return ()
        store.search = search
        yield store

broken = {
    "understanding": Understands, "abstraction": Abstracts, "selection": Selects, "rendering": Renders,
    "gating": Gates, "speech": Speaks, "archive": Archives, "embedding": Embeds,
}
stage = sys.argv[1]
provider = replace(real, open=forgetful) if stage == "storage" else Provider.of("broken", broken[stage])
sys.exit(conformance.run(stage, provider, {}, conformance.Expectations()))
"""
STAGES = (
    "understanding", "abstraction", "selection", "rendering", "gating", "speech", "storage", "archive", "embedding",
)  # fmt: skip


@pytest.mark.soak
@pytest.mark.parametrize("stage", STAGES)
def test_a_broken_provider_does_not_pass(stage: str, tmp_path: Path) -> None:
    command = [sys.executable, "-c", BROKEN, stage]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False)
    assert ran.returncode == 1, ran.stdout[-2000:] + ran.stderr[-2000:]
    assert " failed" in ran.stdout
    assert "error" not in ran.stdout.splitlines()[-1]


def conform(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "rfsn_core.testing.conformance", *arguments]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=60, check=False, env={**os.environ}
    )


def test_the_suite_runs_on_a_named_provider_and_writes_a_report(tmp_path: Path) -> None:
    ran = conform(tmp_path, "gating", "rules", "--report", "report.json")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    report: dict[str, Any] = json.loads((tmp_path / "report.json").read_text("utf-8"))
    assert (report["stage"], report["provider"]) == ("gating", "rules")
    assert report["counts"] == {"passed": len(report["results"])}
    assert len(report["results"]) > 4
    assert conform(tmp_path, "gating", "nobody").returncode == 1


def test_exceptions_have_reasons_and_name_tests_that_exist(tmp_path: Path) -> None:
    (tmp_path / "e.toml").write_text(
        """
        [[skip]]
        test = "test_it_opens_and_closes_twice"
        reason = "it takes too long here"
        [[fail]]
        test = "test_every_setting_is_described"
        reason = "not yet"
        [[skip]]
        test = "test_of_the_past"
        reason = "?"
        """
    )
    options = ("-k", "opens or described", "--expect", "e.toml", "--report", "report.json")
    ran = conform(tmp_path, "gating", "rules", *options)
    assert ran.returncode == 1  # what must fail passes, and one names no test
    assert "test_of_the_past" in ran.stderr
    report = json.loads((tmp_path / "report.json").read_text("utf-8"))
    outcomes = {result["test"]: (result["outcome"], result["reason"]) for result in report["results"]}
    assert outcomes["test_it_opens_and_closes_twice"] == ("skipped", "it takes too long here")
    assert outcomes["test_every_setting_is_described"][0] == "xpassed"
    (tmp_path / "bad.toml").write_text("[[skip]]\ntest = 'test_it_opens'\n")
    assert "bad.toml" in conform(tmp_path, "gating", "rules", "--expect", "bad.toml").stderr
