"""The OpenAI chat wire, which many servers speak: vLLM, llama.cpp, LM Studio, Ollama's `/v1`, and OpenAI."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

import msgspec

from rfsn_core.contract.errors import EngineError
from rfsn_core.contract.rendering import Prompt
from rfsn_core.kit.http import Remote, server_sent
from rfsn_core.protocol.server import Usage


class _Delta(msgspec.Struct):
    content: str | None = None
    # What a model thinks comes under `reasoning` or `reasoning_content`: not read, so never spoken.


class _Choice(msgspec.Struct):
    delta: _Delta | None = None
    finish_reason: str | None = None


class _Details(msgspec.Struct):
    cached_tokens: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _Details | None = None


class _Chunk(msgspec.Struct):
    choices: list[_Choice] = []
    usage: _Usage | None = None
    error: Any = None


_decode = msgspec.json.Decoder(_Chunk).decode


REPORT_GRAMMAR = r"""
root ::= [^{}<>\n]{1,400} "\nFINAL_JSON {\"action\": " name ", \"tone\": " name ", \"claims\": [" claims? "]}"
claims ::= text (", " text){0,4}
name ::= "\"" [a-z_]{1,30} "\""
text ::= "\"" [^"\\\n]{1,120} "\""
"""
"""Words, then the report, neither without end; in GBNF, for engines that accept a grammar."""


def body(prompt: Prompt, model: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """A request for a streamed reply; options that are None are left out."""
    return {
        "model": model,
        "messages": [{"role": message.role, "content": message.content} for message in prompt.messages],
        "stream": True,
        "stream_options": {"include_usage": True},
        "seed": prompt.seed & 0x7FFFFFFF,
        **{name: value for name, value in options.items() if value is not None},
    }


async def completion(remote: Remote, request: Mapping[str, Any]) -> AsyncGenerator[str | Usage]:
    """Stream a reply from `/chat/completions`. Raises EngineError, also for a stream that ends before its end."""
    finished = ""
    async with remote.stream("/chat/completions", request) as lines:
        async with aclosing(server_sent(lines)) as stream:
            async for data in stream:
                if data == b"[DONE]":
                    finished = finished or "stop"
                    break
                try:
                    chunk = _decode(data)
                except (msgspec.MsgspecError, RecursionError) as error:
                    raise EngineError(f"{remote} sent what is no chat chunk: {data[:100]!r}") from error
                if chunk.error is not None:
                    raise EngineError(f"{remote} failed: {_message(chunk.error)}", retryable=True)
                if chunk.usage is not None:
                    details = chunk.usage.prompt_tokens_details
                    yield Usage(
                        prompt_tokens=chunk.usage.prompt_tokens,
                        completion_tokens=chunk.usage.completion_tokens,
                        cached_tokens=details.cached_tokens if details else None,
                    )
                if chunk.choices:
                    choice = chunk.choices[0]
                    if choice.delta is not None and choice.delta.content:
                        yield choice.delta.content
                    finished = choice.finish_reason or finished
    if not finished:
        raise EngineError(f"{remote} stopped in the middle", retryable=True)
    if finished == "content_filter":
        raise EngineError(f"{remote} withheld its reply (content_filter)", engine_at_fault=False)


def _message(error: Any) -> str:
    return str(error.get("message", error) if isinstance(error, dict) else error)[:500]


def models(remote: Remote, found: Any) -> list[str]:
    """The ids in an answer of `/models`. Raises EngineError when it is none."""
    if not isinstance(found, dict) or not isinstance(found.get("data"), list):
        raise EngineError(f"{remote} does not speak OpenAI's language", hint="Does the address end with /v1?")
    return [str(model.get("id")) for model in found["data"] if isinstance(model, dict)]
