"""Runs suites over a world: makes the cases, plays them, judges them, and appends each result to a file."""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from rfsn_core.contract.errors import UserError
from rfsn_core.contract.version import version
from rfsn_core.exam.cases import Case, make_cases
from rfsn_core.exam.knowing import NpcKnowledge
from rfsn_core.exam.metrics import horde_points, lore_points, points_of
from rfsn_core.exam.play import play
from rfsn_core.exam.results import CaseResult, Point, ResultFile, RunHeader
from rfsn_core.exam.suite import HERE, Horde, Suite
from rfsn_core.kernel import Kernel, running
from rfsn_core.plugins.discovery import Plugins, discover
from rfsn_core.runtime.builder import Runtimes
from rfsn_core.world.files import World

SAFE: Mapping[str, Any] = {
    "speech": {"provider": "silent", "fallback": ["silent"]},
    "storage": {"provider": "sqlite"},
    "archive": {"provider": []},
    "learning": {"enabled": False},
    "operations": {"reload": False, "log_level": "error"},
}
"""What an exam sets besides the world's settings: nothing of it reaches the game's memory, and decisions repeat."""
Progress = Callable[[int, int, str], None]
"""Called with how many cases are done, of how many, and the id of the last one."""


@dataclass(frozen=True, kw_only=True)
class Exam:
    """What is examined, and how."""

    world: Path
    suites: Sequence[Suite]
    npcs: Sequence[str] = ()
    """Ids; empty: all."""
    config_file: Path | None = None
    arm: Mapping[str, Any] = field(default_factory=dict)
    """Settings that differ from the world's."""
    arm_name: str = ""
    seed: int = 0
    sample: int = 0
    """Cases of a conversation and NPC at most; 0: all."""
    at_once: int = 8
    plugins: Callable[[Path], Plugins] = lambda world: discover(world=world)

    @property
    def fingerprint(self) -> str:
        """A hash of all that the results depend on, but for the engines."""
        digest = hashlib.blake2b(digest_size=12)
        for path in sorted(_files(self.world)):
            digest.update(path.relative_to(self.world).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
        for suite in self.suites:
            digest.update(suite.path.read_bytes())
        if self.config_file is not None:
            digest.update(self.config_file.read_bytes())
        rest = [sorted(self.npcs), self.arm, self.seed, self.sample]
        digest.update(json.dumps(rest, sort_keys=True, default=str).encode())
        return digest.hexdigest()


def _files(world: Path) -> Iterator[Path]:
    for place in ("npcs", "lore", "lines", "prompts", "plugins"):
        yield from (path for path in (world / place).glob("*") if path.is_file())
    yield from (path for path in world.glob("*.toml") if path.is_file())


async def run(exam: Exam, folder: Path, progress: Progress = lambda done, of, last: None) -> list[CaseResult]:
    """Play and judge what is not in the folder's results yet; return all results, in the order of the cases.

    Raises UserError, ConfigError, WorldError or PluginError.
    """
    header = RunHeader(
        version=version(),
        fingerprint=exam.fingerprint,
        world=exam.world.name,
        arm=exam.arm_name,
        suites=[suite.name for suite in exam.suites],
        renderer=_runtimes(exam, exam.world, folder).load().rendering.provider,
        seed=exam.seed,
    )
    file = ResultFile(folder, header)
    done = {result.id for result in file.done}
    order: list[str] = []
    for place, suites in _by_world(exam.suites):
        with tempfile.TemporaryDirectory(prefix="rfsn-exam-", ignore_cleanup_errors=True) as data:
            world = exam.world if not place else prepared_world(suites[0], Path(data))
            runtimes = _runtimes(exam, world, Path(data) / "data")
            async with running(runtimes) as kernel:
                own = runtimes.current.world
                _check_npcs(exam.npcs, own, is_own=not place)
                chosen = exam.npcs if not place else ()
                cases = [c for suite in suites for c in make_cases(suite, own, chosen, exam.sample, exam.seed)]
                order += [case.id for case in cases]
                waiting = [case for case in cases if case.id not in done]
                total = len(order)

                def tell(last: str, total: int = total) -> None:
                    progress(len(file.done), total, last)

                await _play_all(kernel, waiting, own, exam.at_once, file, tell)
                for suite in suites:
                    order += _audit(suite, own, chosen, file, done)
    places = {case_id: place for place, case_id in enumerate(order)}
    results = sorted((result for result in file.done if result.id in places), key=lambda result: places[result.id])
    return with_horde(results, exam.suites)


def with_horde(results: Sequence[CaseResult], suites: Iterable[Suite]) -> list[CaseResult]:
    """Return the results with the judgements that compare the NPCs of a horde."""
    added: dict[str, list[Point]] = {}
    for suite in suites:
        if suite.horde is not None:
            added |= horde_points(suite.horde, [result for result in results if result.suite == suite.name])
    return [msgspec.structs.replace(r, points=[*r.points, *added[r.id]]) if r.id in added else r for r in results]


def _by_world(suites: Sequence[Suite]) -> list[tuple[str, list[Suite]]]:
    """Return the suites in groups that share a world, and so a kernel."""
    groups: dict[str, list[Suite]] = {}
    for suite in suites:
        groups.setdefault(f"{suite.world}/{suite.name if suite.horde else ''}" if suite.world else "", []).append(suite)
    return list(groups.items())


def _runtimes(exam: Exam, world: Path, data: Path) -> Runtimes:
    overrides = merged(SAFE, {"data_dir": str(data.resolve()), "world": {"seed": exam.seed}}, exam.arm)
    config = exam.config_file
    if config is None and world != exam.world:
        config = next(
            (path for name in ("toml", "yaml", "json") if (path := exam.world / f"rfsn.{name}").exists()), None
        )
    return Runtimes(world, exam.plugins(world), config_file=config, overrides=overrides)


def merged(*tables: Mapping[str, Any]) -> dict[str, Any]:
    """Return tables of settings as one; later ones count more."""
    whole: dict[str, Any] = {}
    for table in tables:
        for name, value in table.items():
            old = whole.get(name)
            whole[name] = merged(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return whole


def _check_npcs(npcs: Sequence[str], world: World, *, is_own: bool) -> None:
    for name in npcs if is_own else ():
        if name not in world.npcs:
            raise UserError(f"no NPC '{name}' in this world", hint=f"There are: {', '.join(world.npcs)}")


async def _play_all(
    kernel: Kernel, cases: Sequence[Case], world: World, at_once: int, file: ResultFile, progress: Callable[[str], None]
) -> None:
    limit = asyncio.Semaphore(at_once)
    known = {npc.id: NpcKnowledge(world, npc) for npc in world.npcs.values()}
    actions = kernel.runtimes.current.decider.actions
    renderers = kernel.runtimes.current.settings.rendering.chosen()

    async def one(case: Case) -> None:
        async with limit:
            turns = await play(kernel, case)
        points = points_of(case, turns, known[case.npc], actions)
        points += [
            Point("engine", float(turn.renderer == renderers[0]), number, f"worded by {turn.renderer}")
            for number, turn in enumerate(turns, 1)
            if turn.renderer in renderers  # else the gate answered a text that it stopped
        ]
        file.append(
            CaseResult(id=case.id, suite=case.suite, script=case.script, npc=case.npc, turns=turns, points=points)
        )
        progress(case.id)

    await asyncio.gather(*(one(case) for case in cases))


def _audit(suite: Suite, world: World, npcs: Sequence[str], file: ResultFile, done: set[str]) -> list[str]:
    """Compare the facts of each NPC with each other, for a suite that asks for it."""
    ids = []
    for npc in world.npcs.values() if suite.audit else ():
        if not npcs or npc.id in npcs:
            case_id = f"{suite.name}/files/{npc.id}"
            ids.append(case_id)
            if case_id not in done:
                points = lore_points(NpcKnowledge(world, npc))
                file.append(
                    CaseResult(id=case_id, suite=suite.name, script="files", npc=npc.id, turns=[], points=points)
                )
    return ids


# ── worlds of suites ─────────────────────────────────────────────────────────────────────────────


def prepared_world(suite: Suite, folder: Path) -> Path:
    """Copy the world of a suite to a folder, with the copies of a horde. Raises UserError when there is none."""
    places = [suite.path.parent / suite.world, HERE / "worlds" / suite.world]
    source = next((place for place in places if (place / "npcs").is_dir()), None)
    if source is None:
        raise UserError(f"{suite.path}: no world '{suite.world}'", hint="Name a folder next to the suite's file")
    target = folder / "world"
    shutil.copytree(source, target, ignore=shutil.ignore_patterns(".rfsn", "__pycache__"))
    if suite.horde is not None:
        _multiply(target / "npcs", suite.horde)
    return target


def _multiply(folder: Path, horde: Horde) -> None:
    """Replace the NPC files of a folder by copies whose temperament and feelings differ a little."""
    originals = sorted(folder.glob("*.toml"))
    for original in originals:
        text = original.read_text("utf-8")
        for number in range(1, horde.copies // len(originals) + 1):
            chance = random.Random(f"{original.stem}/{number}")
            copy = "".join(_varied(line, chance, horde.spread) for line in text.splitlines(keepends=True))
            (folder / f"{original.stem}_{number:03}.toml").write_text(copy.replace("{number}", str(number)), "utf-8")
        original.unlink()


_SLIDERS = frozenset("warmth bravery pride honesty curiosity fluidity affinity".split())


def _varied(line: str, chance: random.Random, spread: float) -> str:
    """Return a line of an NPC's file, with another value when it is one of a slider."""
    name, equals, value = line.partition("=")
    if not equals or name.strip() not in _SLIDERS:
        return line
    number = max(-1.0, min(1.0, float(value) + chance.uniform(-spread, spread)))
    return f"{name.strip()} = {number:.3f}\n"


@contextmanager
def results_folder(folder: Path | None) -> Iterator[Path]:
    """Yield the folder for results; a temporary one when none is named."""
    if folder is not None:
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="rfsn-exam-") as temporary:
        yield Path(temporary)
