"""A world on disk: NPC files, lore, lines and prompts, read and checked as a whole.

::

    my_world/
      rfsn.toml         settings (optional)
      npcs/smith.toml   one file an NPC; the file's name is its id
      lore/*.md         what every NPC knows, a fact a paragraph
      lore/*.toml       facts with keys and conditions, as [[facts]] tables (optional)
      kinds/*.toml      profiles for NPCs that the game has and that have no file (optional)
      signals.toml      what players say in this world and what it means, as [examples] (optional)
      synonyms.toml     words that players use for others (optional)
      lines/*.toml      scripted lines for all NPCs, as [lines.<action>] tables (optional)
      prompts/*.j2      prompt templates that replace the built-in ones (optional)
      plugins/*.py      plugins without packaging (optional)
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

from pydantic import BaseModel, ValidationError

from rfsn_core.contract.errors import UnknownNpc, WorldError
from rfsn_core.contract.npc import NpcState, Temperament
from rfsn_core.contract.speech import VoiceStyle
from rfsn_core.contract.understanding import SIGNALS, Entity
from rfsn_core.kit.documents import Document, DocumentError, read_document, read_text
from rfsn_core.kit.explain import explain_errors, nearest
from rfsn_core.kit.words import language_of, stem
from rfsn_core.world.actions import STYLES, Actions
from rfsn_core.world.facts import Fact, facts_of_page
from rfsn_core.world.feelings import Nature
from rfsn_core.world.file_models import KindFile, Lines, LinesFile, LoreFile, NpcFile, SignalsFile
from rfsn_core.world.knowledge import Knowledge
from rfsn_core.world.lines import problem as line_problem
from rfsn_core.world.names import folded, names_of
from rfsn_core.world.synonyms import SynonymsFile
from rfsn_core.world.templates import syntax_problem

ModelT = TypeVar("ModelT", bound=BaseModel)
NpcFileT = TypeVar("NpcFileT", bound=NpcFile)


@dataclass(frozen=True)
class Npc:
    """An NPC, ready to talk."""

    id: str
    file: NpcFile
    voice: VoiceStyle
    initial: NpcState
    language: str = "en"
    """What it speaks, as ISO 639-1: by its file, else by the world's settings, else as its persona is written."""

    @cached_property
    def nature(self) -> Nature:
        """How it feels by itself, and its temperament."""
        return Nature(self.initial, Temperament(**self.file.temperament.model_dump()))

    @property
    def name(self) -> str:
        """The display name."""
        return self.file.name


def npc_of(npc_id: str, file: NpcFile, language: str = "") -> Npc:
    """Return the NPC of a file.

    :param language: the world's, which counts when the file names none; empty: found out from its texts.
    """
    initial = NpcState(affinity=file.state.affinity, trust=file.state.trust, fear=file.state.fear)
    written = " ".join([file.persona, *(fact.text for fact in file.knows[:10])])
    chosen = (file.language or language).lower()
    language = chosen or language_of(written)
    # English is also what a text is taken for that tells nothing: then the voice's own setting counts.
    voice = VoiceStyle(**file.voice.model_dump(), language=chosen or (language if language != "en" else ""))
    return Npc(npc_id, file, voice, initial, language)


class Guests(Protocol):
    """The NPCs that the game introduced."""

    def find(self, name: str, kinds: Sequence[KindFile]) -> Npc | None:
        """Return the NPC of an id or a name; None when there is none."""


class ReadNpc(NamedTuple):
    """An NPC, and the state of the file that it was read from."""

    npc: Npc
    stamp: tuple[int, int, int]
    """Time of the last change, in ns, size, and number of the file."""
    settled: bool
    """Whether a later change would show in the stamp: some file systems count in seconds."""


SETTLED_NS = 2_000_000_000
"""Nanoseconds after its last change when a file counts as settled."""


