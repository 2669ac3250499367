"""The third stage: who speaks. Names in front of lines are left out; when somebody else speaks, the reply is over."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from enum import IntEnum, auto
from functools import lru_cache
from typing import ClassVar, NamedTuple

from rfsn_core.kit.words import STOP_WORDS
from rfsn_core.turn.reply.directions import is_about_the_reply, is_note
from rfsn_core.turn.reply.stage import LONGEST_SPAN, NARRATION, Stage, Step
from rfsn_core.turn.sentences import FINAL
from rfsn_core.world.names import ARTICLES, ROLES, TITLES, name_forms

LONGEST = 90
"""Characters in which a name, what stands in brackets after it, and its colon must come."""
LONGEST_PREAMBLE = 140

_OWN = frozenset(
    "assistant npc character ai me model bot response reply answer dialogue speech spoken says output line"
    " final_answer in_character".split()
)
_OTHERS = frozenset("q user player human system you_(player) instruction instructions input question prompt".split())
_LEFT_OUT = frozenset(
    "note notes ooc out_of_character author's_note authors_note a/n disclaimer system_note"
    " setting thought thoughts thinking inner_thought inner_thoughts"
    " internal_monologue tone emotion mood style feelings translation explanation context reasoning analysis"
    " you_do_this you_remember you_know about_the_world memory state final_json"
    " report final_report word_count edit p.s._from_the_model".split()
)
"""Labels of lines that nobody says."""
_NARRATED = frozenset(
    "narrator narration scene stage_direction stage_directions action actions gesture expression body_language".split()
)
"""Labels of lines that say what is done."""
_COMMON = frozenset(
    "listen look remember mind hear know mark beware careful truth rule rules price prices payment room rooms ale beer"
    " wine food bed beds first second third fourth last next then now here there tonight today tomorrow yesterday"
    " morning evening noon night one two three four five question answer advice warning promise simple fact facts well"
    " oh aye yes no but and so or understand see think believe trust take name choice choices option options deal"
    " offer reward bargain word words hint secret secrets story legend news rumour rumor rumours gossip reason problem"
    " trouble danger thing things point idea plan task job quest errand condition conditions terms law proverb saying"
    " motto prayer curse song riddle toast recipe menu special supper dinner breakfast lunch fish bread cheese meat"
    " stew soup left right north south east west up down wait stop come go run stay keep hold watch tell say call"
    " always never again still also ah hm hmm aha ha hey hark lo behold attention imagine consider suppose guess"
    " result total sum cost change gold silver copper coins directions distance time hour date place road ferry river"
    " house wisdom lesson moral sign motto inscription letter title chapter verse".split()
)
"""Words that begin a line with a colon without being anybody's name."""
_LEADS = "sure|certainly|of course|okay|ok|absolutely|alright|understood|got it|as requested|great"
_BEGINNINGS = "here's|here is|here are|here goes|this is|below is|the following is|i'll respond|i will respond"
_LEAD = re.compile(rf"[\"*_ ]*(?:(?:{_LEADS})\b[\s,.!:—-]*(?:thing[\s,.!]*)?)?", re.IGNORECASE)
_PREAMBLE_BEGINS = re.compile(rf"{_LEAD.pattern}(?:{_BEGINNINGS})\b[^\n:.!?]{{0,100}}", re.IGNORECASE)
_PREAMBLE_NOUN = re.compile(
    r"\b(?:reply|response|answer|dialogue|line|lines|version|message|continuation|rewrite|attempt|output|in character"
    r"|say|says|respond|responds|speak|speech|role-?play)\b",
    re.IGNORECASE,
)
_PREAMBLE_STARTS = tuple(f"{_LEADS}|{_BEGINNINGS}|thing".split("|"))
_AFTER_PREAMBLE = re.compile(r"[\n:.!?]")
_WHOSE = re.compile(r"'s (?:reply|response|answer|line|words|dialogue|speech|turn)$")
_SAYS = re.compile(
    r"[\s,]+(?:says?|said|repl(?:ies|ied)|answers?|asks?|whispers?|shouts?|mutters?|responds?)(?:\s+\w+ly)?$"
)
_ASIDE = re.compile(r"\([^()]*\)|\*[^*]*\*|(?<=.)\[[^\[\]]*\]")
_SHORT_TITLES = frozenset("mr mrs ms dr st sgt capt lt prof col gen no".split())


_NO_NAME = f"!?;,…\n，،、{FINAL}"
PLAYER = "{{user}}"
"""How character cards name the player."""
STOPS = ".!?…。！？"
_CLOSERS = "\"'”’»*_)]"
_LINE_END = re.compile("\n")
_AFTER_NAME = re.compile(r"[^\w \t'’-]")


