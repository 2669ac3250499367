"""What servers send over the chat wire, right or wrong, and what becomes of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rfsn_core.contract.errors import EngineError, ReplyTooLong
from rfsn_core.kit.chat import chat_request, stream_chat
from rfsn_core.kit.http import Remote
from rfsn_core.protocol.turn import Usage
from rfsn_core.testing.engine import Fault, StandIn
from rfsn_core.testing.suites import make_prompt


def event(delta: Any = None, finish: Any = None, **fields: Any) -> bytes:
    choices = [{"index": 0, "delta": {} if delta is None else delta, "finish_reason": finish}]
    return b"data: " + json.dumps({"choices": choices, **fields}).encode() + b"\n\n"


def said(text: Any) -> bytes:
    return event({"content": text})


DONE = b"data: [DONE]\n\n"
WELL = said("Well met.")
WHOLE = {"choices": [{"message": {"content": "Well met."}, "finish_reason": "stop"}]}


async def reply(content: bytes) -> tuple[str, list[Usage], EngineError | None]:
    """What a server that sends these bytes says, its usage, and how it fails."""
    text, usage = "", []
    with StandIn() as engine:
        engine.faults.append(Fault("body", content=content))
        remote = Remote(f"{engine.url}/v1", "the server", connect_timeout=5)
        try:
            async for part in stream_chat(remote, chat_request(make_prompt(), "tiny", {})):
                if isinstance(part, Usage):
                    usage.append(part)
                else:
                    text += part
        except EngineError as error:
            return text, usage, error
        finally:
            await remote.close()
    return text, usage, None


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (WELL + event(finish="stop") + DONE, "Well met."),
        (WELL + DONE, "Well met."),
        (WELL + event(finish="eos"), "Well met."),
        (said([{"type": "text", "text": "Well met."}]) + event(finish="stop"), "Well met."),
        (said([{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}]) + WELL + DONE, "Well met."),
        (said([{"type": "thinking", "thinking": "Hm."}, {"type": "text", "text": "Well met."}]) + DONE, "Well met."),
        (json.dumps(WHOLE).encode(), "Well met."),
        (json.dumps(WHOLE, indent=2).encode(), "Well met."),
        (b'data: {"choices":[{"delta":{"content":"Beer \\ud83c"}}]}\n\n'
         b'data: {"choices":[{"delta":{"content":"\\udf7a for you."}}]}\n\n' + DONE, "Beer 🍺 for you."),
        (b'data: {"choices":[{"delta":{"content":"Beer \\ud83c"}}]}\n\n' + said(" for you.") + DONE, "Beer  for you."),
        (b'data: {"choices":null}\n\n' + WELL + DONE, "Well met."),
        (event({"content": None, "role": "assistant"}) + WELL + DONE, "Well met."),
    ],
)  # fmt: skip
async def test_the_words_are_found(content: bytes, text: str) -> None:
    got, _, error = await reply(content)
    assert (got, error) == (text, None)


@pytest.mark.parametrize(
    ("usage", "told"),
    [
        ({"prompt_tokens": 10, "completion_tokens": 2}, [Usage(prompt_tokens=10, completion_tokens=2)]),
        ({"prompt_tokens": "10"}, []),
        ({"prompt_tokens": "10", "completion_tokens": 2}, [Usage(completion_tokens=2)]),
        ({"prompt_tokens": 1.5}, []),
        ("many", []),
        ([1], []),
        ({"prompt_tokens": 3, "prompt_tokens_details": "none"}, [Usage(prompt_tokens=3)]),
    ],
)
async def test_statistics_that_cannot_be_read_are_left_out(usage: Any, told: list[Usage]) -> None:
    assert await reply(WELL + event(finish="stop", usage=usage) + DONE) == ("Well met.", told, None)


@pytest.mark.parametrize("reason", ["length", "max_tokens", "MAX_TOKENS"])
async def test_a_reply_that_reached_its_limit(reason: str) -> None:
    text, _, error = await reply(said("Well met. The ferry") + event(finish=reason) + DONE)
    assert text == "Well met. The ferry"
    assert isinstance(error, ReplyTooLong)


@pytest.mark.parametrize("reason", ["error", "abort", "insufficient_system_resource"])
async def test_a_server_that_fails_in_its_last_chunk(reason: str) -> None:
    _, _, error = await reply(said("Well met. The ferry") + event(finish=reason) + DONE)
    assert error is not None
    assert reason in str(error)
    assert not isinstance(error, ReplyTooLong)


async def test_all_tokens_went_into_thinking() -> None:
    _, _, error = await reply(event({"reasoning_content": "Hm."}) + event(finish="length") + DONE)
    assert isinstance(error, ReplyTooLong)
    assert "thinking" in str(error)
    assert "Raise max_tokens" in error.hint
