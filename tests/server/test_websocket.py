"""`/v1/ws` over a real socket: what is promised, and what is refused."""

from __future__ import annotations

import gc
import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, get_args

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from rfsn_core import protocol
from rfsn_core.server.limits import LimitedWebSocket
from rfsn_core.server.websocket import HANDLERS
from rfsn_core.testing import NPC, Served, plugin, served
from rfsn_core.testing.client import Client, connected, kind
from rfsn_core.testing.scripted import Memory, Tokens, Tone
from rfsn_core.testing.waiting import until


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Served]:
    async with served(tmp_path, plugin(rendering={"t": Tokens()}, speech={"v": Tone()})) as server:
        yield server


@pytest.fixture
async def client(server: Served) -> AsyncIterator[Client]:
    async with connected(server.ws) as client:
        yield client


async def refused(client: Client, code: str, field: str | None = None) -> protocol.Error:
    """The answer is this error, and the connection still works."""
    (answer,) = await client.until("error")
    assert isinstance(answer, protocol.Error)
    assert answer.code == code
    assert field is None or answer.field == field
    assert kind((await client.turn(NPC))[-1]) == "turn.finished"
    return answer


async def test_a_turn_brings_decision_words_voice_and_its_end_in_that_order(client: Client) -> None:
    assert [npc.id for npc in client.welcome.npcs] == [NPC]
    await client.send("hello", client="test", audio=True, text=True, visemes=True)
    got = [kind(item) for item in await client.turn(NPC, turn_id="mine")]
    order = [got.index(name) for name in ("turn.started", "decision", "text", "sentence", "audio", "turn.finished")]
    assert order == sorted(order)
    assert {"visemes", "speech.started", "speech.finished", "state"} <= set(got)


async def test_one_socket_carries_many_sessions_at_once(server: Served, client: Client) -> None:
    for number in range(20):
        await client.send("turn", npc=NPC, player=f"p{number}", text="Hello", turn_id=f"t{number}")
    ended: set[str] = set()
    while len(ended) < 20:
        (*_, last) = await client.until("turn.finished")
        assert isinstance(last, protocol.TurnFinished)
        ended.add(last.turn_id)
    assert ended == {f"t{number}" for number in range(20)}


@pytest.mark.parametrize(
    ("message", "code", "field"),
    [
        ({"type": "turn", "npc": "nobody", "text": "Hi"}, "unknown_npc", None),
        ({"type": "turn", "npc": NPC, "text": ""}, "bad_message", "text"),
        ({"type": "turn", "npc": NPC, "text": " \n\t "}, "bad_message", "text"),
        ({"type": "turn", "npc": NPC, "text": "\x00\x07\x1b"}, "bad_message", "text"),
        ({"type": "turn", "npc": NPC, "text": "a" * 5000}, "bad_message", "text"),
        ({"type": "turn", "npc": NPC, "text": 7}, "bad_message", "text"),
        ({"type": "turn", "npc": NPC}, "bad_message", None),
        ({"type": "turn", "npc": NPC, "text": "Hi", "state": [1]}, "bad_message", "state"),
        ({"type": "turn", "npc": NPC, "text": "Hi", "state": "x"}, "bad_message", "state"),
        ({"type": "turn", "npc": NPC, "text": "Hi", "signal": "dance"}, "bad_message", "signal"),
        ({"type": "turn", "npc": NPC, "text": "Hi", "wold": "typo"}, "bad_message", None),
        ({"type": "turn", "npc": "", "text": "Hi"}, "bad_message", "npc"),
        ({"type": "dance"}, "bad_message", None),
        ({"no": "type"}, "bad_message", None),
        ([], "bad_message", None),
        (None, "bad_message", None),
        ({"type": "cancel", "turn_id": "unknown"}, "unknown_turn", None),
        ({"type": "cancel"}, "bad_message", None),
        ({"type": "reward", "decision_id": "unknown", "value": 7}, "bad_message", "value"),
        ({"type": "reward", "decision_id": "unknown", "signal": "joy"}, "bad_message", "signal"),
        ({"type": "event", "npc": "nobody", "kind": "gift"}, "unknown_npc", None),
    ],
    ids=lambda value: str(value)[:60] if isinstance(value, dict) else None,
)
async def test_bad_messages_get_a_typed_error(client: Client, message: Any, code: str, field: str | None) -> None:
    await client.socket.send(json.dumps(message))
    await refused(client, code, field)


