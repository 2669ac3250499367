"""What every provider of a stage must do, as tests to inherit.

::

    from rfsn_core.testing.suites import VoiceSuite

    class TestMine(VoiceSuite):
        provider = "mine"
        settings = {"voice": "low"}

Each test opens the provider again, as the kernel does. `provider` is the name of an installed provider or a `Provider`.
"""

from rfsn_core.testing.suites.abstraction import AbstractorSuite
from rfsn_core.testing.suites.archive import ArchiveSuite
from rfsn_core.testing.suites.embedding import EmbedderSuite
from rfsn_core.testing.suites.gating import GateSuite
from rfsn_core.testing.suites.provider import ProviderSuite
from rfsn_core.testing.suites.rendering import RendererSuite, generator, make_prompt, spoken
from rfsn_core.testing.suites.selection import PolicySuite
from rfsn_core.testing.suites.shared_storage import SharedStoreSuite
from rfsn_core.testing.suites.speech import VoiceSuite
from rfsn_core.testing.suites.storage import HERE, StoreSuite, exported, memory_of, record
from rfsn_core.testing.suites.texts import ODD_TEXTS, SPEAKABLE
from rfsn_core.testing.suites.understanding import UnderstanderSuite

__all__ = [
    "HERE",
    "ODD_TEXTS",
    "SPEAKABLE",
    "AbstractorSuite",
    "ArchiveSuite",
    "EmbedderSuite",
    "GateSuite",
    "PolicySuite",
    "ProviderSuite",
    "RendererSuite",
    "SharedStoreSuite",
    "StoreSuite",
    "UnderstanderSuite",
    "VoiceSuite",
    "exported",
    "generator",
    "make_prompt",
    "memory_of",
    "record",
    "spoken",
]
