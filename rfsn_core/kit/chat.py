"""The OpenAI chat wire, which many servers speak: vLLM, llama.cpp, LM Studio, Ollama's `/v1`, and OpenAI."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Collection, Mapping
from contextlib import aclosing
from typing import Any, TypeVar

import msgspec

from rfsn_core.contract.errors import EngineError, ReplyTooLong
from rfsn_core.contract.rendering import Prompt
from rfsn_core.kit.http import Remote, server_sent
from rfsn_core.protocol.turn import Usage

T = TypeVar("T")

REACHED_LIMIT = frozenset(
    {"length", "max_tokens", "max_output_tokens", "model_length", "model_context_window_exceeded"}
)
"""Why a reply ended: it reached its limit."""
WITHHELD = frozenset(
    {"content_filter", "content_filtered", "safety", "sensitive", "recitation", "refusal", "blocklist"}
)
"""The server's own filter stopped it."""
BROKEN = frozenset(
    "error failed abort aborted cancelled canceled timeout network_error server_error insufficient_system_resource"
    " malformed_function_call unknown".split()
)
"""The server failed, and said so in place of an error."""


class _Choice(msgspec.Struct):
    delta: Any = None
    message: Any = None
    """In the answer of a server that does not stream."""
    text: Any = None
    finish_reason: Any = None


class _Chunk(msgspec.Struct):
    choices: list[_Choice] | None = None
    usage: Any = None
    error: Any = None


_decoder = msgspec.json.Decoder(_Chunk)


def decode_json(data: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    """Decode JSON, also with characters that a server cut in two. Raises ValueError for what is no such JSON."""
    try:
        return decoder.decode(data)
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:
        return msgspec.convert(json.loads(data.decode("utf-8", "replace")), decoder.type)


class WholeCharacters:
    """Joins the halves of characters that came in two pieces of text; a half alone is dropped."""

    def __init__(self) -> None:
        self._half = ""

    def feed(self, text: str) -> str:
        """Return the text without halves."""
        if text.isascii() and not self._half:
            return text
        text, self._half = self._half + text, ""
        if "\ud800" <= text[-1:] <= "\udbff":
            text, self._half = text[:-1], text[-1]
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "ignore")


def content_text(content: Any) -> str:
    """Return the text of a message's content: a string, or a list of parts, of which thoughts are left out."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(content_text(part) for part in content)
    if isinstance(content, dict) and content.get("type", "text") in ("text", "output_text", "text_delta"):
        return content_text(content.get("text"))
    return ""


def token_count(value: Any) -> int | None:
    """Return a number of tokens; None for what is no such number."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _usage(usage: Any) -> Usage | None:
    if not isinstance(usage, dict):
        return None
    details = usage.get("prompt_tokens_details")
    told = Usage(
        prompt_tokens=token_count(usage.get("prompt_tokens")),
        completion_tokens=token_count(usage.get("completion_tokens")),
        cached_tokens=token_count(details.get("cached_tokens")) if isinstance(details, dict) else None,
    )
    return None if told == Usage() else told


THOUGHTS = "<think>"
"""Comes before a reply whose thoughts the server's template began, so that they are not taken for words."""
REPORT_GRAMMAR = r"""
root ::= [^{}<>\n]{1,400} "\nFINAL_JSON {\"action\": " name ", \"tone\": " name ", \"claims\": [" claims? "]}"
claims ::= text (", " text){0,4}
name ::= "\"" [a-z_]{1,30} "\""
text ::= "\"" [^"\\\n]{1,120} "\""
"""
"""Words, then the report, neither without end; in GBNF, for engines that accept a grammar."""


def chat_request(prompt: Prompt, model: str, options: Mapping[str, Any], omit: Collection[str] = ()) -> dict[str, Any]:
    """Return a request for a streamed reply; options that are None are left out, and so are the keys in `omit`."""
    request = {
        "model": model,
        "messages": [{"role": message.role, "content": message.content} for message in prompt.messages],
        "stream": True,
        "stream_options": {"include_usage": True},
        "seed": prompt.seed & 0x7FFFFFFF,
        **{name: value for name, value in options.items() if value is not None},
    }
    return {name: value for name, value in request.items() if name not in omit}


async def stream_chat(
    remote: Remote, request: Mapping[str, Any], *, thinks: bool = False
) -> AsyncGenerator[str | Usage]:
    """Stream a reply from `/chat/completions`. Raises EngineError, also for a stream that ends before its end.

    :param thinks: whether the server's template begins the model's thoughts.
    """
    finished, said, thought = "", False, False
    characters = WholeCharacters()
    async with remote.stream("/chat/completions", request) as lines:
        async with aclosing(server_sent(lines)) as stream:
            async for data in stream:
                if data.strip() == b"[DONE]":
                    finished = finished or "stop"
                    break
                try:
                    chunk = decode_json(data, _decoder)
                except (ValueError, msgspec.MsgspecError, RecursionError) as error:
                    raise EngineError(f"{remote} sent what is no chat chunk: {data[:100]!r}") from error
                if chunk.error is not None:
                    raise EngineError(f"{remote} failed: {_message(chunk.error)}", retryable=True)
                if (usage := _usage(chunk.usage)) is not None:
                    yield usage
                for choice in (chunk.choices or ())[:1]:
                    text, thoughts = _content(choice)
                    thought = thought or thoughts
                    if text := characters.feed(text):
                        yield text if said or not thinks else THOUGHTS + text
                        said = True
                    finished = str(choice.finish_reason or finished).lower()
    check_reply_end(remote, finished, said=said, thought=thought, limit="max_tokens")


def _content(choice: _Choice) -> tuple[str, bool]:
    """Return the text of a choice, and whether there were thoughts in it."""
    message = choice.delta if isinstance(choice.delta, dict) else choice.message
    if not isinstance(message, dict):
        return content_text(choice.text), False
    content = message.get("content")
    thoughts = bool(message.get("reasoning_content") or message.get("reasoning"))
    text = content_text(content)
    return text, thoughts or (bool(content) and not text)


def check_reply_end(remote: Remote, finished: str, *, said: bool, thought: bool, limit: str) -> None:
    """Raise EngineError for a reply that ended early; ReplyTooLong for one that reached its limit.

    :param finished: why the engine says that it ended, in lower case; empty when the stream just stopped.
    :param limit: the setting that ends a reply.
    """
    if not finished:
        raise EngineError(f"{remote} stopped in the middle", retryable=True)
    if finished in REACHED_LIMIT:
        if thought and not said:
            raise ReplyTooLong(
                f"{remote}: all of {limit} went into thinking, and nothing was said",
                hint=f"Raise {limit}, or turn the model's thinking off",
            )
        raise ReplyTooLong(f"{remote}: the reply reached {limit}")
    if finished in WITHHELD:
        raise EngineError(f"{remote} withheld its reply ({finished})", engine_at_fault=False)
    if finished in BROKEN:
        raise EngineError(f"{remote} broke off its reply (finish_reason: {finished})", retryable=True)


def _message(error: Any) -> str:
    return str(error.get("message", error) if isinstance(error, dict) else error)[:500]


def model_ids(remote: Remote, found: Any) -> list[str]:
    """Return the ids in an answer of `/models`. Raises EngineError when it is none."""
    if not isinstance(found, dict) or not isinstance(found.get("data"), list):
        raise EngineError(f"{remote} does not speak OpenAI's language", hint="Does the address end with /v1?")
    return [str(model.get("id")) for model in found["data"] if isinstance(model, dict)]
