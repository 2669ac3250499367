"""The patterns of the `rules` gate: TOML files, one for each language, in `gate_rules/` and a world's `gate/`."""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field

from rfsn_core.contract.errors import ConfigError
from rfsn_core.contract.gating import FLAGS
from rfsn_core.kit.explain import read_model
from rfsn_core.kit.folding import Folding

Change = Callable[[str], str]
_NAME = re.compile(r"\{([a-z_]+)\}")
_SCRIPTS = {
    "ru": re.compile(r"[Ѐ-ӿ]"),
    "zh": re.compile(r"[㐀-鿿]"),
    "ja": re.compile(r"[぀-ヿ㐀-鿿]"),
}
"""Languages whose patterns need characters that most texts do not have."""
WITHOUT_SPACES = ("zh", "ja")
SHORTEST_CHANGED = 6
"""Letters of a match, at least, in a text that was changed before: fewer are found by chance."""


def _known(flag: str) -> str:
    """Return a flag. Raises ValueError for one that does not exist."""
    if flag not in FLAGS:
        raise ValueError(f"no flag '{flag}'; flags: {', '.join(FLAGS)}")
    return flag


Flag = Annotated[str, AfterValidator(_known)]


class RuleEntry(BaseModel, extra="forbid"):
    """A `[[rule]]` of a file."""

    flag: Flag
    also: list[Flag] = []
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
        found = self._as_written.search(text)
        return (found.group().strip() or text) if found else ""

    def compile(self) -> None:
        """Compile the patterns now, and not while somebody waits."""
        _ = self._as_written

    def match_squeezed(self, text: str) -> str:
        """Return what matches in letters without spaces, of a text that spells its words; usually nothing."""
        return self._match_changed(text, squeezed=True)

    def match_collapsed(self, text: str) -> str:
        """Return what matches in a text without doubled letters, of one that stretches words; usually nothing."""
        return self._match_changed(text, squeezed=False)

    def _match_changed(self, text: str, *, squeezed: bool) -> str:
        if self.language in _SCRIPTS:
            return ""
        found = (self._squeezed if squeezed else self._collapsed).search(text)
        return found.group() if found is not None and len(found.group()) >= SHORTEST_CHANGED else ""

    @cached_property
    def _as_written(self) -> _Search:
        return _Search(self.patterns, self.unless, whole_words=self.language not in WITHOUT_SPACES)

    @cached_property
    def _squeezed(self) -> _Search:
        return _Search(map(_squeezed, self.patterns), map(_squeezed, self.unless), whole_words=False)

    @cached_property
    def _collapsed(self) -> _Search:
        return _Search(map(_collapsed, self.patterns), map(_collapsed, self.unless), whole_words=True)


class _Search:
    """Patterns, compiled as one, and what says that a match of them is harmless."""

    def __init__(self, patterns: Iterable[str], unless: Iterable[str], *, whole_words: bool) -> None:
        self._pattern = _any(patterns, whole_words)
        self._exceptions, self._whole_words = tuple(unless), whole_words

    @cached_property
    def _unless(self) -> re.Pattern[str]:
        """The exceptions, compiled with the first match: most texts have none."""
        return _any(self._exceptions, self._whole_words)

    def search(self, text: str) -> re.Match[str] | None:
        """Return the first match; None when there is none, or it is harmless."""
        found = self._pattern.search(text)
        return None if found is None or (self._exceptions and self._unless.search(text)) else found


_WORD = re.compile(r"[^\W_]+")
LONGEST_BEGINNING = 16
"""Characters of the longest beginning of a word that a rule can need."""


