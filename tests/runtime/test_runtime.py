"""Swapping what is in use, while it is in use."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from rfsn_core import protocol
from rfsn_core.contract.errors import ConfigError, PluginError, RfsnError
from rfsn_core.contract.provider import Host, NoSettings, Provider
from rfsn_core.kernel import Kernel, conversation, running
from rfsn_core.plugins.discovery import discover
from rfsn_core.runtime.builder import Runtimes
from rfsn_core.testing import NPC, make_world, plugin
from rfsn_core.testing.scripted import Memory, Tokens
from rfsn_core.turn.outbox import Outbox


class Settings(BaseModel, extra="forbid"):
    word: str = "tick"
    fails: bool = False


class Ticker:
    """A provider of renderers that notes when it is opened and closed."""

    def __init__(self, name: str, interval: float = 0.01) -> None:
        self.name, self.interval = name, interval
        self.opened: list[str] = []
        self.closed: list[str] = []

    @property
    def provider(self) -> Provider[Any, Any]:
        return Provider(self.name, Settings, self._open, "ticks")

    @asynccontextmanager
    async def _open(self, settings: Settings, host: Host) -> AsyncIterator[Tokens]:
        if settings.fails:
            raise RuntimeError("no such model")
        self.opened.append(settings.word)
        # A task group inside must be left in the task that entered it.
        async with asyncio.TaskGroup() as group:
            alive = group.create_task(asyncio.sleep(3600))
            yield Tokens([f"{settings.word} "] * 9 + [f"{settings.word}."], interval=self.interval)
            alive.cancel()
        self.closed.append(settings.word)


def configure(world: Path, text: str) -> None:
    (world / "rfsn.toml").write_text(text, "utf-8")


def runtimes(world: Path, *tickers: Ticker) -> Runtimes:
    make_world(world, f'[rendering]\nprovider = "{tickers[0].name}"\nfallback = []\n')
    offers = plugin(rendering={ticker.name: ticker.provider for ticker in tickers}, storage={"memory": Memory()})
    return Runtimes(
        world, discover([offers], world=world, installed=False), overrides={"storage": {"provider": "memory"}}
    )


async def say(kernel: Kernel, player: str) -> str:
    """What a whole turn's end says was said."""
    message = protocol.PlayerTurn(npc=NPC, player=player, text="Hello")
    items = [item async for item in conversation(kernel, message, protocol.Hello(text=True))]
    finished = items[-1]
    assert isinstance(finished, protocol.TurnFinished), finished
    assert "".join(item.delta for item in items if isinstance(item, protocol.Text)).strip() == finished.text
    return finished.text


async def test_a_swap_under_fifty_turns_loses_none_and_mixes_none(tmp_path: Path) -> None:
    a, b = Ticker("a"), Ticker("b")
    found = runtimes(tmp_path, a, b)
    async with running(found) as kernel:
        first = [asyncio.create_task(say(kernel, f"p{n}")) for n in range(50)]
        while kernel.turns.active < 50:  # noqa: ASYNC110  (they start by themselves)
            await asyncio.sleep(0)
        await asyncio.sleep(0.03)
        configure(tmp_path, '[rendering]\nprovider = "b"\nfallback = []\n[rendering.b]\nword = "tock"\n')
        change = await found.reload(["rfsn.toml"])
        assert change.reopened == ("rendering:b",)
        assert a.closed == []  # fifty turns still speak through it
        second = [asyncio.create_task(say(kernel, f"q{n}")) for n in range(50)]
        assert await asyncio.gather(*first) == [" ".join(["tick"] * 9 + ["tick."])] * 50
        assert await asyncio.gather(*second) == [" ".join(["tock"] * 9 + ["tock."])] * 50
        while not a.closed:  # noqa: ASYNC110  (the old runtime drains by itself)
            await asyncio.sleep(0.001)
        assert (a.opened, a.closed, b.opened, b.closed) == (["tick"], ["tick"], ["tock"], [])
    assert b.closed == ["tock"]