class State(IntEnum):
    """What the next character belongs to."""

    LINE_START = auto()
    AFTER_LABEL = auto()
    """What decorates the label, and white space, is no words either."""
    SKIPPED_LINE = auto()
    NARRATED_LINE = auto()
    NOTE_LINE = auto()
    """A line that begins with `Note:`, by the NPC or by the model."""
    WORDS = auto()
    AFTER_STOP = auto()
    """Behind a sentence: somebody's name may follow."""
    ENDED = auto()


ByInitial = Mapping[str, list[str]]
"""First letter → the names that begin with it."""


class Names(NamedTuple):
    """The forms of all names that a reply may have as labels, in lower case."""

    own: frozenset[str]
    own_words: frozenset[str]
    """Words of the NPC's names."""
    player: frozenset[str]
    npcs: frozenset[str]
    near: ByInitial
    """Those of the NPC and the player."""
    far: ByInitial
    """Those of everybody else."""

    def beginning_with(self, initial: str) -> Iterator[str]:
        """Yield all names with a first letter."""
        yield from self.near.get(initial, ())
        yield from self.far.get(initial, ())


def _by_initial(names: Iterable[str]) -> ByInitial:
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(name[0], []).append(name)
    return groups


@lru_cache(maxsize=8)
def _names_of_all(names: tuple[str, ...]) -> tuple[frozenset[str], ByInitial]:
    """Return the forms of the names of a world's NPCs, for all conversations: a world may have ten thousand."""
    forms = frozenset(form for name in names for form in name_forms(name))
    return forms, _by_initial(forms)


@lru_cache(maxsize=1024)
def known_names(own: tuple[str, ...], others: tuple[str, ...], player: tuple[str, ...]) -> Names:
    """Return the forms of names; kept, since they are the same for all turns of a conversation."""
    mine = frozenset(form for name in own for form in name_forms(name))
    players = frozenset({PLAYER, *(form for name in player for form in name_forms(name))})
    npcs, far = _names_of_all(others)
    words = frozenset(word.strip(",") for form in mine for word in form.split())
    return Names(mine, words, players, npcs, _by_initial(mine | players), far)