@pytest.mark.parametrize(
    "data",
    [
        "",
        "{",
        "nonsense",
        "[" * 100_000,
        '{"type":"turn","npc":"smith","text":"Hi","state":' + '{"a":' * 1000 + "1" + "}" * 1001,
        '{"type":"turn","npc":"smith","text":"Hi","state":{"a":NaN}}',
        '{"type":"turn","npc":"smith","text":"Hi","state":{"a":1e999}}',
        '{"type":"turn","npc":"smith","text":"\\ud800"}',
        b"\xff\xfe\x00",
        b'{"type":"ping","id":"\xc3"}',
    ],
    ids=["empty", "cut", "words", "brackets", "deep", "NaN", "infinite", "surrogate", "bytes", "half a character"],
)
async def test_garbage_gets_an_error(client: Client, data: str | bytes) -> None:
    await client.socket.send(data)
    await refused(client, "bad_message")


async def test_a_long_message_is_refused_and_one_far_too_long_ends_the_connection(
    server: Served, client: Client
) -> None:
    await client.socket.send(json.dumps({"type": "turn", "npc": NPC, "text": "a" * 300_000}))
    await refused(client, "too_long")
    await client.socket.send("a" * 1_000_000)
    with pytest.raises(ConnectionClosed) as closed:
        await client.until("error")
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1009
    async with connected(server.ws) as other:
        assert kind((await other.turn(NPC))[-1]) == "turn.finished"


async def test_half_a_character_in_a_text_frame_ends_only_that_connection(server: Served, client: Client) -> None:
    await client.socket.send(b'{"type":"ping","id":"\xc3"}', text=True)
    with pytest.raises(ConnectionClosed):
        await client.until("pong")
    async with connected(server.ws) as other:
        assert kind((await other.turn(NPC))[-1]) == "turn.finished"


@pytest.mark.parametrize(
    "text", ["שלום, מה שלומך?", "مرحبا", "🔥🗡️👨‍👩‍👧", "你好。再见！", "a\u202eb\u2066c", "z\u0301" * 500, "\ufeffHello"]
)
async def test_any_script_is_an_ordinary_text(tmp_path: Path, text: str) -> None:
    store = Memory()
    async with (
        served(tmp_path, plugin(rendering={"t": Tokens(["I heard: ", text])}, storage={"m": store})) as server,
        connected(server.ws) as client,
    ):
        (*_, last) = await client.turn(NPC, text)
    assert isinstance(last, protocol.TurnFinished)
    assert last.text == f"I heard: {text}".replace("\ufeff", "")
    assert store.turns[0].player_text == text


async def test_control_characters_in_a_text_are_taken_out(tmp_path: Path) -> None:
    store = Memory()
    async with served(tmp_path, plugin(storage={"m": store})) as server, connected(server.ws) as client:
        await client.turn(NPC, "Good\x00 \x1b[31mevening")
    assert store.turns[0].player_text == "Good [31mevening"


@pytest.mark.parametrize("offered", [None, ["chat"], ["rfsn.v2"]])
async def test_the_subprotocol_must_be_right(server: Served, offered: Any) -> None:
    with pytest.raises(InvalidStatus) as refusal:
        await connect(server.ws, subprotocols=offered)
    assert refusal.value.response.status_code == 400


async def test_a_turn_id_in_use_is_refused(tmp_path: Path) -> None:
    async with (
        served(tmp_path, plugin(rendering={"t": Tokens(stall_after=1)})) as server,
        connected(server.ws) as client,
    ):
        await client.send("turn", npc=NPC, text="Hi", turn_id="a")
        await client.until("decision")
        await client.send("turn", npc=NPC, text="Hi", turn_id="a", player="other")
        (error,) = await client.until("error")
        assert isinstance(error, protocol.Error)
        assert (error.code, error.field, error.turn_id) == ("bad_message", "turn_id", "a")
        await client.send("cancel", turn_id="a")
        await client.until("turn.cancelled", turn_id="a")


