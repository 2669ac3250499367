"""Cases: the conversations of a suite, filled in for each NPC of a world and for each fact, secret or person."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rfsn_core.contract.errors import UserError
from rfsn_core.exam.knowing import NpcKnowledge
from rfsn_core.exam.suite import Script, ScriptTurn, Suite
from rfsn_core.world.files import Npc, World


@dataclass(frozen=True)
class Case:
    """One conversation with one NPC."""

    id: str
    """`suite/conversation/npc/about`: the same in every run of the same files, so that runs can be compared."""
    suite: str
    script: str
    npc: str
    turns: tuple[ScriptTurn, ...]

    @property
    def player(self) -> str:
        """The player's name: the same for a case in every run, and no other case has it."""
        return "exam " + hashlib.blake2b(self.id.encode(), digest_size=6).hexdigest()


def make_cases(suite: Suite, world: World, npcs: Sequence[str], sample: int, seed: int) -> list[Case]:
    """Return the cases of a suite in a world.

    :param npcs: ids of the NPCs to examine; empty: all.
    :param sample: of the cases that a conversation gives for one NPC, how many are played; 0: all.
    """
    cases: list[Case] = []
    for script in suite.conversations:
        chosen = [npc for npc in world.npcs.values() if _is_meant(npc, script) and (not npcs or npc.id in npcs)]
        for npc in chosen[:1] if script.one else chosen:
            of_npc = list(_of_npc(suite, script, NpcKnowledge(world, npc)))
            if sample and len(of_npc) > sample:
                picked = random.Random(f"{seed}/{suite.name}/{script.name}/{npc.id}").sample(range(len(of_npc)), sample)
                of_npc = [of_npc[index] for index in sorted(picked)]
            cases += of_npc
    return cases


def _is_meant(npc: Npc, script: Script) -> bool:
    return not script.npcs or not {npc.id, npc.file.archetype, *npc.file.tags}.isdisjoint(script.npcs)


def _of_npc(suite: Suite, script: Script, knowledge: NpcKnowledge) -> Iterator[Case]:
    npc = knowledge.npc
    common = {"name": npc.name, "title": npc.file.title, "id": npc.id}
    for about, values in _abouts(script, knowledge):
        case_id = "/".join(part for part in (suite.name, script.name, npc.id, about) if part)
        turns = tuple(_filled(turn, common | values, suite) for turn in script.turns)
        yield Case(case_id, suite.name, script.name, npc.id, turns)


def _abouts(script: Script, knowledge: NpcKnowledge) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield (last part of the id, what the placeholders stand for)."""
    if script.each == "person":
        for other in knowledge.world.npcs.values():
            if other.id != knowledge.npc.id:
                yield other.id, {"person": other.name, "person_title": other.file.title}
    elif script.each:
        wanted = knowledge.may_tell if script.each == "fact" else knowledge.keeps_from_strangers
        for entry in knowledge.entries:
            keys = [key for key in entry.fact.keys if not key.startswith("/")]
            if keys and wanted(entry):
                yield entry.id, {"fact": entry.id, "key": max(keys, key=lambda key: (len(key.split()) < 4, len(key)))}
    else:
        yield "", {}


def _filled(turn: ScriptTurn, values: dict[str, str], suite: Suite) -> ScriptTurn:
    def fill(text: str) -> str:
        for name, value in values.items():
            text = text.replace("{" + name + "}", value)
        if "{" in text and "}" in text:
            known = ", ".join("{" + name + "}" for name in values)
            raise UserError(
                f"{suite.path}: '{text}' has a placeholder that stands for nothing", hint=f"There are {known}"
            )
        return text

    return turn.model_copy(
        update={
            "say": fill(turn.say),
            "tells": fill(turn.tells),
            "keeps": fill(turn.keeps),
            "says": [fill(text) for text in turn.says],
            "says_not": [fill(text) for text in turn.says_not],
        }
    )
