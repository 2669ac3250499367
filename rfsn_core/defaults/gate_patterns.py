"""The patterns of the `rules` gate: TOML files, one for each language, in `gate_rules/` and a world's `gate/`."""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from rfsn_core.contract.errors import ConfigError
from rfsn_core.contract.gating import FLAGS
from rfsn_core.kit.folding import Folding

_NAME = re.compile(r"\{([a-z_]+)\}")
_SCRIPTS = {
    "ru": re.compile(r"[Ѐ-ӿ]"),
    "zh": re.compile(r"[㐀-鿿]"),
    "ja": re.compile(r"[぀-ヿ㐀-鿿]"),
}
"""Languages whose patterns need characters that most texts do not have."""
WITHOUT_SPACES = ("zh", "ja")


class RuleEntry(BaseModel, extra="forbid"):
    """A `[[rule]]` of a file."""

    flag: str
    also: list[str] = []
    risk: float = Field(0.9, gt=0, le=1)
    near: list[str] = []
    patterns: list[str]
    unless: list[str] = []


class RuleFile(BaseModel, extra="forbid"):
    """A file of patterns."""

    words: dict[str, str] = {}
    near: list[str] = []
    """Beginnings of words: the rules are tried only on a text that has one. It saves time."""
    rule: list[RuleEntry] = []


@dataclass(frozen=True)
class Rule:
    """Patterns for one flag in one language."""

    flag: str
    risk: float
    language: str
    patterns: tuple[str, ...]
    """Regular expressions on a folded text."""
    unless: tuple[str, ...] = ()
    near: tuple[str, ...] = ()
    """Beginnings of words, of which a text that matches has at least one; empty when that is not known."""
    also: tuple[str, ...] = ()
    """Further flags."""

    def match(self, text: str) -> str:
        """Return the part of a text that matches; empty when none does, or something says that it is harmless."""
        script = _SCRIPTS.get(self.language)
        if script is not None and not script.search(text):
            return ""
        found = _any(self.patterns, self.language).search(text)
        if found is None or (self.unless and _any(self.unless, self.language).search(text)):
            return ""
        return found.group().strip() or text

    def compile(self) -> None:
        """Compile the patterns now, and not while somebody waits."""
        _any(self.patterns, self.language)

    def match_disguised(self, folding: Folding) -> str:
        """Return what matches in a text that spells its words letter by letter or stretches them; usually nothing."""
        for text, change in ((folding.squeezed, _squeezed), (folding.collapsed, _collapsed)):
            if text and self.language not in _SCRIPTS:
                unless = self.unless and _any(tuple(map(change, self.unless)), "zh").search(text)
                found = _any(tuple(map(change, self.patterns)), "zh" if change is _squeezed else "").search(text)
                if found and len(found.group()) > 5 and not unless:
                    return found.group()
        return ""


_WORD = re.compile(r"[^\W_]+")


class RuleSet:
    """Rules with an index of the words that they need.

    :param rules: in the order in which their matches are reported.
    """

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._rules = tuple(rules)
        self._always = frozenset(index for index, rule in enumerate(self._rules) if not rule.near)
        needed: dict[str, set[int]] = {}
        for index, rule in enumerate(self._rules):
            for beginning in rule.near:
                needed.setdefault(beginning, set()).add(index)
        self._needed = {beginning: frozenset(indices) for beginning, indices in needed.items()}
        self._lengths = sorted({len(beginning) for beginning in needed})

    def compile(self, language: str) -> None:
        """Compile the patterns of a language."""
        for rule in self._rules:
            if rule.language == language:
                rule.compile()

    def candidates(self, text: str) -> list[Rule]:
        """Return the rules that may match a folded text."""
        found = set(self._always)
        needed, lengths = self._needed, self._lengths
        for word in set(_WORD.findall(text)):
            for length in lengths:
                if indices := needed.get(word[:length]):
                    found |= indices
                if length >= len(word):
                    break
        return [self._rules[index] for index in sorted(found)]

    def matches(self, folding: Folding) -> Iterator[tuple[Rule, str]]:
        """Yield (rule, what it matched) for every rule that matches a form of a text."""
        seen: set[int] = set()
        for form in folding.forms:
            for rule in self.candidates(form):
                if id(rule) not in seen and (part := rule.match(form)):
                    seen.add(id(rule))
                    yield rule, part
        if folding.squeezed or folding.collapsed:
            for rule in self._rules:
                if id(rule) not in seen and (part := rule.match_disguised(folding)):
                    yield rule, part


@cache
def _any(patterns: tuple[str, ...], language: str) -> re.Pattern[str]:
    """Return one expression for several; whole words, in languages that have spaces."""
    joined = "|".join(f"(?:{pattern})" for pattern in patterns)
    return re.compile(joined if language in WITHOUT_SPACES else f"(?<!\\w)(?:{joined})(?!\\w)")


def _squeezed(pattern: str) -> str:
    return pattern.replace("\\b", "").replace(" ?", "").replace(" ", "")


def _collapsed(pattern: str) -> str:
    return re.sub(r"([a-z])\1", r"\1", pattern)


@cache
def built_in() -> tuple[Rule, ...]:
    """Return the rules that come with RFSN, read once."""
    folder = resources.files(__package__).joinpath("gate_rules")
    files = sorted((item.name, item.read_text("utf-8")) for item in folder.iterdir() if item.name.endswith(".toml"))
    return tuple(rule for name, text in files for rule in read(name, text))


def of_world(folder: Path) -> tuple[Rule, ...]:
    """Return the rules in in a world's `gate/`. Raises ConfigError for a file that is wrong."""
    if not folder.is_dir():
        return ()
    rules = [(path, rule) for path in sorted(folder.glob("*.toml")) for rule in read(str(path), _text(path))]
    for path, rule in rules:
        for pattern in (*rule.patterns, *rule.unless):
            try:
                re.compile(pattern)
            except re.error as error:
                problem = f"{path}: the pattern {pattern[:60]!r} is no regular expression: {error}"
                raise ConfigError([problem]) from error
    return tuple(rule for _, rule in rules)


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([f"{path}: {error}"]) from error


def read(name: str, text: str) -> Iterator[Rule]:
    """Yield the rules of a file. Raises ConfigError that names the file, the rule and the pattern.

    :param name: its path; its stem is the language.
    """
    try:
        file = RuleFile.model_validate(tomllib.loads(text))
    except (tomllib.TOMLDecodeError, ValidationError) as error:
        raise ConfigError([f"{name}: {error}"]) from error
    language = Path(name).stem.partition("_")[0]
    for number, entry in enumerate(file.rule, 1):
        for flag in (entry.flag, *entry.also):
            if flag not in FLAGS:
                raise ConfigError([f"{name}: rule {number}: no flag '{flag}'; flags: {', '.join(FLAGS)}"])
        patterns, unless, near = (
            tuple(_expanded(texts, file.words)) for texts in (entry.patterns, entry.unless, entry.near or file.near)
        )
        yield Rule(entry.flag, entry.risk, language, patterns, unless, near, tuple(entry.also))


def _expanded(patterns: Iterable[str], words: dict[str, Any]) -> Iterator[str]:
    """Yield patterns with their {names} filled in, folded as texts are."""
    for pattern in patterns:
        full = pattern
        for _ in range(3):
            full = _NAME.sub(lambda match: words.get(match.group(1), match.group()), full)
        full = unicodedata.normalize("NFD", full.replace("ß", "ss"))
        full = unicodedata.normalize("NFC", re.sub("[\u0300-\u036f]", "", full))
        yield full
