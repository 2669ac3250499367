"""The wires, with the clients that people use: the real `openai` and `ollama` packages, and recorded request shapes."""

from __future__ import annotations

import asyncio
import http.client
import importlib.util
import io
import json
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import ollama
import openai
import pytest
import rfsn_dialect_openai

from rfsn_core.testing import Served, served
from rfsn_core.testing.isolated import SMITH, make_world, plugin
from rfsn_core.testing.scripted import Tokens, Tone

DIALECT = ("dialect_openai", rfsn_dialect_openai)
NPCS = {"smith": SMITH, "guard": 'name = "Old Guard"\n'}


class Server:
    """A served world, and the clients of it."""

    def __init__(self, at: Served) -> None:
        self.at = at
        self.client = openai.AsyncOpenAI(base_url=f"{at.http}/v1", api_key="null", max_retries=0)
        self.http = httpx.AsyncClient(base_url=at.http)

    async def say(self, *texts: str, model: str = "smith", **options: Any) -> str:
        """Send a history of user messages and return the answer."""
        messages: list[Any] = [{"role": "user", "content": text} for text in texts]
        reply = await self.client.chat.completions.create(model=model, messages=messages, **options)
        return reply.choices[0].message.content or ""

    async def turns(self, player: str = "player", save: str = "default", count: int = 0) -> list[str]:
        """Return what the player said, of all turns that are remembered, as soon as there are `count`."""
        store = self.at.runtimes.current.store  # it follows the log, a moment later
        async with asyncio.timeout(10):
            while True:
                turns = [turn.player_text async for turn in store.export(save, "", player)]
                if len(turns) >= count:
                    return turns
                await asyncio.sleep(0.01)


@asynccontextmanager
async def serving(folder: Path, *tokens: str, **options: Any) -> AsyncIterator[Server]:
    make_world(folder, npcs=NPCS)
    given = plugin(rendering={"tokens": Tokens(tokens or ("Well met. ", "Stay a while."))}, **options.pop("stages", {}))
    async with served(folder, given, DIALECT, **options) as at:
        server = Server(at)
        async with server.http, server.client:
            yield server


