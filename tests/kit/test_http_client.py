from __future__ import annotations

import asyncio
import email.utils
import gzip
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rfsn_core.contract.errors import EngineError
from rfsn_core.kit.chat import chat_request, stream_chat
from rfsn_core.kit.http import Remote, complaint, retry_after, server_sent
from rfsn_core.testing.engine import Fault, StandIn
from rfsn_core.testing.suites import make_prompt


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b'{"error": "model \'x\' not found"}', "model 'x' not found"),
        (b'{"error": {"message": "too long", "code": 400}}', "too long"),
        (b'{"type": "error", "error": {"type": "x", "message": "busy"}}', "busy"),
        (b'{"detail": "Not Found"}', "Not Found"),
        (b'{"error": {"code": 7}}', "{'code': 7}"),
        (b"<html>Bad gateway</html>", "<html>Bad gateway</html>"),
        (b"\xff\xfe", "\ufffd\ufffd"),
        (b"[" * 5000, "[" * 300),
        (b"", ""),
        (b"[1]", "[1]"),
    ],
)
def test_what_went_wrong_is_found_in_whatever_they_send(content: bytes, text: str) -> None:
    assert complaint(content) == text


def test_how_long_to_wait() -> None:
    assert retry_after({"retry-after": "3"}) == 3
    assert retry_after({"retry-after": "0.5"}) == 0.5
    assert retry_after({"retry-after": "3", "retry-after-ms": "250"}) == 0.25
    later = email.utils.formatdate(time.time() + 60, usegmt=True)
    assert 50 < (retry_after({"retry-after": later}) or 0) <= 61
    for nothing in ({}, {"retry-after": "soon"}, {"retry-after": "-3"}, {"retry-after-ms": "x"}):
        assert not retry_after(nothing)


async def events_of(*lines: bytes) -> list[bytes]:
    async def given_lines() -> AsyncIterator[bytes]:
        for line in lines:
            yield line

    return [data async for data in server_sent(given_lines())]


async def test_server_sent_events() -> None:
    assert await events_of(b"data: 1", b"", b"data:2", b"", b": ping", b"", b"event: x", b"data: 3", b"") == [
        b"1",
        b"2",
        b"3",
    ]
    assert await events_of(b"data: a", b"data: b", b"") == [b"a\nb"]
    assert await events_of(b"data: 1\r", b"\r", b"data: 2\r", b"\r") == [b"1", b"2"]
    assert await events_of(b"", b"", b"id: 7", b"retry: 5", b"") == []
    assert await events_of(b"data: the end is missing") == [b"the end is missing"]


@given(st.lists(st.binary(max_size=40)))
async def test_no_bytes_break_the_reader(lines: list[bytes]) -> None:
    await events_of(*lines)


async def read(engine: StandIn) -> tuple[str, str]:
    """(what was said, the error)."""
    remote = Remote(f"{engine.url}/v1", "it", connect_timeout=2)
    said = []
    try:
        async for part in stream_chat(remote, chat_request(make_prompt(), "tiny", {})):
            if isinstance(part, str):
                said.append(part)
    except EngineError as error:
        return "".join(said), str(error)
    finally:
        await remote.close()
    return "".join(said), ""


def data(text: str) -> bytes:
    return f"data: {text}\n\n".encode()


HELLO = data('{"choices": [{"delta": {"content": "Hello."}}]}')


@pytest.mark.parametrize(
    ("content", "said", "error"),
    [
        (HELLO + data('{"choices": [{"delta": {}, "finish_reason": "stop"}]}'), "Hello.", ""),  # without [DONE]
        (HELLO + data("[DONE]"), "Hello.", ""),
        (HELLO, "Hello.", "stopped in the middle"),
        (data('{"choices": [{"delta": {"content": null}}]}') + HELLO + data("[DONE]"), "Hello.", ""),
        (data('{"choices": [{"delta": {"reasoning_content": "Hm."}}]}') + HELLO + data("[DONE]"), "Hello.", ""),
        (data('{"choices": [{"delta": null}]}') + HELLO + data("[DONE]"), "Hello.", ""),
        (HELLO + data('{"choices": [{"delta": {}, "finish_reason": "content_filter"}]}'), "Hello.", "withheld"),
        (HELLO + data('{"error": "out of memory"}'), "Hello.", "out of memory"),
        (HELLO + data("{"), "Hello.", "no chat chunk"),
        (HELLO + data('{"choices": "x"}'), "Hello.", "no chat chunk"),
        (b"<html>\n\n", "", "stopped in the middle"),
    ],
)
async def test_chat_streams_as_servers_really_send_them(content: bytes, said: str, error: str) -> None:
    with StandIn() as engine:
        engine.always = Fault("bytes", content=content)
        found = await read(engine)
    assert found[0] == said
    assert error in found[1]
    assert bool(error) == bool(found[1])


@asynccontextmanager
async def raw(answer: bytes) -> AsyncIterator[str]:
    """A server that sends these bytes to each client."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"


OK = b"HTTP/1.1 200 OK\r\nconnection: close\r\n"


@pytest.mark.parametrize(
    ("answer", "said", "error"),
    [
        (OK + b"content-encoding: gzip\r\n\r\n" + gzip.compress(HELLO + data("[DONE]")), "Hello.", ""),
        (OK + b"content-encoding: gzip\r\n\r\nno gzip", "", "broke off"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "", "broke off"),
        (b"HTTP/1.1 307 Go\r\nlocation: http://127.0.0.1:9/\r\ncontent-length: 0\r\n\r\n", "", "refused (307)"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 999\r\n\r\n" + HELLO, "Hello.", "broke off"),
        (b"HTTP/1.1 999 \xff\xfe\r\n\r\n", "", "refused (999)"),
        (b"", "", "broke off"),
    ],
)
async def test_what_speaks_no_proper_http_is_an_error_of_ours(answer: bytes, said: str, error: str) -> None:
    async with raw(answer) as url:
        remote = Remote(url, "it", connect_timeout=2)
        found, failed = [], ""
        try:
            async for part in stream_chat(remote, chat_request(make_prompt(), "tiny", {})):
                found.append(str(part))
        except EngineError as problem:
            failed = str(problem)
        await remote.close()
    assert "".join(found) == said
    assert error in failed
    assert bool(failed) == bool(error)


async def test_a_connection_is_used_again() -> None:
    with StandIn(["Hello."]) as engine:
        remote = Remote(f"{engine.url}/v1", "it", connect_timeout=2)
        for _ in range(5):
            async for _ in stream_chat(remote, chat_request(make_prompt(), "tiny", {})):
                pass
            pool = remote.client._transport._pool  # type: ignore[attr-defined]
            assert [connection.is_idle() for connection in pool.connections] == [True]
        await remote.close()


async def test_passwords_in_addresses_are_not_told() -> None:
    remote = Remote("http://me:s3cret@127.0.0.1:9/v1", "it", connect_timeout=1)
    with pytest.raises(EngineError) as caught:
        await remote.ask("GET", "/models")
    await remote.close()
    assert "s3cret" not in str(caught.value)
    assert "127.0.0.1:9" in str(caught.value)
