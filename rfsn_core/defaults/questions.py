"""The kind of a question, by its first question word."""

from __future__ import annotations

from collections.abc import Sequence

from rfsn_core.kit.plain_text import fold

_TABLE = """
en who who|who whose|who whom|what what|what wot|where where|where whereabouts|when when|why why|how how|which which
en how_much how much|how_much how many|when how long|when what time|why how come|why what for|where which way
en where how do i get|where how do i find|where how can i find|where how can i get|where how to get
en how_much what price|how_much what is price|how_much what is the price|how_much what is your price
en how_much what does it cost|how_much what does that cost|how_much what is the cost|how_much what do you charge
en how_much what do you want for|how_much price of|how_much how expensive
de who wer|who wem|who wen|who wessen|what was|where wo|where wohin|where woher|when wann|why warum|why wieso
de why weshalb|how wie|which welche|which welcher|which welches|which welchen|how_much wie viel|how_much wie viele
de how_much wieviel|how_much wieviele|how_much was kostet|how_much was kosten|when wie lange|when wie spat
fr who qui|what que|what quoi|what qu'est|where ou|when quand|why pourquoi|how comment|which quel|which quelle
fr which quels|which quelles|how_much combien|what qu'est ce que|when a quelle heure
es who quien|who quienes|what que|where donde|where adonde|when cuando|why por que|how como|which cual|which cuales
es how_much cuanto|how_much cuanta|how_much cuantos|how_much cuantas|when a que hora
pt who quem|what que|what o que|where onde|where aonde|when quando|why por que|why porque|how como|which qual
pt which quais|how_much quanto|how_much quantos|how_much quanta|how_much quantas
it who chi|what che|what cosa|where dove|where dov'e|when quando|why perche|how come|which quale|which quali
it how_much quanto|how_much quanti|how_much quanta|how_much quante|what cos'e
ru who кто|who кого|who кому|who чей|what что|where где|where куда|where откуда|when когда|why почему|why зачем|how как
ru which какой|which какая|which какие|which какое|how_much сколько|how_much почем
pl who kto|who kogo|who komu|what co|what czego|where gdzie|where dokad|where skad|when kiedy|why dlaczego|why czemu
pl how jak|which ktory|which ktora|which ktore|how_much ile
"""
_WIDE = (
    "how_much 多少|how_much いくら|how_much 几个|why 为什么|why 为何|why なぜ|why どうして|where 哪里"
    "|where 在哪|where 哪儿|where どこ|when 什么时候|when 何时|when いつ|who 谁|who だれ|who 誰"
    "|how 怎么|how どうやって|how どう|which 哪个|which どれ|which どの|what 什么|what なに|what なん|what 何"
)


def _read(table: str) -> dict[str, dict[str, list[tuple[list[str], str]]]]:
    """Return language → first word → (words, kind), the longest first."""
    languages: dict[str, dict[str, list[tuple[list[str], str]]]] = {}
    for line in table.strip().splitlines():
        language, _, entries = line.partition(" ")
        for entry in entries.split("|"):
            kind, _, phrase = entry.partition(" ")
            words = fold(phrase).replace("'", "").split()
            languages.setdefault(language, {}).setdefault(words[0], []).append((words, kind))
    for firsts in languages.values():
        for phrases in firsts.values():
            phrases.sort(key=lambda phrase: -len(phrase[0]))
    return languages


_LANGUAGES = _read(_TABLE)
_WIDE_PHRASES = tuple((fold(entry.partition(" ")[2]), entry.partition(" ")[0]) for entry in _WIDE.split("|"))
_FILLERS = frozenset("so and but well hey ok hmm um uh tell me now then sorry excuse hello hi please wait oh".split())
_VERBS = frozenset(
    "do does did are is was were am have has had can could will would should shall may might any isnt arent dont doesnt"
    " didnt wont ever".split()
)
_JUDGED = frozenset("is are was were did does has had isnt arent doesnt didnt".split())
_PAST = frozenset("did was were has had".split())
_YOURS = frozenset("you your yours yourself thou thy".split())
_REPLIES = frozenset("not it him her me them that this too".split())
FAR = 8
"""Words after which a question word asks nothing, where there is no question mark."""


def asks_yes_no(words: Sequence[str]) -> bool:
    """Whether a text begins as questions do that "yes" answers."""
    for word in words:
        if word not in _FILLERS:
            return word in _VERBS
    return False


def asks_of_the_past(words: Sequence[str]) -> bool:
    """Whether a text begins as questions about what happened do: "did somebody pay you"."""
    return next((word in _PAST for word in words if word not in _FILLERS), False)


def asks_of_others(words: Sequence[str]) -> bool:
    """Whether a text asks about somebody else or a thing: "is the miller a liar" insults nobody who is there."""
    asked = [word for word in words if word not in _FILLERS]
    return len(asked) > 2 and asked[0] in _JUDGED and asked[1] not in _REPLIES and _YOURS.isdisjoint(asked)


def question_kind(words: Sequence[str], language: str, marked: bool) -> str:
    """Return the kind of a question; empty when nothing is asked.

    :param words: the plain words of the text.
    :param marked: whether it has a question mark.
    """
    if language in ("zh", "ja"):
        text = "".join(words)
        for phrase, kind in _WIDE_PHRASES:
            if phrase in text:
                return kind
    firsts = _LANGUAGES.get(language) or _LANGUAGES["en"]
    for place, word in enumerate(words if marked else words[:FAR]):
        for parts, kind in firsts.get(word, ()):
            if len(parts) == 1 or list(words[place : place + len(parts)]) == parts:
                return kind
    return "yes_no" if marked or asks_yes_no(words) else ""
