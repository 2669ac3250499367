"""NPCs that a game has and the world has no file for: profiles made from what the game says, and kept."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from pydantic import ValidationError

from rfsn_core.contract.errors import NotFound, UserError
from rfsn_core.kit.files import replace_file
from rfsn_core.protocol.client import Introduce
from rfsn_core.telemetry.logs import logger
from rfsn_core.world.file_models import KindFile, NpcFile
from rfsn_core.world.files import Npc, npc_of
from rfsn_core.world.names import folded

log = logger("world")

SAID = ("name", "race", "gender", "faction", "place", "voice", "title")
"""What a kind's texts can name in braces, such as `{race}`."""
PLAIN = KindFile(title="{race}")
"""The kind of an NPC that no other kind fits."""


def guest_id(name: str) -> str:
    """Return an id that is safe as a file's name and different for every name of the game."""
    safe = re.sub(r"[^\w-]+", "_", name.casefold()).strip("_")[:60]
    return safe if safe == name else f"{safe}_{hashlib.blake2b(name.encode(), digest_size=3).hexdigest()}"


def best_kind(kinds: Sequence[KindFile], said: Introduce) -> KindFile:
    """Return the kind that fits in the most respects; every one that it names must fit."""
    fitting = [kind for kind in kinds if all(_fits(said, key, values) for key, values in kind.match.items())]
    return max(fitting, key=lambda kind: len(kind.match), default=PLAIN)


def _fits(said: Introduce, key: str, values: Sequence[str]) -> bool:
    own = said.tags if key == "tags" else [str(getattr(said, key, ""))]
    return bool({value.casefold() for value in own} & {value.casefold() for value in values})


def profile(kind: KindFile, said: Introduce) -> NpcFile:
    """Return an NPC's file as its kind and the game's words make it. Raises UserError when that is no valid file."""
    # Lines are templates: braces in the game's words must not become a part of them.
    words = {key: str(getattr(said, key)).replace("{", "(").replace("}", ")") for key in SAID}
    values = _filled(kind.model_dump(exclude={"match"}, exclude_defaults=True), words)
    values["name"] = said.name
    for key in ("title", "persona"):
        if own := getattr(said, key):
            values[key] = own
    own_tags = [*said.tags, *(word.casefold() for word in (said.race, said.faction) if word)]
    values["tags"] = list(dict.fromkeys([*values.get("tags", []), *own_tags]))
    try:
        return NpcFile.model_validate(values)
    except ValidationError as error:
        raise UserError(f"the profile of '{said.name}' cannot be made: {error.errors()[0]['msg']}") from error


def _filled(value: Any, words: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        for key, word in words.items():
            value = value.replace("{" + key + "}", word)
        return value
    if isinstance(value, Mapping):
        return {key: _filled(inner, words) for key, inner in value.items()}
    return [_filled(inner, words) for inner in value] if isinstance(value, list) else value


class Guests:
    """The NPCs that the game introduced: one file for each, with the game's words, shared by all workers."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._said: dict[str, Introduce] = {}
        self._ids: dict[str, str] = {}
        self._made: dict[str, tuple[Introduce, Sequence[KindFile], Npc]] = {}

    def introduce(self, kinds: Sequence[KindFile], said: Introduce) -> Npc:
        """Keep what the game says of an NPC, and return the NPC. Raises UserError."""
        npc_id = guest_id(said.npc)
        made = npc_of(npc_id, profile(best_kind(kinds, said), said))
        if self._load(npc_id) != said:
            try:
                with replace_file(self._folder / f"{npc_id}.json", sync=False) as file:
                    file.write(msgspec.json.encode(said))
            except OSError as error:
                log.warning("guest.not_stored", npc=npc_id, error=str(error))
            log.info("guest.introduced", npc=npc_id, name=said.name)
        self._keep(npc_id, said)
        self._made[npc_id] = (said, kinds, made)
        return made

    def find(self, name: str, kinds: Sequence[KindFile]) -> Npc | None:
        """Return the NPC of an id, the game's own id, or a name; None when the game did not introduce it."""
        npc_id = next((npc_id for npc_id in self._candidates(name) if self._load(npc_id)), "")
        said = self._load(npc_id) if npc_id else None
        if said is None:
            return None
        before = self._made.get(npc_id)
        if before is not None and before[0] is said and before[1] is kinds:
            return before[2]
        made = npc_of(npc_id, profile(best_kind(kinds, said), said))
        self._made[npc_id] = (said, kinds, made)
        return made

    def _candidates(self, name: str) -> list[str]:
        candidates = [guest_id(name)]
        if re.fullmatch(r"[\w-]{1,70}", name):
            candidates.insert(0, name)
        if known := self._ids.get(folded(name)):
            candidates.append(known)
        return candidates

    def all(self) -> dict[str, Introduce]:
        """Return id → what the game said, of all of them."""
        for path in sorted(self._folder.glob("*.json")):
            self._load(path.stem)
        return dict(self._said)

    def said(self, npc_id: str) -> Introduce:
        """Return what the game said of an NPC. Raises NotFound."""
        said = self._load(npc_id)
        if said is None:
            known = ", ".join(self.all()) or "none"
            raise NotFound(f"the game introduced no NPC '{npc_id[:60]}'", hint=f"There are: {known}")
        return said

    def remove(self, npc_id: str) -> None:
        """Forget an NPC."""
        self._said.pop(npc_id, None)
        self._made.pop(npc_id, None)
        (self._folder / f"{npc_id}.json").unlink(missing_ok=True)

    def _load(self, npc_id: str) -> Introduce | None:
        if npc_id not in self._said:
            try:
                said = msgspec.json.decode((self._folder / f"{npc_id}.json").read_bytes(), type=Introduce)
            except FileNotFoundError:
                return None
            except (OSError, msgspec.MsgspecError) as error:
                log.warning("guest.unreadable", npc=npc_id, error=str(error))
                return None
            self._keep(npc_id, said)
        return self._said[npc_id]

    def _keep(self, npc_id: str, said: Introduce) -> None:
        self._said[npc_id] = said
        self._ids[folded(said.name)] = npc_id