class RuleSet:
    """Rules with an index of the words that they need.

    :param rules: in the order in which their matches are reported.
    """

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._rules = tuple(rules)
        self._always = frozenset(index for index, rule in enumerate(self._rules) if not rule.near)
        self._needed = self._index(lambda beginning: beginning)
        self._needed_collapsed = self._index(_collapsed)

    def _index(self, change: Change) -> dict[str, frozenset[int]]:
        """Return beginning of a word → the rules that need it."""
        needed: dict[str, set[int]] = {}
        for index, rule in enumerate(self._rules):
            for beginning in rule.near:
                needed.setdefault(change(beginning), set()).add(index)
        return {beginning: frozenset(indices) for beginning, indices in needed.items()}

    def compile(self, language: str) -> None:
        """Compile the patterns of a language."""
        for rule in self._rules:
            if rule.language == language:
                rule.compile()

    def candidates(self, text: str, *, collapsed: bool = False) -> list[Rule]:
        """Return the rules that may match a folded text.

        :param collapsed: whether the text is one without doubled letters.
        """
        found = set(self._always)
        needed = self._needed_collapsed if collapsed else self._needed
        for word in set(_WORD.findall(text)):
            for length in range(1, min(len(word), LONGEST_BEGINNING) + 1):
                if indices := needed.get(word[:length]):
                    found |= indices
        return [self._rules[index] for index in sorted(found)]

    def matches(self, folding: Folding) -> Iterator[tuple[Rule, str]]:
        """Yield (rule, what it matched) for every rule that matches a form of a text."""
        seen: set[int] = set()
        for form in folding.forms:
            for rule in self.candidates(form):
                if id(rule) not in seen and (part := rule.match(form)):
                    seen.add(id(rule))
                    yield rule, part
        if folding.collapsed:
            for rule in self.candidates(folding.collapsed, collapsed=True):
                if id(rule) not in seen and (part := rule.match_collapsed(folding.collapsed)):
                    seen.add(id(rule))
                    yield rule, part
        if folding.squeezed:
            # Without spaces there are no words to go by. English only: the others would have to be compiled for it.
            for rule in self._rules:
                if rule.language == "en" and id(rule) not in seen and (part := rule.match_squeezed(folding.squeezed)):
                    yield rule, part


def _any(patterns: Iterable[str], whole_words: bool) -> re.Pattern[str]:
    """Return one expression for several."""
    joined = "|".join(f"(?:{pattern})" for pattern in patterns)
    return re.compile(f"(?<!\\w)(?:{joined})(?!\\w)" if whole_words else joined)


def _squeezed(pattern: str) -> str:
    return pattern.replace("\\b", "").replace(" ?", "").replace(" ", "")


def _collapsed(pattern: str) -> str:
    return re.sub(r"([a-z])\1", r"\1", pattern)


@cache
def built_in() -> tuple[Rule, ...]:
    """Return the rules that come with RFSN, read once."""
    paths = sorted(Path(__file__).with_name("gate_rules").glob("*.toml"))
    files = [(path, RuleFile.model_validate(tomllib.loads(path.read_text("utf-8")))) for path in paths]
    return tuple(rule for path, file in files for rule in _rules(path, file))


def of_world(folder: Path) -> tuple[Rule, ...]:
    """Return the rules in a world's `gate/`. Raises ConfigError for a file that is wrong."""
    if not folder.is_dir():
        return ()
    paths = sorted(folder.glob("*.toml"))
    rules = [(path, rule) for path in paths for rule in _rules(path, read_model(path, RuleFile))]
    for path, rule in rules:
        for pattern in (*rule.patterns, *rule.unless):
            try:
                re.compile(pattern)
            except re.error as error:
                problem = f"{path}: the pattern {pattern[:60]!r} is no regular expression: {error}"
                raise ConfigError([problem]) from error
    return tuple(rule for _, rule in rules)


def _rules(path: Path, file: RuleFile) -> Iterator[Rule]:
    """Yield the rules of a file. The first part of its name is the language: `en_mine.toml` is English."""
    language = path.stem.partition("_")[0]
    for entry in file.rule:
        patterns, unless, near = (
            tuple(_expanded(texts, file.words)) for texts in (entry.patterns, entry.unless, entry.near or file.near)
        )
        yield Rule(entry.flag, entry.risk, language, patterns, unless, near, tuple(entry.also))


def _expanded(patterns: Iterable[str], words: dict[str, str]) -> Iterator[str]:
    """Yield patterns with their {names} filled in, folded as texts are."""
    for pattern in patterns:
        full = pattern
        for _ in range(3):
            full = _NAME.sub(lambda match: words.get(match.group(1), match.group()), full)
        full = unicodedata.normalize("NFD", full.replace("ß", "ss"))
        full = unicodedata.normalize("NFC", re.sub("[\u0300-\u036f]", "", full))
        yield full