async def test_npcs_are_models(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        models = await server.client.models.list()
        assert [model.id for model in models.data] == ["guard", "smith"]
        assert (await server.client.models.retrieve("Old Guard")).id == "Old Guard"
        with pytest.raises(openai.NotFoundError) as refused:
            await server.say("Hello", model="nobody")
        assert refused.value.code == "model_not_found"
        assert "smith" in refused.value.message


async def test_the_last_user_message_is_the_turn(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        reply = await server.client.chat.completions.create(
            model="smith", user="ada", temperature=0.3, max_tokens=5,
            messages=[
                {"role": "system", "content": "You are a pirate."},
                {"role": "user", "content": "Hello"},
                {"role": "assistant", "content": "Arr!"},
                {"role": "user", "content": [{"type": "text", "text": "Who are you?"}]},
            ],
        )  # fmt: skip
        assert reply.choices[0].message.content == "Well met. Stay a while."
        assert reply.choices[0].finish_reason == "stop"
        assert reply.model_extra is not None
        assert reply.model_extra["rfsn"]["decision_id"]
        assert await server.turns("ada", count=1) == ["Who are you?"]
        assert await server.say("Hello", model="guard@slot1") == "Well met. Stay a while."
        assert await server.turns(save="slot1", count=1) == ["Hello"]


async def test_a_stream_has_only_data_lines_and_ends_as_clients_expect(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        stream = await server.client.chat.completions.create(
            model="smith",
            messages=[{"role": "user", "content": "Hello"}],
            stream=True,
            stream_options={"include_usage": True},
        )
        chunks = [chunk async for chunk in stream]
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
        assert text == "Well met. Stay a while."
        assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
        assert chunks[-1].usage is not None
        body = {"model": "smith", "messages": [{"role": "user", "content": "And?"}], "stream": True}
        raw = await server.http.post("/v1/chat/completions", json=body)
        assert raw.headers["content-type"].startswith("text/event-stream")
        lines = [line for line in raw.text.splitlines() if line]
        assert all(line.startswith("data: ") for line in lines)
        assert lines[-1] == "data: [DONE]"


async def test_regenerate_undoes_the_last_turn(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        await server.say("Hello")
        await server.say("Hello", "My name is Ada.")
        assert len(await server.turns(count=2)) == 2
        await server.say("Hello", "My name is Ada.")  # swipe: the same request
        assert await server.turns(count=2) == ["Hello", "My name is Ada."]
        await server.say("Hello", "My name is Ada.", "My name is Ada.")  # said once more: another turn
        assert (await server.turns(count=3))[1:] == ["My name is Ada."] * 2


async def test_a_repeated_greeting_after_another_clients_turn_undoes_nothing(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        await server.say("Hello")
        body = {"npc_name": "smith", "user_input": "From the game."}
        await server.http.post("/chat", json=body)
        await server.say("Hello")
        assert await server.turns(count=3) == ["Hello", "From the game.", "Hello"]


@pytest.mark.parametrize(
    ("task", "key"),
    [("Generate a concise title", "title"), ("Suggest 3-5 follow_ups", "follow_ups"), ("Generate 1-3 tags", "tags")],
)
async def test_open_webuis_tasks_are_no_turns(tmp_path: Path, task: str, key: str) -> None:
    prompt = f"### Task:\n{task} for the chat history.\n### Output:\nJSON\n<chat_history>USER: Hi</chat_history>"
    async with serving(tmp_path) as server:
        for stream in (False, True):
            body = {"model": "smith", "messages": [{"role": "user", "content": prompt}], "stream": stream}
            raw = await server.http.post("/v1/chat/completions", json=body)
            text = raw.text if not stream else json.loads(raw.text.split("data: ")[1])["choices"][0]["delta"]["content"]
            assert key in text
        assert key in json.loads(await server.say(prompt))
        assert await server.turns() == []


async def test_open_webuis_headers_name_the_player_and_keep_chats_apart(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        for chat in ("one", "two"):
            headers = {"X-OpenWebUI-User-Id": "u-7", "X-OpenWebUI-Chat-Id": chat}
            await server.say("Hello", extra_headers=headers)
        assert await server.turns("u-7", count=2) == ["Hello", "Hello"]


async def test_sillytavern_continues_stops_and_greets(tmp_path: Path) -> None:
    history = [{"role": "system", "content": "Write Berit's next reply."}, {"role": "user", "content": "Hello"}]
    async with serving(tmp_path) as server:
        body: dict[str, Any] = {
            "model": "smith", "messages": [*history, {"role": "assistant", "content": "Well"}], "stream": False,
            "presence_penalty": 0, "logit_bias": {}, "n": 1, "seed": 3, "stop": ["\nAda:"],
        }  # fmt: skip
        reply = await server.http.post("/v1/chat/completions", json=body, headers={"Authorization": "Bearer null"})
        assert reply.status_code == 200
        assert await server.turns(count=1) == ["Go on."]
        body["messages"] = history[:1]
        # With an empty key; httpx refuses to send a header that ends in a blank.
        assert await asyncio.to_thread(post_with_empty_key, server.at.port, body) == 200
        body["messages"] = []
        reply = await server.http.post("/v1/chat/completions", json=body)
        assert (reply.status_code, reply.json()["error"]["code"]) == (400, "invalid_request")


def post_with_empty_key(port: int, body: dict[str, Any]) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("POST", "/v1/chat/completions", json.dumps(body), {"Authorization": "Bearer "})
    status = connection.getresponse().status
    connection.close()
    return status


async def test_closing_the_stream_stops_the_turn(tmp_path: Path) -> None:
    words = Tokens([f"Word number {number}. " for number in range(200)], interval=0.01)
    make_world(tmp_path, npcs=NPCS)
    async with served(tmp_path, plugin(rendering={"tokens": words}), DIALECT) as at, httpx.AsyncClient() as web:
        body = {"model": "smith", "messages": [{"role": "user", "content": "Talk"}], "stream": True}
        async with web.stream("POST", f"{at.http}/v1/chat/completions", json=body) as reply:
            async for line in reply.aiter_lines():
                if "number 2" in line:
                    break
        turns: list[Any] = []
        while not turns:
            await asyncio.sleep(0.01)
            turns = [turn async for turn in at.runtimes.current.store.export("", "", "")]
        assert turns[0].outcome == "cancelled"
        assert "number 2." in turns[0].npc_text
        assert "number 150" not in turns[0].npc_text


async def test_a_tool_of_the_actions_name_is_called(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        names = [action for action in server.at.runtimes.current.decider.actions if action != "greet"]
        tools: list[Any] = [{"type": "function", "function": {"name": name}} for name in names]
        reply = await server.client.chat.completions.create(
            model="smith", messages=[{"role": "user", "content": "What do you know of the mill?"}], tools=tools
        )
        assert reply.model_extra is not None
        calls = reply.choices[0].message.tool_calls or []
        assert [call.function.name for call in calls if call.type == "function"] == [
            reply.model_extra["rfsn"]["action"]
        ]
        assert reply.choices[0].finish_reason == "tool_calls"


async def test_a_text_that_is_too_long_is_an_error_with_a_message(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        with pytest.raises(openai.BadRequestError) as refused:
            await server.say("x" * 100_000)
        assert "text" in refused.value.message


@pytest.mark.parametrize(
    ("route", "body", "field"),
    [
        ("/v1/chat/completions", {"model": "smith", "messages": ["Hello"]}, "messages"),
        ("/v1/chat/completions", {"model": "smith", "messages": {"role": "user"}}, "messages"),
        ("/api/chat", {"model": "smith", "messages": [None]}, "messages"),
        ("/v1/audio/speech", {"input": "Hi", "speed": "fast", "response_format": "wav"}, "speed"),
        ("/v1/audio/speech", {"input": "Hi", "speed": {"of": "light"}, "response_format": "wav"}, "speed"),
    ],
)
async def test_a_bad_request_names_the_field(tmp_path: Path, route: str, body: dict[str, Any], field: str) -> None:
    async with serving(tmp_path, stages={"speech": {"tone": Tone()}}) as server:
        reply = await server.http.post(route, json=body)
        assert (reply.status_code, f"'{field}'" in reply.text) == (400, True)


async def test_tools_that_are_no_list_are_ignored(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        body = {"model": "smith", "messages": [{"role": "user", "content": "Hello"}], "tools": 5}
        assert (await server.http.post("/v1/chat/completions", json=body)).status_code == 200


async def test_the_ollama_package_talks_to_npcs(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        async with ollama.AsyncClient(host=server.at.http) as client:
            assert [model.model for model in (await client.list()).models] == ["guard:latest", "smith:latest"]
            messages = [{"role": "user", "content": "Hello"}]
            reply = await client.chat(model="smith:latest", messages=messages)
            assert reply.message.content == "Well met. Stay a while."
            assert reply.done_reason == "stop"
            parts = [part async for part in await client.chat(model="guard", messages=messages, stream=True)]
            assert "".join(part.message.content or "" for part in parts) == "Well met. Stay a while."
            assert parts[-1].done
            assert (await client.generate(model="smith", prompt="And you?")).response == "Well met. Stay a while."
            with pytest.raises(ollama.ResponseError, match="no NPC 'llama3'"):
                await client.chat(model="llama3", messages=messages)


async def test_voices_speak_for_other_programs(tmp_path: Path) -> None:
    async with serving(tmp_path, stages={"speech": {"tone": Tone()}}) as server:
        speech = await server.client.audio.speech.create(
            model="tts-1", voice="smith", input="Mind the step. It is loose.", response_format="wav"
        )
        with wave.open(io.BytesIO(speech.content)) as sound:
            assert sound.getnchannels() == 1
            assert sound.getnframes() > sound.getframerate() / 10
        voices = (await server.http.get("/v1/audio/voices")).json()["voices"]
        assert {"id": "smith", "name": "Berit"} in voices
        with pytest.raises(openai.BadRequestError, match="wav"):
            await server.client.audio.speech.create(model="x", voice="y", input="Hi", response_format="midi")  # type: ignore[arg-type]
        if importlib.util.find_spec("av"):
            mp3 = await server.client.audio.speech.create(model="tts-1", voice="smith", input="Mind the step.")
            assert mp3.response.headers["content-type"] == "audio/mpeg"
            assert mp3.content[:3] == b"ID3" or mp3.content[0] == 0xFF


async def test_without_a_voice_the_error_says_what_to_do(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        with pytest.raises(openai.InternalServerError, match="speech"):
            await server.client.audio.speech.create(model="x", voice="smith", input="Hi", response_format="wav")
