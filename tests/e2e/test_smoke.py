"""The main job, through the program: serve, connect, talk."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rfsn_core import protocol
from rfsn_core.testing.client import connected, kind
from rfsn_core.testing.process import Server


@pytest.mark.parametrize("voice", ["silent", "espeak"])
async def test_a_turn_over_the_socket(serve: Callable[..., Server], voice: str) -> None:
    server = serve(RFSN_SPEECH__PROVIDER=voice)
    async with connected(server.ws) as client:
        got = await client.turn("innkeeper")
    names = [kind(item) for item in got]
    assert names.index("decision") < names.index("sentence")
    assert names[-1] == "turn.finished"
    assert ("audio" in names) == (voice == "espeak")
    assert server.stop() == 0


async def test_a_finished_turn_survives_kill_9(serve: Callable[..., Server]) -> None:
    server = serve()
    async with connected(server.ws) as client:
        (*_, finished) = await client.turn("innkeeper", "Remember the blue heron.")
        assert isinstance(finished, protocol.TurnFinished)
        assert finished.durable
        server.kill()
    server = serve()
    async with connected(server.ws) as client:
        (state,) = [item for item in await client.turn("innkeeper") if isinstance(item, protocol.State)]
        assert state.relationship != "stranger"
    server.stop()
