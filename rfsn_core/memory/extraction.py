"""Facts, preferences and promises in what was said, found by patterns; no model is asked.

Only forms of English, German, French and Spanish are matched that nearly always mean what they say. What somebody
denies, supposes, asks or quotes is not believed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from rfsn_core.contract.storage import MemoryKind


class Statement(NamedTuple):
    """A fact, preference or promise that somebody stated."""

    kind: MemoryKind
    text: str
    confidence: float
    importance: float
    subject: str = ""
    predicate: str = ""
    value: str = ""
    negated: bool = False


_NAME = r"(?P<value>[^\W\d_][\w'’-]*(?: [^\W\d_][\w'’-]*){0,4})"
_TRADE = r"(?P<value>[^\W\d_]{3,20}(?: [^\W\d_]{2,20}){0,2}?)"
_THING = r"(?P<value>[^.,;:!?\n]{2,60}?)"
_REALLY = r"(?:really |also |so )?"
_JOINS = r" (?:and|but|und|aber|et|mais|y|e|pero|so|because|weil|car|porque)(?: |$)"
_END = rf"(?=[.,;:!?\n]|$|{_JOINS})"

_FACTS = (
    # predicate, confidence, importance, what it looks like
    (
        "name", 0.9, 0.8,
        rf"(?:my name(?: is|'s|s)|(?:please |you (?:can|may) |just )?call me|(?:they|people|friends) call me"
        rf"|mein name ist|ich hei(?:ß|ss)e|man nennt mich|nenn mich"
        rf"|je m'appelle|mon nom est|on m'appelle|appelle-moi|appelez-moi"
        rf"|me llamo|mi nombre es|me llaman|ll[aá]mame) {_NAME}",
    ),
    (
        "origin", 0.8, 0.5,
        rf"(?:i(?: a|')?m from|i (?:come|came|hail) from|ich (?:komme|stamme|bin) aus|je viens d(?:e |')"
        rf"|je suis originaire d(?:e |')|vengo de|yo soy de|soy de) ?{_NAME}",
    ),
    (
        "home", 0.8, 0.5,
        rf"(?:i live in|ich (?:wohne|lebe) in|j'habite (?:à|a|en)|je vis (?:à|en)|(?:yo )?vivo en) {_NAME}",
    ),
    ("trade", 0.8, 0.5, rf"i(?: a|')?m an? {_TRADE} by trade"),
    (
        "trade", 0.8, 0.5,
        rf"(?:i (?:work|earn my bread|make my living) as an?|ich arbeite als|je travaille comme"
        rf"|(?:yo )?trabajo (?:de|como)) {_TRADE}(?: here)?{_END}",
    ),
    ("trade", 0.8, 0.5, rf"(?:ich bin {_TRADE} von beruf)"),
    ("trade", 0.8, 0.5, rf"(?:je suis {_TRADE} de (?:métier|metier))"),
    ("trade", 0.8, 0.5, rf"(?:soy {_TRADE} de (?:oficio|profesión|profesion))"),
    (
        "married_to", 0.8, 0.5,
        rf"(?:i(?: a|')?m married to|je suis marié(?:e)? (?:à|avec)|estoy casad[oa] con) {_NAME}",
    ),
)  # fmt: skip
_LIKES = (
    # what it looks like, whether the verb is one of dislike
    (rf"i {_REALLY}(?P<not>do(?:n'?t| not) (?:really )?)?(?:like|love|adore|enjoy|prefer) {_THING}{_END}", False),
    (rf"i {_REALLY}(?P<not>do(?:n'?t| not) (?:really )?)?(?:hate|dislike|despise|loathe) {_THING}{_END}", True),
    (
        rf"ich (?:mag|liebe) (?:wirklich |sehr |gerne? )?(?P<not>keine? )?{_THING}"
        rf"(?P<after> (?:gar |überhaupt )?nicht)?{_END}",
        False,
    ),
    (rf"ich (?:hasse|verabscheue) {_THING}{_END}", True),
    (rf"(?:je (?P<not>n'?)|j')(?:aime|adore) (?(not)pas )(?:bien |beaucoup |vraiment )?{_THING}{_END}", False),
    (rf"j'aime (?P<not>pas) (?:trop )?{_THING}{_END}", False),
    (rf"je (?:déteste|deteste|hais) {_THING}{_END}", True),
    (rf"(?P<not>no )?me (?:gustan?|encantan?) (?:mucho )?{_THING}{_END}", False),
    (rf"(?:yo )?(?:odio|detesto) {_THING}{_END}", True),
)  # fmt: skip
_PROMISE = re.compile(
    rf"\b(?:i (?:(?:swear|promise|vow|give you my word)(?: to you)?(?: that)?(?: i(?:'ll| will)| to)"
    rf"|(?:will|shall) (?:always|never))"
    rf"|ich (?:schwöre|verspreche)(?: (?:dir|euch|ihnen))?,? (?:dass ich|ich werde)"
    rf"|je (?:te |vous )?(?:jure|promets)(?: que je| de| d')"
    rf"|(?:te |os |le )?(?:juro|prometo)(?: que)?) {_THING}{_END}",
    re.IGNORECASE,
)
_HINT = re.compile(
    r"\b(?:i|i'?m|my names?|call me|ich|mein name|nenn|je|j'|mon nom|appelle|me|mi nombre|soy|vengo|vivo|trabajo"
    r"|estoy|odio|detesto|juro|prometo)\b|ll[aá]mame",
    re.IGNORECASE,
)
"""Text without any of these has no statement; most texts end at this first check."""
_SUPPOSED = re.compile(
    r"\b(?:if|suppose|supposing|imagine|pretend|what if|unless|wish|would|say that|let's say|maybe|perhaps|when i say"
    r"|wenn|falls|angenommen|stell dir vor|würde|vielleicht|als ob|si|supposons|imagine|imaginons|peut-être|comme si"
    r"|supón|supongamos|imagina|quizás|tal vez|como si)\b",
    re.IGNORECASE,
)
_DENIED = re.compile(
    r"\b(?:never|not|no|isn'?t|wasn'?t|didn'?t|don'?t|doesn'?t|won'?t|can'?t|said|says|say|saying|told|tells|claims?|claimed"
    r"|thinks?|thought|believes?|heard|joking|kidding|lied|lie|false|untrue|nobody|who|why|do|does|did"
    r"|nie|niemals|nicht|kein|keine|sagte|sagt|sagst|gesagt|behauptet|glaubt|glaubst|gelogen|dachte|warum|wer"
    r"|jamais|pas|dit|dis|disait|prétend|croit|crois|pense|menti|pourquoi|qui"
    r"|nunca|jamás|dije|dijo|dice|dices|dicen|cree|crees|piensa|mentí|quién)\b",
    re.IGNORECASE,
)
_CLAUSE = re.compile(
    r"[,;:] (?=(?:and |but |so |und |aber |et |mais |y |pero )?(?:i|my|ich|mein|je|j'|mon|yo|me|mi|soy)\b)",
    re.IGNORECASE,
)
_SENTENCE = re.compile(r"(?<=[.!?…\n])\s*")
_QUOTED = re.compile(
    r"\"[^\"]*\"|“[^”]*”|„[^“”]*[“”]|«[^»]*»|»[^«]*«|(?<!\w)'[^'\n]{3,}'(?!\w)|(?<!\w)‘[^’\n]{3,}’(?!\w)"
)
_SAID_AFTER = re.compile(
    r"\W+(?:he|she|they|er|sie|il|elle|él|ella) (?:said|says|sagte|sagt|dit|dijo|dice)\b", re.IGNORECASE
)
_NO_NAME = frozenset(
    "a an the my your his her their our its no not none never nothing nobody what who whom where when why how that this"
    " it he she they we you i here there far away afar nowhere somewhere everywhere abroad crazy mad later back again"
    " when whatever anything something maybe in on at of for to from too also unknown secret important known and or but"
    " if so because said called just only still now soon yet very all both mein dein sein kein keine nicht wer wie was"
    " das der die den dem ein eine einem weit hier dort nie mon ton son pas qui que quoi où le la les un une ici là"
    " loin mi tu su no quién qué el lo los las un una aquí allí lejos como así".split()
)
_LINKS = frozenset("the of der die von vom zu le la de du des d' del los las el".split())
_STOPS = frozenset(
    "and but or so who which where when that because by near with in on at for from as is are was i my and, und aber wo"
    " weil mit bei et mais où qui avec y pero donde que con e o too also"
    " btw mate friend sir please though now lol ok haha".split()
)
_VAGUE = frozenset(
    "it that this them him her these those to es das ihn sie ça cela lui eux eso esto lo él ella der die".split()
)
_OPEN = frozenset(
    "it how what when where if to here there hier ici aquí wie was wenn quand comment que cómo cuando".split()
)
_SAID = re.compile(
    r"\b(?:said|say|says|told \w+|claimed|gesagt|sagte|behauptet|dit|dije|dijo|dicho)[\s,;:…]*$", re.IGNORECASE
)
_YOU = re.compile(
    r"\b(?:you|your|yourself|u|ur|dich|dir|dein\w*|euch|euer|eure|te|toi|ton|ta|tes|vous|votre|vos|tú?|tus?)\b",
    re.IGNORECASE,
)
_COMPILED = [(re.compile(rf"\b{form}", re.IGNORECASE), name, sure, weight) for name, sure, weight, form in _FACTS]
_PREFERRED = [(re.compile(rf"\b{form}", re.IGNORECASE), dislikes) for form, dislikes in _LIKES]


def from_player(text: str, player: str) -> Iterator[Statement]:
    """Yield what the player says of themselves, and what they promise."""
    if _HINT.search(text) is None:
        return
    for sentence in _sentences(text):
        for pattern, predicate, confidence, importance in _COMPILED:
            for match in pattern.finditer(sentence):
                value = match["value"].strip() if predicate == "trade" else _name(match["value"])
                if not value or value.lower().split()[0] in _NO_NAME or not _is_meant(sentence, match):
                    continue
                said = match[0].strip()
                if predicate != "trade":
                    said = sentence[match.start() : match.start("value")].strip() + " " + value
                said = f"The player says: {said[0].upper()}{said[1:]}."
                yield Statement(MemoryKind.FACT, said, confidence, importance, player, predicate, value)
        yield from _preferences(sentence, player)
        for match in _PROMISE.finditer(sentence):
            if _is_meant(sentence, match):
                yield Statement(MemoryKind.PROMISE, f"The player promised: {match[0].strip()}.", 0.8, 0.9)


def _preferences(sentence: str, player: str) -> Iterator[Statement]:
    seen: set[str] = set()
    for pattern, is_dislike in _PREFERRED:
        for match in pattern.finditer(sentence):
            value, marks = match["value"].strip(), match.groupdict()
            asked = sentence[match.end() : match.end() + 1] == "?"
            # A compliment or an insult changes the state; a vague word means nothing later.
            if _YOU.search(value) or value.lower() in _VAGUE or value.lower().split()[0] in _OPEN or asked:
                continue
            if value in seen or not _is_meant(sentence, match):
                continue
            seen.add(value)
            dislikes = is_dislike != bool(marks.get("not") or marks.get("after"))
            said = f"The player {'dislikes' if dislikes else 'likes'} {value}."
            yield Statement(MemoryKind.PREFERENCE, said, 0.8, 0.4, player, "likes", value, dislikes)


def from_npc(text: str) -> Iterator[Statement]:
    """Yield the NPC's promises."""
    if _HINT.search(text) is None:
        return
    for sentence in _sentences(text):
        for match in _PROMISE.finditer(sentence):
            if _is_meant(sentence, match):
                yield Statement(MemoryKind.PROMISE, f"You promised: {match[0].strip()}.", 0.7, 0.9)