async def test_many_swaps_under_load_lose_nothing(tmp_path: Path) -> None:
    a, b = Ticker("a", 0.0005), Ticker("b", 0.0005)
    found = runtimes(tmp_path, a, b)
    texts: list[str] = []
    async with running(found) as kernel:

        async def talk(player: str) -> None:
            for _ in range(8):
                texts.append(await say(kernel, player))

        async with asyncio.TaskGroup() as group:
            for number in range(20):
                group.create_task(talk(f"p{number}"))
            for number in range(30):
                configure(tmp_path, f'[rendering]\nprovider = "{"ab"[number % 2]}"\nfallback = []\n')
                await found.reload()
                await asyncio.sleep(0.002)
    assert len(texts) == 160
    assert all(len(set(text.rstrip(".").split())) == 1 for text in texts)
    assert sorted(a.opened) == sorted(a.closed)
    assert sorted(b.opened) == sorted(b.closed)


async def test_what_did_not_change_is_kept_open(tmp_path: Path) -> None:
    a, b = Ticker("a"), Ticker("b")
    found = runtimes(tmp_path, a, b)
    async with running(found):
        before = {item.key: item for item in found.current.opened}
        configure(tmp_path, '[rendering]\nprovider = "a"\nfallback = ["b"]\n[memory]\nrecent = 3\n')
        change = await found.reload()
        assert change.reopened == ("rendering:b",)
        assert all(before[item.key] is item for item in found.current.opened if item.key in before)
        configure(tmp_path, '[rendering]\nprovider = "a"\nfallback = []\n[rendering.a]\nword = "tock"\n')
        await found.reload()
        assert a.opened == ["tick", "tock"]
        while len(a.closed) < 1:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    assert a.closed == ["tick", "tock"]


@pytest.mark.parametrize(
    ("file", "text", "says"),
    [
        ("rfsn.toml", '[rendering]\nprovider = "aa"', r"line 2: rendering.provider: no rendering provider 'aa'"),
        ("rfsn.toml", '[rendring]\nprovider = "a"', r"line 1: rendring: no such setting; did you mean 'rendering'\?"),
        ("rfsn.toml", "[rendering", "cannot be parsed"),
        ("rfsn.toml", '[rendering]\nprovider = "a"\n[rendering.a]\nwrod = "x"', r"line 4: .*did you mean 'word'\?"),
        ("rfsn.toml", "[memory]\nrecent = -1", r"line 2: memory.recent: .*greater than or equal to 0 \(is -1\)"),
        ("rfsn.toml", '[rendering]\nprovider = "a"\n[rendering.a]\nfails = true', r"no such model.*\[rendering.a\]"),
        ("npcs/smith.toml", "name = ", "smith.toml, line 1: .*not valid TOML"),
        ("npcs/smith.toml", 'name = "S"\n[lines]\ngreet = ["{{ oops"]', "line 3: lines.greet: broken template"),
        ("npcs/smith.toml", 'name = "S"\n[lines]\ngret = ["x"]', "lines.gret: no such action; did you mean 'greet'"),
        ("prompts/turn.j2", "{% if %}", "turn.j2, line 1: broken template"),
    ],
)  # fmt: skip
async def test_a_broken_file_changes_nothing(tmp_path: Path, file: str, text: str, says: str) -> None:
    a, b = Ticker("a", 0), Ticker("b")
    found = runtimes(tmp_path, a, b)
    async with running(found) as kernel:
        before = found.current
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text(text, "utf-8")
        with pytest.raises(RfsnError, match=says):
            await found.reload([file])
        assert found.current is before
        assert (a.opened, a.closed) == (["tick"], [])
        assert (await say(kernel, "p")).startswith("tick")


async def test_a_provider_that_does_not_open_leaves_no_other_open(tmp_path: Path) -> None:
    a, b = Ticker("a"), Ticker("b")
    found = runtimes(tmp_path, a, b)
    configure(tmp_path, '[rendering]\nprovider = "a"\nfallback = ["b"]\n[rendering.b]\nfails = true\n')
    with pytest.raises(PluginError, match=r"rendering:b .*\(given\).* did not open: RuntimeError: no such model"):
        await found.start()
    assert (a.opened, a.closed) == (["tick"], ["tick"])


