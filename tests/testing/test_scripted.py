"""The scripted providers of the test kit pass the conformance suites."""

from __future__ import annotations

from typing import Any

from rfsn_core.contract.provider import Provider
from rfsn_core.testing import plugin
from rfsn_core.testing.scripted import Chooser, Judge, Memory, Tokens, Tone
from rfsn_core.testing.suites import GateSuite, PolicySuite, RendererSuite, StoreSuite, VoiceSuite


def offered(stage: str, value: Any) -> Provider[Any, Any]:
    _, scripted = plugin(**{stage: {"scripted": value}})
    offers: list[Provider[Any, Any]] = list(getattr(scripted, f"rfsn_{stage}")())
    return offers[0]


class TestTokens(RendererSuite):
    def offer(self) -> Provider[Any, Any]:
        return offered("rendering", Tokens())


class TestJudge(GateSuite):
    def offer(self) -> Provider[Any, Any]:
        return offered("gating", Judge())


class TestTone(VoiceSuite):
    needs_thread = False

    def offer(self) -> Provider[Any, Any]:
        return offered("speech", Tone())

    def test_rate_changes_the_length(self, tmp_path: Any) -> None:
        """Skip this test: the tone has one speed."""


class TestChooser(PolicySuite):
    def offer(self) -> Provider[Any, Any]:
        return offered("selection", Chooser())


class TestMemory(StoreSuite):
    memory: Memory

    def setup_method(self) -> None:
        self.memory = Memory()

    def offer(self) -> Provider[Any, Any]:
        return offered("storage", self.memory)