def _sentences(text: str) -> list[str]:
    """Return the sentences of a text, without what is quoted."""
    return [sentence for sentence in _SENTENCE.split(_QUOTED.sub(" … ", text).replace("’", "'")) if sentence]


def _is_meant(sentence: str, match: re.Match[str]) -> bool:
    """Whether what was found is neither supposed, nor denied, nor said by somebody else."""
    before = sentence[: match.start()]
    clause = _CLAUSE.split(before + ("i" if before.endswith((", ", "; ", ": ")) else ""))[-1]
    if _SUPPOSED.search(before) or _DENIED.search(clause) or _SAID.search(before):
        return False
    if sentence[match.end() :].startswith("?"):
        return False
    return not _SAID_AFTER.match(sentence[match.end() :])


def _name(text: str) -> str:
    """Return the name at the beginning of a text as names are written; empty when there is none."""
    words = text.split()
    if not words or words[0].lower() in _NO_NAME:
        return ""
    if words[0][0].isupper():  # as written: the capitals tell where it ends
        name = [words[0]]
        for index, word in enumerate(words[1:], 1):
            if not (word[0].isupper() or (word.lower() in _LINKS and any(w[0].isupper() for w in words[index + 1 :]))):
                break
            if word.lower() in _STOPS:
                break
            name.append(word)
        return " ".join(name)
    name = []
    for word in words[:4]:
        if word.lower() in _STOPS:
            break
        name.append(word if word.lower() in _LINKS and name else word[0].upper() + word[1:])
    if len(name) > 2 and not _LINKS & set(name):
        return ""
    while name and name[-1] in _LINKS:
        name.pop()
    return " ".join(name)
