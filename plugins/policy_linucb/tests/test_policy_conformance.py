from __future__ import annotations

from rfsn_core.testing.suites import PolicySuite


class TestLinUcb(PolicySuite):
    provider = "linucb"


class TestEpsilonGreedy(PolicySuite):
    provider = "epsilon_greedy"


class TestThompson(PolicySuite):
    provider = "thompson"