class Labels(Stage[State]):
    """Takes the speakers out of a reply.

    :param own: names under which the NPC itself may speak.
    :param others: names of everybody else in the world.
    :param player: names of the player.
    """

    def __init__(self, own: Iterable[str], others: Iterable[str], player: Iterable[str]) -> None:
        super().__init__(State.LINE_START)
        self.names = known_names(tuple(own), tuple(others), tuple(player))
        self._began = False
        self._spaced = False
        self._decoration = ""  # may follow the label's colon

    def _words(self, text: str, final: bool) -> Step | None:
        if text[0] == "\n":
            self.state = State.LINE_START
        else:
            self.state, self._spaced = State.AFTER_STOP, False
        return Step(1, self._say(text[0]))

    def stop(self) -> None:
        """Note that the last words that were passed on elsewhere end a sentence."""
        self.state, self._spaced = State.AFTER_STOP, False

    def _after_stop(self, text: str, final: bool) -> Step | None:
        """Look for a known name and a colon behind a sentence; what is no known name is words."""
        first = text[0]
        if first in STOPS or first in _CLOSERS or (first.isspace() and first != "\n"):
            self._spaced = self._spaced or first.isspace()
            return Step(1, first)
        self.state = State.LINE_START if first == "\n" else State.WORDS
        if first == "\n" or not self._spaced:
            return Step(1, self._say(first))
        start = text[:LONGEST].casefold()
        for name in self.names.beginning_with(start[:1]):
            if not start.startswith(name):
                if not final and name.startswith(start):
                    self.state = State.AFTER_STOP
                    return None
                continue
            rest = text[len(name) :]
            following = rest[1:].lstrip(" \t*_\"“”'‘")
            if (not rest or (rest[0] == ":" and not following)) and not final and len(rest) < 12:
                self.state = State.AFTER_STOP
                return None
            if rest[:1] == ":" and (name == PLAYER or not following[:1].islower()):
                return self._judge(text, len(name), following[:1])
        return Step(0)

    def _say(self, text: str) -> str:
        self._began = self._began or any(map(str.isalnum, text))
        return text

    def _skipped_line(self, text: str, final: bool) -> Step | None:
        end = text.find("\n") + 1
        if end:
            self.state = State.LINE_START
        return Step(end or len(text))

    def _narrated_line(self, text: str, final: bool) -> Step | None:
        line = text[:LONGEST_SPAN].split("\n", 1)[0]
        if len(line) == len(text) and len(text) < LONGEST_SPAN and not final:
            return self._wait(_LINE_END, LONGEST_SPAN)
        self.state = State.SKIPPED_LINE
        told = line.strip(" \t*_()[]")
        tells = " " in told and "_" not in told  # "Action: greet" is a piece of a report
        return Step(len(line), f"{NARRATION}{told}{NARRATION}" if tells else "")

    def _note_line(self, text: str, final: bool) -> Step | None:
        line = text[:LONGEST_SPAN].split("\n", 1)[0]
        if len(line) == len(text) and len(text) < LONGEST_SPAN and not final:
            return self._wait(_LINE_END, LONGEST_SPAN)
        self.state = State.SKIPPED_LINE if is_about_the_reply(line) else State.WORDS
        return Step(0)

    def _ended(self, text: str, final: bool) -> Step | None:
        return Step(len(text))

    def _after_label(self, text: str, final: bool) -> Step | None:
        size = 0
        while size < len(text) and (text[size] in " \t" or text[size] in self._decoration):
            self._decoration = self._decoration.replace(text[size], "", 1)
            size += 1
        if size < len(text):
            self.state = State.LINE_START if text[size] == "\n" else State.WORDS
        return Step(size + (text[size : size + 1] == "\n"))

    # ── labels ───────────────────────────────────────────────────────────────────────────────────

    def _line_start(self, text: str, final: bool) -> Step | None:
        if text[0] == "\n":
            return Step(1, "\n")
        if not self._began:
            preamble = self._preamble(text, final)
            if preamble is not self._NO_PREAMBLE:
                return preamble
        if text[0] in "([":
            inside, closing, _ = text[1:40].partition(")" if text[0] == "(" else "]")
            if not closing and not final and len(text) < 40 and "\n" not in text:
                return None
            behind = text[len(inside) + 2 : len(inside) + 3]
            if closing and _name(inside) in self.names.own and behind.isspace():
                return self._go(State.AFTER_LABEL, len(inside) + 2)
            if closing and not behind and not final:
                return None
        colon = _colon(text[:LONGEST], self.names.own)
        if colon is None:
            if not final and len(text) < LONGEST:
                return self._wait(_AFTER_NAME, LONGEST)
            colon = -1
        if colon < 0:
            return self._no_label(text, final)
        rest = text[colon + 1 :]
        following = rest.lstrip(" \t*_\"“”'‘>)]")
        if not following and not final and len(rest) < 12:
            return None
        return self._judge(text, colon, following[:1])

    def _no_label(self, text: str, final: bool) -> Step | None:
        self.state = State.WORDS
        end = text.find("\n")
        line = text[: end if end >= 0 else len(text)]
        if len(line) < LONGEST and _name(line) in self.names.own and not self._began and line.strip() and end >= 0:
            return Step(len(line))  # the name alone, as a heading
        return Step(0)

    def _judge(self, text: str, colon: int, following: str) -> Step:
        """Deal with what stands in front of a colon."""
        label = text[:colon]
        name = _name(label)
        key = name.removeprefix("the ").removeprefix("a ").removeprefix("your ").replace(" ", "_")
        if key in _OWN or self._is_own(name):
            return self._label(label, colon)
        if name == PLAYER or (name in self.names.player and not following.islower()) or key in _OTHERS:
            return self._somebody_else() if self._began else self._go(State.SKIPPED_LINE)
        if name in self.names.npcs:
            if following.islower():
                return self._go(State.WORDS)  # "Finn: he is a good lad"
            return self._somebody_else() if self._began else self._label(label, colon)
        if key in ("note", "notes"):
            return self._go(State.NOTE_LINE)
        if key in _NARRATED:
            return self._go(State.NARRATED_LINE, colon + 1)
        if key in _LEFT_OUT or is_note(label):
            return self._go(State.SKIPPED_LINE)
        if following.islower() or following == "/" or not self._is_name(label, name):
            return self._go(State.WORDS)
        if self._began:
            return self._somebody_else()
        return self._label(label, colon) if name.split()[-1] in ROLES else self._go(State.WORDS)

    def _is_own(self, name: str) -> bool:
        """Return whether a label stands for the NPC: "Tilda Brannoch, innkeeper", "Innkeeper Tilda", "Tilda's line"."""
        if name in self.names.own:
            return True
        if "," in name and name.split(",")[0] in self.names.own:  # "Tilda, wiping a mug:"
            return True
        initials = {word[0] for word in self.names.own_words}
        words = [
            word
            for word in _WHOSE.sub("", name).replace(",", "").split()
            if not (len(word) == 2 and word[1] == "." and word[0] in initials)
        ]
        if " ".join(words) in self.names.own:
            return True
        titles = ARTICLES | ROLES | TITLES
        return len(words) > 1 and {*words} <= self.names.own_words | titles and not {*words} <= titles

    def _is_name(self, label: str, name: str) -> bool:
        """Return whether a label of nobody known reads like a name."""
        words = name.split()
        if 1 < len(words) <= 3 and words[-1] in ROLES and words[0] in ARTICLES:
            return True
        if not 0 < len(words) <= 4 or any(word in _COMMON or word.isdigit() for word in words):
            return False
        shown = [word for word in re.findall(r"[^\W\d_][\w'’.-]*", label) if word.casefold() in words]
        small = ARTICLES | {"of", "from", "von", "van", "de", "du", "da"}
        if not shown or not all(word[0].isupper() or word in small for word in shown):
            return False
        if len(words) > 1:
            return any(word not in STOP_WORDS["en"] for word in words)
        return words[0] not in STOP_WORDS["en"] | TITLES and len(words[0]) > 1

    def _label(self, label: str, colon: int) -> Step:
        bare = label.lstrip(" \t")
        opening = bare[: len(bare) - len(bare.lstrip('*_"“[('))]
        closed = label.rstrip()[len(label.rstrip()) - len(opening) :] if opening else ""
        self._decoration = "" if closed and not closed[-1].isalnum() else opening.replace("“", "”")
        return self._go(State.AFTER_LABEL, colon + 1)

    def _somebody_else(self) -> Step:
        return self._go(State.ENDED)

    def _go(self, state: State, size: int = 0) -> Step:
        self.state = state
        return Step(size)

    # ── words about the reply ────────────────────────────────────────────────────────────────────

    _NO_PREAMBLE = Step(-1)

    def _preamble(self, text: str, final: bool) -> Step | None:
        """Deal with "Sure, here is Tilda's reply:", which nobody says."""
        text = text[:LONGEST_PREAMBLE].replace("’", "'")
        match = _PREAMBLE_BEGINS.match(text)
        if match is None:
            lead = _LEAD.match(text)
            rest = text[lead.end() if lead else 0 :].casefold()
            undecided = len(rest) < 20 and any(start.startswith(rest) for start in _PREAMBLE_STARTS)
            return None if undecided and len(text) < LONGEST_PREAMBLE and not final else self._NO_PREAMBLE
        end = match.end()
        if end == len(text) and not final and end < LONGEST_PREAMBLE:
            return self._wait(_AFTER_PREAMBLE, LONGEST_PREAMBLE)
        if text[end : end + 1] == ":" and (_PREAMBLE_NOUN.search(match[0]) or match[0].casefold().endswith("goes")):
            return Step(end + 1)
        return self._NO_PREAMBLE

    triggers: ClassVar = {State.WORDS: re.compile(f"[\n{STOPS}]")}
    handlers: ClassVar = {
        State.LINE_START: _line_start,
        State.AFTER_LABEL: _after_label,
        State.SKIPPED_LINE: _skipped_line,
        State.NARRATED_LINE: _narrated_line,
        State.NOTE_LINE: _note_line,
        State.WORDS: _words,
        State.AFTER_STOP: _after_stop,
        State.ENDED: _ended,
    }


def _colon(line: str, own: Collection[str]) -> int | None:
    """Return the place of the colon that may end a label; -1 when there is none, None when it may still come."""
    depth = 0
    for place, character in enumerate(line):
        if character in "([":
            depth += 1
        elif character in ")]":
            depth -= 1
        elif depth > 0 and character != "\n":
            continue
        elif character in ":：":
            return place
        elif character == ".":
            word = re.search(r"(\w+)$", line[:place])
            initial = word is not None and len(word[1]) == 1 and word[1].isupper() and place > 1
            if word is None or not (initial or word[1].casefold() in _SHORT_TITLES | TITLES):
                return -1
        elif character == "," and _name(line[:place]) in own:
            continue  # "Tilda Brannoch, innkeeper:"
        elif character in _NO_NAME:
            return -1
    return None


def _name(label: str) -> str:
    """Return the name in a label, without what decorates it."""
    bare = label.strip(" \t>#-–—*_\"“”'‘<")
    if bare.startswith("["):
        bare = bare.strip("[]*_ ")
    bare = _ASIDE.sub(" ", bare).strip(" \t>#*_\"“”'<[]()").casefold().replace("’", "'")
    return " ".join(_SAYS.sub("", bare).split())