@dataclass(frozen=True)
class World:
    """All of a world's files, at one moment."""

    path: Path
    npcs: dict[str, Npc]
    lore: tuple[Fact, ...] = ()
    lines: Lines = field(default_factory=dict)
    prompts: dict[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    """What is probably a mistake, one line each: misnamed files, two NPCs of one name."""
    examples: dict[str, str] = field(default_factory=dict)
    """What players say in this world → the signal it is."""
    synonyms: SynonymsFile | None = None
    """Words that stand for others in this world."""
    kinds: tuple[KindFile, ...] = ()
    """Profiles for NPCs without a file."""
    guests: Guests | None = field(default=None, compare=False, repr=False)
    """The NPCs that the game introduced."""
    context: tuple[str, ...] = ()
    """What the NPC files were checked against."""
    read: Mapping[str, ReadNpc] = field(default_factory=dict)
    """File name → the NPC that was read from it."""

    def with_guests(self, guests: Guests) -> World:
        """Return this world, its indexes included, with the NPCs that the game introduced."""
        world = copy(self)
        object.__setattr__(world, "guests", guests)
        return world

    def index(self, previous: World | None) -> None:
        """Build the indexes that turns use, so that no turn waits for them; what has not changed is taken over."""
        if previous is not None and "knowledge" in vars(previous) and previous._facts == self._facts:
            vars(self)["knowledge"] = previous.knowledge
        _ = self.knowledge, self.names, self._by_name, self._named_by_stem

    @property
    def _facts(self) -> tuple[object, ...]:
        """All that the knowledge is made of."""
        return [(npc.id, npc.file.knows) for npc in self.npcs.values()], self.lore, self.synonyms

    @cached_property
    def knowledge(self) -> Knowledge:
        """All facts, indexed."""
        return Knowledge({npc.id: npc.file.knows for npc in self.npcs.values()}, self.lore, self.synonyms)

    @cached_property
    def names(self) -> dict[str, Entity]:
        """Folded name, or part of one → what it stands for. A part that several share, or a title, stands for none."""
        return names_of((npc.id, npc.name, npc.file.title) for npc in self.npcs.values())

    def person_of(self, topic: Sequence[str]) -> Entity | None:
        """Return the NPC that the last topic is about; None when it is about somebody or something else.

        :param topic: stems, the first name among them counts.
        """
        for word in topic:
            if entity := self._named_by_stem.get(word):
                return entity
            if word in self.knowledge.proper:
                return None
        return None

    @cached_property
    def _named_by_stem(self) -> dict[str, Entity]:
        return {stem(name): entity for name, entity in self.names.items() if " " not in name}

    def npc(self, name: str) -> Npc:
        """Return the NPC of that id or display name, in capitals or not. Raises UnknownNpc, which lists the ids."""
        npc = self.with_file(name) or (self.guests.find(name, self.kinds) if self.guests else None)
        if npc is None:
            shown = name if len(name) <= 60 else name[:60] + "…"
            raise UnknownNpc(f"no NPC '{shown}' in this world", hint=f"There are: {', '.join(sorted(self.npcs))}")
        return npc

    def with_file(self, name: str) -> Npc | None:
        """Return the NPC of that id or display name, if it has a file in this world."""
        return self.npcs.get(name) or self._by_name.get(folded(name))

    @cached_property
    def _by_name(self) -> dict[str, Npc]:
        """Ids and names, folded; of two that are equal, an id goes before a name and then the first file."""
        names = {folded(npc.name): npc for npc in reversed(self.npcs.values())}
        return names | {folded(npc.id): npc for npc in reversed(self.npcs.values())}


def read_world(
    path: Path, actions: Actions | None = None, allowed: Callable[[str], bool] = lambda name: True, language: str = "",
    previous: World | None = None,
) -> World:  # fmt: skip
    """Read and check a world. Raises WorldError with every problem, one a line, with file, line and key.

    :param allowed: returns whether a file or folder, named relative to the world, may be read.
    :param language: what NPCs speak whose files do not say it.
    :param previous: the world as it was read before: NPCs whose files have not changed since are taken from there.
    """
    folder = path / "npcs"
    if not folder.is_dir():
        raise WorldError(f"{path} is not a world: it has no folder 'npcs'", hint="`rfsn init FOLDER` makes one")
    reading = _Reading(path, actions, allowed, language, previous)
    read = [npc for file in reading.files("npcs", ".toml") if (npc := reading.npc(file))]
    npcs = {npc.id: npc for npc in sorted(read, key=lambda npc: npc.file.order)}
    lines: Lines = {}
    for file in reading.files("lines", ".toml"):
        lines.update(reading.lines(file))
    prompts = {file.stem: reading.prompt(file) for file in reading.files("prompts", ".j2")}
    lore = tuple(reading.lore())
    examples, synonyms = reading.examples(), reading.synonyms()
    kinds = tuple(kind for file in reading.files("kinds", ".toml") if (kind := reading.kind(file)))
    if not npcs and not reading.problems:
        reading.problems.append(f"{folder}: no NPC files (*.toml)" + "".join(f"; {w}" for w in reading.warnings))
    if reading.problems:
        raise WorldError("\n".join(reading.problems))
    warnings = (*reading.warnings, *_same_names(npcs))
    world = World(path, npcs, lore, lines, prompts, warnings, examples, synonyms, kinds)
    world = replace(world, context=reading.context, read=reading.read)
    world.index(previous)
    return world


class _Reading:
    """The reading of one world's files, and what is wrong with them."""

    def __init__(
        self, path: Path, actions: Actions | None, allowed: Callable[[str], bool], language: str,
        previous: World | None,
    ) -> None:  # fmt: skip
        self._path, self._actions, self._allowed, self._language = path, actions, allowed, language
        self.context = (language, *(actions or ()))
        self._earlier = previous.read if previous is not None and previous.context == self.context else {}
        self.read: dict[str, ReadNpc] = {}
        self.problems: list[str] = []
        self.warnings: list[str] = []

    def files(self, folder: str, suffix: str, also: str = "") -> Iterator[Path]:
        """Yield the files of a folder that are read; warn of those that look as if they should be."""
        place = self._path / folder
        entries = os.scandir(place) if place.is_dir() and self._allowed(folder) else ()
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.name.startswith(".") or not self._allowed(f"{folder}/{entry.name}"):
                continue  # an editor's own, or the system's
            file = Path(entry.path)
            if entry.is_file() and file.suffix.lower() in (suffix, also):
                yield file
            elif problem := ignored(file, suffix):
                self.warnings.append(f"{file}: {problem}")

    def text(self, file: Path) -> str:
        """Return a text file; empty when it cannot be read."""
        try:
            return read_text(file)
        except DocumentError as error:
            self.problems.append(str(error))
            return ""

    def npc(self, file: Path) -> Npc | None:
        """Return the NPC of a file, or None when something is wrong with it."""
        now, status = time.time_ns(), file.stat()
        stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
        earlier = self._earlier.get(file.name)
        if earlier is not None and earlier.stamp == stamp and earlier.settled:
            self.read[file.name] = earlier
            return earlier.npc
        npc = self._new_npc(file)
        if npc is not None:
            self.read[file.name] = ReadNpc(npc, stamp, now - status.st_mtime_ns > SETTLED_NS)
        return npc

    def _new_npc(self, file: Path) -> Npc | None:
        data = self._npc_file(file, NpcFile)
        return None if data is None else npc_of(file.stem, data, self._language)

    def kind(self, file: Path) -> KindFile | None:
        """Return the kind of a file, or None when something is wrong with it."""
        return self._npc_file(file, KindFile)

    def _npc_file(self, file: Path, model: type[NpcFileT]) -> NpcFileT | None:
        before = len(self.problems)
        document, data = self._model(file, model)
        if document is None or data is None:
            return None
        self._check_names(document, ("actions",), data.actions, self._actions, "action")
        self._check_names(document, ("styles",), data.styles, STYLES, "style")
        self._check_lines(document, data.lines)
        return None if len(self.problems) > before else data

    def lines(self, file: Path) -> Lines:
        """Return a file's lines for all NPCs."""
        document, data = self._model(file, LinesFile)
        if document is None or data is None:
            return {}
        self._check_lines(document, data.lines)
        return data.lines

    def lore(self) -> Iterator[Fact]:
        """Yield what all NPCs may know: a fact for each paragraph of a text, and those of the tables."""
        for file in self.files("lore", ".md", also=".toml"):
            if file.suffix.lower() == ".toml":
                _, data = self._model(file, LoreFile)
                yield from data.facts if data else ()
                continue
            yield from facts_of_page(file.stem, self.text(file))

    def examples(self) -> dict[str, str]:
        """Return line → signal of `signals.toml`."""
        file = self._path / "signals.toml"
        if not file.exists() or not self._allowed(file.name):
            return {}
        document, data = self._model(file, SignalsFile)
        if document is None or data is None:
            return {}
        self._check_names(document, ("examples",), data.examples, SIGNALS, "signal")
        return {line: signal for signal, lines in data.examples.items() for line in lines}

    def synonyms(self) -> SynonymsFile | None:
        """Return the words of `synonyms.toml`."""
        file = self._path / "synonyms.toml"
        if not file.exists() or not self._allowed(file.name):
            return None
        return self._model(file, SynonymsFile)[1]

    def prompt(self, file: Path) -> str:
        """Return a prompt template."""
        text = self.text(file)
        if problem := syntax_problem(text):
            line, message = problem
            self.problems.append(f"{file}, line {line}: broken template: {message}")
        return text

    def _model(self, file: Path, model: type[ModelT]) -> tuple[Document | None, ModelT | None]:
        try:
            document = read_document(file)
        except DocumentError as error:
            self.problems.append(str(error))
            return None, None
        try:
            return document, model.model_validate(document.values)
        except ValidationError as error:
            self.problems += explain_errors(error, document, model)
            return document, None

    def _check_names(
        self, document: Document, key: tuple[str, ...], names: Iterable[str], known: Iterable[str] | None, kind: str
    ) -> None:
        known = None if known is None else list(known)
        for name in names:
            if known is not None and name not in known:
                self.problems.append(f"{document.where((*key, name))}: no such {kind}{nearest(name, known)}")

    def _check_lines(self, document: Document, lines: Lines) -> None:
        self._check_names(document, ("lines",), lines, self._actions, "action")
        for action, entry in lines.items():
            if isinstance(entry, dict):
                self._check_names(document, ("lines", action), entry, (*STYLES, *SIGNALS), "style or signal")
            for style, texts in entry.items() if isinstance(entry, dict) else [("", entry)]:
                key = ("lines", action, style) if style else ("lines", action)
                for text in texts:
                    if problem := line_problem(text):
                        self.problems.append(f"{document.where(key, problem.word)}: {problem}")


_MISNAMED = {
    ".toml": (".yaml", ".yml", ".json", ".txt", ".ini"),
    ".md": (".txt", ".markdown"),
    ".j2": (".txt", ".jinja", ".jinja2", ".md"),
}


def ignored(file: Path, suffix: str) -> str:
    """Return why a file of a world's folder is not read, if it looks as if it should be; else an empty text."""
    if file.is_dir():
        inside = any(inner.suffix.lower() == suffix for inner in file.iterdir())
        return f"folders inside '{file.parent.name}' are not read; move its files up" if inside else ""
    if file.suffix.lower() not in _MISNAMED[suffix]:
        return ""
    stem = file.stem if file.stem.lower().endswith(suffix) else file.stem + suffix
    how = "call it" if file.suffix.lower() == ".txt" or suffix != ".toml" else f"write it as {suffix[1:].upper()}, in"
    return f"is not read; {how} '{stem}'"


def _same_names(npcs: dict[str, Npc]) -> Iterator[str]:
    """Yield a line for each name, or id, that several NPCs have."""
    groups: dict[str, dict[str, Npc]] = {}
    for npc in npcs.values():
        for name in (npc.name, npc.id):
            groups.setdefault(folded(name), {})[npc.id] = npc
    for same in groups.values():
        if len(same) > 1:
            ids = ", ".join(f"'{name}'" for name in same)
            shown = next(iter(same.values())).name
            yield f"{len(same)} NPCs are called '{shown}': {ids}; that name means the first of them, so use the ids"