async def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    found = runtimes(tmp_path, Ticker("a"))
    configure(tmp_path, '[rendering]\nprovider = "x"\n[speech]\nprovider = "y"\n[server]\nprot = 1\n')
    with pytest.raises(ConfigError) as refused:
        await found.start()
    assert [problem.partition(": ")[2] for problem in refused.value.problems] == [
        "server.prot: no such setting; did you mean 'port'?"
    ]
    configure(tmp_path, '[rendering]\nprovider = "x"\n[speech]\nprovider = "silnt"\n')
    with pytest.raises(ConfigError) as refused:
        await found.start()
    assert [problem.partition(": ")[2] for problem in refused.value.problems] == [
        "rendering.provider: no rendering provider 'x'; there are: a, scripted",
        "speech.provider: no speech provider 'silnt'; did you mean 'silent'?",
    ]


async def test_reloads_while_a_model_loads_take_their_turn_and_close_what_they_replace(tmp_path: Path) -> None:
    class Slow(Ticker):
        @asynccontextmanager
        async def _open(self, settings: Settings, host: Host) -> AsyncIterator[Tokens]:
            await asyncio.sleep(0.1 if settings.word != "tick" else 0)
            async with super()._open(settings, host) as value:
                yield value

    slow = Slow("slow")
    found = runtimes(tmp_path, slow)
    await found.start()
    reloads = []
    for word in ("one", "two", "two"):
        configure(tmp_path, f'[rendering]\nprovider = "slow"\nfallback = []\nslow.word = "{word}"\n')
        reloads.append(asyncio.create_task(found.reload()))
        await asyncio.sleep(0.02)
    await asyncio.gather(*reloads)
    assert slow.opened[-1] == "two"
    assert slow.opened.count("two") == 1
    await found.close()
    assert sorted(slow.closed) == sorted(slow.opened)


async def test_a_turn_that_waits_keeps_the_runtime_of_its_arrival(tmp_path: Path) -> None:
    a, b = Ticker("a"), Ticker("b")
    found = runtimes(tmp_path, a, b)
    configure(tmp_path, '[world]\noverlap = "wait"\n[rendering]\nprovider = "a"\nfallback = []\n')
    async with running(found) as kernel:
        outboxes = [Outbox() for _ in range(2)]
        turns = [
            kernel.begin(protocol.PlayerTurn(npc=NPC, text="Hello"), outbox, protocol.Hello()) for outbox in outboxes
        ]
        configure(tmp_path, '[world]\noverlap = "wait"\n[rendering]\nprovider = "b"\nfallback = []\n')
        await found.reload()
        await asyncio.wait([turn.task for turn in turns])
        assert (a.opened, b.opened) == (["tick"], ["tick"])
        while len(outboxes[1]):
            last = await outboxes[1].get()
        assert isinstance(last, protocol.TurnFinished)
        assert last.renderer == "a"


async def test_workers_share_the_data_folder_and_have_one_each_in_it(tmp_path: Path) -> None:
    told: list[Host] = []

    @asynccontextmanager
    async def opens(settings: NoSettings, host: Host) -> AsyncIterator[Tokens]:
        told.append(host)
        yield Tokens()

    given = plugin(rendering={"t": Provider("t", NoSettings, opens, "tells where it is")})
    found = discover([given], world=make_world(tmp_path), installed=False)
    for worker in ("", "worker-1"):
        runtimes = Runtimes(tmp_path, found, overrides={"rendering": {"provider": "t"}}, worker=worker)
        await runtimes.start()
        assert told[-1].data_dir == tmp_path / ".rfsn"  # voices that were fetched, backups
        assert runtimes.own_dir == tmp_path / ".rfsn" / worker
        await runtimes.close()


async def test_the_guard_follows_a_reload(tmp_path: Path) -> None:
    found = runtimes(tmp_path, Ticker("a"))
    async with running(found) as kernel:
        for _ in range(9):
            kernel.guard.add_turn(blocked=False)
        configure(tmp_path, "[rendering]\nprovider = 'a'\n[learning.guard]\nwindow = 7\n")
        await found.reload()
        for _ in range(5):
            kernel.guard.add_turn(blocked=True)
        assert kernel.guard.state == "frozen"  # 5 of 7
        assert "over the last 7" in kernel.guard.reason
