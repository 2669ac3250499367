"""The built-in providers pass the conformance suites of their stages."""

from __future__ import annotations

from rfsn_core.testing.suites import (
    AbstractorSuite,
    GateSuite,
    PolicySuite,
    RendererSuite,
    StoreSuite,
    UnderstanderSuite,
    VoiceSuite,
)


class TestSignals(UnderstanderSuite):
    provider = "signals"


class TestBuckets(AbstractorSuite):
    provider = "buckets"


class TestWorldModel(PolicySuite):
    provider = "world_model"


class TestScripted(RendererSuite):
    provider = "scripted"


class TestRules(GateSuite):
    provider = "rules"


class TestNgrams(GateSuite):
    provider = "ngrams"


class TestSilent(VoiceSuite):
    provider = "silent"
    audible = False


class TestSqlite(StoreSuite):
    provider = "sqlite"
