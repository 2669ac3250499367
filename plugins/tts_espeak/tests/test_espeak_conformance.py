from __future__ import annotations

from rfsn_core.testing.suites import VoiceSuite


class TestEspeak(VoiceSuite):
    provider = "espeak"
