"""For tests of plugins and of games: an isolated kernel, scripted providers, and the conformance suites.

::

    from rfsn_core.testing import kernel, plugin, turn
    from rfsn_core.testing.scripted import Tokens

    async with kernel(tmp_path, plugin(rendering={"tokens": Tokens(["Hel", "lo."])})) as it:
        got = await turn(it, "Good evening!")

A plugin's own tests subclass a suite of `rfsn_core.testing.suites`::

    class TestMine(VoiceSuite):
        provider = "mine"
"""

import pytest

pytest.register_assert_rewrite("rfsn_core.testing.suites", "rfsn_core.testing.remote")

from rfsn_core.kernel import Kernel  # noqa: E402
from rfsn_core.testing.isolated import NPC, Served, kernel, kinds, make_world, plugin, served, turn  # noqa: E402
from rfsn_core.testing.waiting import until  # noqa: E402

__all__ = ["NPC", "Kernel", "Served", "kernel", "kinds", "make_world", "plugin", "served", "turn", "until"]
