"""What both wires have in common: which NPC is meant, what was said, and whether the answer is wanted once more."""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request

from rfsn_core import (
    BadMessage,
    ConversationBusy,
    Decision,
    DialectHost,
    DialectTurn,
    Hello,
    PlayerTurn,
    RfsnError,
    TurnCancelled,
    TurnFailed,
    TurnFinished,
    Undo,
    UnknownNpc,
)
from rfsn_dialect_openai import Settings

T = TypeVar("T")

LARGEST = 8_000_000
"""Bytes of a request: clients send the whole history, which is not used."""
MOST_CHATS = 1000
"""Conversations whose last message is kept, to know it again."""
SCENE_CHARACTERS = 1000
TASK = "### Task:"
"""What Open WebUI's requests for titles, tags and the like begin with."""
CONTINUE = "Go on."
"""What the player says when the client wants the answer to be continued."""


class Failed(Exception):
    """A request that cannot be answered."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


@dataclass(frozen=True)
class Asked:
    """A request for an answer, whatever its wire."""

    npc: str
    player: str
    save: str
    text: str
    """What the player says; empty when the NPC is to begin."""
    fingerprint: tuple[str, str, int]
    """(chat, last message, number of messages): equal for the same request sent again."""
    state: Mapping[str, Any] = field(default_factory=dict)

    @property
    def scope(self) -> tuple[str, str, str]:
        """Whose conversation it is."""
        return self.npc, self.player, self.save


@dataclass(frozen=True)
class Message:
    """A message of the history that a client sends."""

    role: str
    text: str


def messages_of(body: Mapping[str, Any]) -> list[Message]:
    """Return the messages of a request. Raises Failed when there are none."""
    listed = body.get("messages")
    messages = [item for item in listed if _is_table(item)] if isinstance(listed, list) else []
    if not messages:
        raise Failed(400, "invalid_request", "'messages' must be a list of at least one {'role', 'content'}")
    return [Message(str(item.get("role", "")), _text(item.get("content"))) for item in messages]


def _is_table(value: object) -> bool:
    return isinstance(value, Mapping)


def _text(content: Any) -> str:
    """Return a message's text, which may come in parts."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "\n".join(str(part.get("text", "")) for part in parts if _is_table(part) and part.get("type") == "text")


async def read_body(request: Request) -> Mapping[str, Any]:
    """Return a request's JSON object. Raises Failed."""
    data = bytearray()
    try:
        async for chunk in request.stream():
            data += chunk
            if len(data) > LARGEST:
                raise Failed(413, "too_long", f"the request has more than {LARGEST} bytes")
        body = json.loads(data or b"{}")
    except (ValueError, RecursionError, ClientDisconnect) as error:
        raise Failed(400, "invalid_request", f"the request is not JSON: {error}") from error
    if not isinstance(body, Mapping):
        raise Failed(400, "invalid_request", "the request must be a JSON object")
    return body


def failure(error: RfsnError) -> Failed:
    """Return how an error is answered."""
    if isinstance(error, UnknownNpc):
        return Failed(404, "model_not_found", str(error))
    if isinstance(error, ConversationBusy):
        return Failed(429, error.code, str(error))
    if isinstance(error, BadMessage):
        return Failed(400, error.code, f"{error.field}: {error}" if error.field else str(error))
    return Failed(503, error.code, str(error))


def task_answer(text: str) -> str | None:
    """Return the answer to a request of Open WebUI that is not for the NPC; None for any other text."""
    if not text.lstrip().startswith(TASK):
        return None
    head = text.lower()
    for key, empty in (("follow_ups", "[]"), ("tags", "[]"), ("queries", "[]"), ("title", '"A conversation"')):
        if key in head:
            return f'{{"{key}": {empty}}}'
    return ""