async def test_barge_in_stops_the_first_turn_and_answers_the_second(tmp_path: Path) -> None:
    voice = Tone(ms_per_character=500, interval=0.002)
    async with (
        served(tmp_path, plugin(rendering={"t": Tokens()}, speech={"v": voice})) as server,
        connected(server.ws) as client,
    ):
        await client.send("turn", npc=NPC, text="Tell me all", turn_id="first")
        await client.until("audio")
        await client.send("turn", npc=NPC, text="Wait!", turn_id="second")
        (*_, cancelled) = await client.until("turn.cancelled")
        assert isinstance(cancelled, protocol.TurnCancelled)
        assert (cancelled.turn_id, cancelled.reason) == ("first", "barge_in")
        rest = await client.until("turn.finished")
    assert {item.turn_no for item in rest if isinstance(item, protocol.AudioFrame)} == {2}
    assert voice.stopped == 1


async def test_a_client_that_leaves_in_mid_audio_stops_its_turns_and_nobody_elses(tmp_path: Path) -> None:
    renderer, voice = Tokens([f"Sentence {n}. " for n in range(40)], interval=0.005), Tone(interval=0.005)
    offered = plugin(rendering={"t": renderer}, speech={"v": voice})
    # Without the cache: the one who leaves would hear what was made for the other, and no voice would be stopped.
    async with served(tmp_path, offered, settings={"speech": {"cache_mb": 0}}) as server:
        async with connected(server.ws) as staying:
            await staying.send("turn", npc=NPC, player="stays", text="Hi")
            async with connected(server.ws) as leaving:
                await leaving.send("turn", npc=NPC, player="leaves", text="Hi")
                await leaving.until("audio")
                leaving.socket.transport.abort()
            (*_, last) = await staying.until("turn.finished", "turn.cancelled")
            assert kind(last) == "turn.finished"
        assert (renderer.running, renderer.stopped, voice.running, voice.stopped) == (0, 1, 0, 1)


def words(number: int) -> str:
    """A sentence of 700 words, different for each number: a reply that repeats itself would be cut off."""
    return " ".join(f"{number}{n:04}" for n in range(700)) + ". "


def small_socket(port: int) -> socket.socket:
    """Return a connection that soon has no room for what is not read."""
    small = socket.socket()
    small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    small.connect(("127.0.0.1", port))
    return small


async def test_a_client_that_never_reads_is_cut_off_and_the_others_are_served(tmp_path: Path) -> None:
    flood = Tokens([words(number) for number in range(100)], interval=0.001)
    settings = {"server": {"outbox_messages": 150}, "operations": {"max_reply": 10_000_000}}
    async with (
        served(tmp_path, plugin(rendering={"t": flood}), settings=settings) as server,
        connected(server.ws, max_queue=1, sock=small_socket(server.port)) as deaf,
    ):
        # By type() and not isinstance(), which follows other tests' dead weak references.
        protocols = [it for it in gc.get_objects() if type(it) is LimitedWebSocket]
        (connections,) = (
            it.connections for it in protocols if it.server and it.server[1] == server.port and it in it.connections
        )
        assert len(connections) == 1
        await deaf.send("hello", text=True)
        for number in range(6):
            await deaf.send("turn", npc=NPC, player=f"p{number}", text="Hi")
        async with connected(server.ws) as reading:
            assert kind((await reading.turn(NPC, player="reads"))[-1]) == "turn.finished"
            await until(lambda: not flood.running, 60)  # they end when the deaf one is cut off
        # It does not even read the goodbye: its socket, and all that waits in it, must not stay in memory for that.
        await until(lambda: not connections)
        with pytest.raises(ConnectionClosed):
            await deaf.until("never")


async def test_too_many_messages_are_slowed_down_not_lost(tmp_path: Path) -> None:
    async with (
        served(tmp_path, settings={"server": {"messages_per_second": 5}}) as server,
        connected(server.ws) as client,
    ):
        for number in range(23):
            await client.send("ping", id=str(number))
        got = await client.until("pong")
        while not (isinstance(got[-1], protocol.Pong) and got[-1].id == "22"):
            got += await client.until("pong")
    assert [item.id for item in got if isinstance(item, protocol.Pong)] == [str(number) for number in range(23)]
    assert "rate_limited" in {item.code for item in got if isinstance(item, protocol.Error)}


async def test_turns_on_one_connection_are_bounded(tmp_path: Path) -> None:
    async with (
        served(
            tmp_path, plugin(rendering={"t": Tokens(stall_after=0)}), settings={"server": {"max_turns": 2}}
        ) as server,
        connected(server.ws) as client,
    ):
        for number in range(3):
            await client.send("turn", npc=NPC, player=f"p{number}", text="Hi", turn_id=f"t{number}")
        (*_, error) = await client.until("error")
        assert isinstance(error, protocol.Error)
        assert (error.code, error.turn_id) == ("conversation_busy", "t2")


