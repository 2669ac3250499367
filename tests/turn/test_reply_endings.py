"""How replies end, and odd pieces of the wire: from the engine's bytes to the turn's events."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import rfsn_llm_vllm

from rfsn_core import protocol
from rfsn_core.testing import kernel, make_world, plugin, turn
from rfsn_core.testing.engine import Fault, StandIn
from rfsn_core.testing.scripted import Tone
from rfsn_core.turn.outbox import Item


def chunk(content: Any = None, finish: str | None = None, **fields: Any) -> bytes:
    """Return an event of the chat wire; JSON writes a half of a character as it is."""
    delta = {} if content is None else {"content": content}
    choice = {"index": 0, "delta": {**delta, **fields.pop("delta", {})}, "finish_reason": finish}
    return f"data: {json.dumps({'choices': [choice], **fields})}\n\n".encode()


DONE = b"data: [DONE]\n\n"
PARTS = [{"type": "thinking", "thinking": [{"type": "text", "text": "a fool"}]}, {"type": "text", "text": "Well met."}]


async def ask(folder: Path, fault: Fault, **vllm: Any) -> tuple[list[str], protocol.TurnFinished, list[Item]]:
    """Return what was spoken, how the turn ended, and all its events."""
    make_world(folder)
    voice = Tone(ms_per_character=1)
    with StandIn() as engine:
        engine.always = fault
        settings = {
            "rendering": {"provider": "vllm", "vllm": {"url": f"{engine.url}/v1", **vllm}, "attempts": 1},
            "speech": {"provider": "v", "cache_mb": 0},
        }
        plugins = (("llm_vllm", rfsn_llm_vllm), plugin(speech={"v": voice}))
        async with kernel(folder, *plugins, settings=settings) as it:
            items = await turn(it, wants=protocol.Hello(audio=True))
    assert isinstance(items[-1], protocol.TurnFinished)
    return voice.spoken, items[-1], items


@pytest.mark.parametrize(
    ("content", "said", "reason"),
    [
        (
            chunk("Well met, traveller. The ferry is") + chunk(finish="length") + DONE,
            "Well met, traveller.",
            "too_long",
        ),
        (chunk("Well met. The ferry") + chunk(finish="error") + DONE, "Well met.", "renderer_failed"),
        (chunk("Well met. The ferry"), "Well met.", "renderer_failed"),
        (chunk("Well met.") + chunk(finish="stop", usage={"prompt_tokens": "10"}) + DONE, "Well met.", "complete"),
        (chunk(PARTS) + chunk(finish="stop") + DONE, "Well met.", "complete"),
        (chunk("Beer \ud83c") + chunk("\udf7a for you.") + chunk(finish="stop") + DONE, "Beer 🍺 for you.", "complete"),
    ],
    ids=["length", "error", "cut", "statistics", "list", "surrogates"],
)
async def test_what_the_wire_brings_is_what_is_said(tmp_path: Path, content: bytes, said: str, reason: str) -> None:
    spoken, finished, _ = await ask(tmp_path, Fault("bytes", content=content))
    assert (finished.renderer, finished.text, finished.reason) == ("vllm", said, reason)
    assert spoken == [said.replace(" 🍺", "")]


async def test_an_answer_that_is_no_stream_is_said(tmp_path: Path) -> None:
    body = json.dumps({"choices": [{"message": {"content": "Well met."}, "finish_reason": "stop"}]}).encode()
    spoken, finished, _ = await ask(tmp_path, Fault("body", content=body))
    assert (spoken, finished.reason) == (["Well met."], "complete")


async def test_a_reply_of_thoughts_alone_says_what_to_set(tmp_path: Path) -> None:
    content = chunk(delta={"reasoning_content": "Hm."}) + chunk(finish="length") + DONE
    _, finished, items = await ask(tmp_path, Fault("bytes", content=content))
    switched = next(item for item in items if isinstance(item, protocol.RendererSwitched))
    assert finished.renderer == "scripted"
    assert "max_tokens" in switched.reason
    assert "thinking" in switched.reason


async def test_a_template_that_begins_the_thoughts(tmp_path: Path) -> None:
    content = chunk("Okay, the player greets. I") + chunk(" greet.\n</think>\n\nWell met, love.") + chunk(finish="stop")
    spoken, finished, _ = await ask(tmp_path, Fault("bytes", content=content + DONE), thinks=True)
    assert spoken == ["Well met, love."]
    assert (finished.text, finished.reason) == ("Well met, love.", "complete")


async def test_no_event_has_the_key_in_it(tmp_path: Path) -> None:
    fault = Fault("refuse", status=401, message="Incorrect API key provided: sk-SECRET-7.")
    _, finished, items = await ask(tmp_path, fault, key="sk-SECRET-7 \n")
    assert finished.renderer == "scripted"
    told = [protocol.encode(item).decode() for item in items if isinstance(item, protocol.Message)]
    assert not any("SECRET" in text for text in told)