class Chats:
    """The conversations of all clients."""

    def __init__(self, settings: Settings, host: DialectHost) -> None:
        self.host = host
        self._settings = settings
        self._last: OrderedDict[tuple[str, str, str], tuple[tuple[str, str, int], str]] = OrderedDict()

    def asked(self, request: Request, body: Mapping[str, Any]) -> Asked:
        """Return what a request asks for. Raises Failed."""
        messages = messages_of(body)
        npc, save = self.model(str(body.get("model", "")))
        spoken = [message for message in messages if message.role == "user"]
        last = messages[-1]
        if last.role == "assistant" and spoken:
            text = CONTINUE
        else:
            text = spoken[-1].text if spoken else ""
        chat = request.headers.get("x-openwebui-chat-id", "")
        system = "\n".join(message.text for message in messages if message.role == "system")
        state = {"scene": system[:SCENE_CHARACTERS]} if self._settings.scene and system else {}
        return Asked(npc, self._player(request, body), save, text, (chat, text, len(messages)), state)

    def model(self, name: str) -> tuple[str, str]:
        """Return the NPC and the save that a model's name stands for: `innkeeper`, `innkeeper@slot1`. Raises Failed."""
        wanted, _, save = name.removesuffix(":latest").partition("@")
        try:
            return self.host.npc(wanted).id, save or self._settings.save
        except RfsnError as error:
            raise failure(error) from error

    def _player(self, request: Request, body: Mapping[str, Any]) -> str:
        headers = request.headers
        said = (headers.get("x-rfsn-player"), headers.get("x-openwebui-user-id"), body.get("user"))
        return next((str(name)[:200] for name in said if name), self._settings.player)

    async def answer(self, asked: Asked) -> Answer:
        """Begin the turn that answers a request. Raises Failed.

        The same request sent again wants another answer: the last turn is undone first.
        """
        try:
            before = self._last.pop(asked.scope, None)
            if before is not None and before[0] == asked.fingerprint:
                npc, player, save = asked.scope
                await self.host.undo(Undo(npc=npc, player=player, save=save, decision_id=before[1]))
            turn = self.host.begin(
                PlayerTurn(
                    npc=asked.npc,
                    player=asked.player,
                    save=asked.save,
                    text=asked.text,
                    signal="" if asked.text else "greet",
                    state=dict(asked.state),
                ),
                Hello(audio=False, text=True),
            )
        except RfsnError as error:
            raise failure(error) from error
        answer = Answer(turn)
        try:
            await answer.decide()
        except BaseException:
            await turn.cancel()
            raise
        self._last[asked.scope] = (asked.fingerprint, answer.decision.decision_id)
        while len(self._last) > MOST_CHATS:
            self._last.popitem(last=False)
        return answer


class Answer:
    """An NPC's answer, while it is made."""

    def __init__(self, turn: DialectTurn) -> None:
        self._turn = turn
        self._items = aiter(turn)
        self.decision: Decision
        self.tokens = (0, 0)
        """Of the prompt and of the answer, as far as the engine counts them."""

    async def decide(self) -> None:
        """Wait for the decision. Raises Failed when the turn ends before it."""
        async for item in self._items:
            if isinstance(item, Decision):
                self.decision = item
                return
            _check(item)
        raise Failed(503, "cancelled", "the turn was interrupted")

    async def words(self) -> AsyncIterator[str]:
        """Yield the answer piece by piece. Leaving early stops the turn. Raises Failed when it fails."""
        try:
            async for item in self._items:
                if (delta := getattr(item, "delta", None)) is not None:
                    yield delta
                elif isinstance(item, TurnFinished):
                    usage = item.trace.usage
                    if usage is not None:
                        self.tokens = usage.prompt_tokens or 0, usage.completion_tokens or 0
                else:
                    _check(item)
        finally:
            await self._turn.cancel()

    async def text(self) -> str:
        """Return the whole answer. Raises Failed."""
        return "".join([delta async for delta in self.words()]).strip()


def _check(item: object) -> None:
    if isinstance(item, TurnFailed):
        raise Failed(500, item.code, item.message)
    if isinstance(item, TurnCancelled) and item.reason == "shutdown":
        raise Failed(503, "shutting_down", "the server stops")


async def while_connected(request: Request, work: Awaitable[T]) -> T:
    """Await work, and cancel it when the client goes away: that is how people stop an answer."""
    task = asyncio.ensure_future(work)

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    watching = asyncio.ensure_future(gone())
    try:
        await asyncio.wait({task, watching}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise Failed(499, "disconnected", "the client went away")
        return task.result()
    finally:
        for running in (task, watching):
            running.cancel()
        await asyncio.wait({task, watching})


def chosen_tool(body: Mapping[str, Any], action: str) -> bool:
    """Return whether the client offers a function of the action's name."""
    tools = body.get("tools")
    functions = [tool.get("function") for tool in tools if _is_table(tool)] if isinstance(tools, list) else []
    return any(_is_table(function) and function.get("name") == action for function in functions)