async def test_connections_are_bounded(tmp_path: Path) -> None:
    async with served(tmp_path, settings={"server": {"max_connections": 1}}) as server:
        async with connected(server.ws):
            with pytest.raises(InvalidStatus) as refusal:
                await connect(server.ws, subprotocols=["rfsn.v1"])  # type: ignore[list-item]
            assert refusal.value.response.status_code == 503


async def test_game_events_change_the_state_and_are_remembered(client: Client) -> None:
    await client.send("event", npc=NPC, kind="saved_life", data={"where": "weir"})
    (state,) = await client.until("state")
    assert isinstance(state, protocol.State)
    assert (state.affinity, state.trust) == (0.4, 0.65)


async def test_a_reward_is_taken_once(client: Client) -> None:
    got = await client.turn(NPC)
    decision = next(item for item in got if isinstance(item, protocol.Decision))
    for duplicate in (False, True):
        await client.send("reward", decision_id=decision.decision_id, value=1, reward_id="r1")
        (answer,) = await client.until("reward.accepted")
        assert isinstance(answer, protocol.RewardAccepted)
        assert (answer.value, answer.duplicate) == (1, duplicate)


async def test_a_key_is_demanded_when_there_is_one(tmp_path: Path) -> None:
    async with served(tmp_path, settings={"server": {"key": "open sesame"}}) as server:
        with pytest.raises(InvalidStatus) as refusal:
            await connect(server.ws, subprotocols=["rfsn.v1"])  # type: ignore[list-item]
        assert refusal.value.response.status_code == 401
        async with connected(server.ws, additional_headers={"Authorization": "Bearer open sesame"}):
            pass


async def code_of(server: Served, origin: str) -> int:
    """Return the code with which the server closes a page's connection."""
    async with connect(server.ws, subprotocols=["rfsn.v1"], origin=origin) as socket:  # type: ignore[arg-type, list-item]
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()
    assert closed.value.rcvd is not None
    return closed.value.rcvd.code


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost:1", "http://127.0.0.1.evil.org"])
async def test_a_web_page_from_elsewhere_may_not_connect(server: Served, origin: str) -> None:
    assert await code_of(server, origin) == 4403


async def test_only_pages_of_allowed_origins_may_connect(tmp_path: Path) -> None:
    allowed = "https://game.example"
    async with served(tmp_path, settings={"server": {"origins": [allowed]}}) as server:
        async with connected(server.ws, origin=allowed) as client:
            assert kind((await client.turn(NPC))[-1]) == "turn.finished"
        for other in ("http://game.example", "https://game.example.evil.org", "https://other.example"):
            assert await code_of(server, other) == 4403


def test_every_message_of_a_client_has_a_handler() -> None:
    assert set(HANDLERS) == set(get_args(protocol.ClientMessage))


async def test_a_name_that_was_rebound_to_this_machine_is_refused(server: Served) -> None:
    with pytest.raises(InvalidStatus) as refusal:
        await connect(
            f"ws://rebound.example:{server.port}/v1/ws",
            host="127.0.0.1",
            subprotocols=["rfsn.v1"],  # type: ignore[list-item]
        )
    assert refusal.value.response.status_code == 421


async def test_our_own_page_may_connect(server: Served) -> None:
    async with connected(server.ws, origin=server.http):
        pass


async def test_the_server_says_goodbye_when_it_stops(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        async with connected(server.ws) as client:
            server.stop()
            with pytest.raises(ConnectionClosed) as closed:
                await client.receive()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code in (1001, 1012)


async def test_a_bug_of_ours_ends_the_connection_with_its_code_and_is_logged(
    server: Served, client: Client, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def begin(*args: Any) -> Any:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("rfsn_core.kernel.Kernel.begin", begin)
    with pytest.raises(ConnectionClosed) as closed:
        await client.turn(NPC)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1011
    assert "ZeroDivisionError: a bug" in capsys.readouterr().out
    monkeypatch.undo()
    async with connected(server.ws) as other:
        assert kind((await other.turn(NPC))[-1]) == "turn.finished"
