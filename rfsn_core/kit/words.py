"""Words of a text: which of them carry meaning, their stems, and the language they are in."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import snowballstemmer

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_WIDE = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+")
_NAMES = {
    "en": "english",
    "de": "german",
    "fr": "french",
    "es": "spanish",
    "ru": "russian",
    "pl": "polish",
    "pt": "portuguese",
    "it": "italian",
    "nl": "dutch",
    "sv": "swedish",
    "da": "danish",
    "no": "norwegian",
    "fi": "finnish",
    "tr": "turkish",
}

STOP_WORDS: dict[str, frozenset[str]] = {
    language: frozenset(words.split())
    for language, words in {
        "en": (
            "a about after again all also am an and any anybody anyone anything are aren't as at be because been "
            "arent cant couldnt didnt doesnt hadnt hasnt havent hes hows isnt ive shes shouldnt thats theres theyre "
            "wasnt werent whats wheres whos wont wouldnt youre youve "
            "before being but by can can't cannot could couldn't did didn't do does doesn't doing don't done dont "
            "down ever every everything for from get gets getting go goes going gonna got gotta had has have "
            "haven't having he he'd he'll he's her here here's hers him his hmm how how's i i'd i'll i'm i've if "
            "im in into is isn't it it'd it'll it's its ive just kind know knew known least let let's like ll lot "
            "make makes many may maybe me might mine more most much must my myself need no not nothing now of off "
            "oh ok okay on once one only or other our out over own please pls put quite rather re really said say "
            "says see seen shall she she'd she'll she's should so some somebody someone something still such sure "
            "take tell telling tells than thanks that that'd that'll that's thats the their theirs them then "
            "there there's theres these they they'd they'll they're thing things think this those though through "
            "till to told too u under until up upon ur us very wanna want wants was wasn't way we we'd we'll "
            "we're we've well went were weren't what what's whats when when's where where's wheres which while "
            "who who's whom whos why will with without won't would wouldn't ya yeah yes yet you you'd you'll "
            "you're you've your yours yourself happen happened happens hear heard mean means talk talking speak "
            "ask asked hello hi hey sir friend"
        ),
        "de": (
            "aber als am an auch auf aus bei bin bist da das dass dein deine dem den denn der des dich die dir "
            "doch du ein eine einem einen einer es euch für haben habe hast hat hier ich ihr ihm ihn ihnen im in "
            "ist ja kann kannst kein keine man mein meine mich mir mit nach nicht noch nur ob oder schon sein "
            "sich sie sind so um und uns vom von vor war warum was weiß weißt welche wenn wer wie wir wird wo zu "
            "zum zur"
        ),
        "fr": (
            "ai as au aux avec avez bien ce ces cet cette c'est dans de des du elle en est et eu fait il ils j'ai "
            "je la le les leur lui ma mais me mes moi mon n'est ne nos nous on ou où par pas plus pour qu'est que "
            "qui quoi sa se ses si son sont sur ta te tes toi ton tu un une va vos votre vous y à ça été être"
        ),
        "es": (
            "a al algo como con cual cuando de del desde donde dónde el él ella en eres es esta está este esto "
            "fue ha has hay la las le lo los me mi muy más no nos o para pero por porque puedes que qué quien "
            "quién se si sin sobre su sé te tiene tienes tu tú un una usted y ya yo"
        ),
        "pt": (
            "a ao as até com como da de do dos e ela ele em essa esse esta este eu foi há isso isto já lhe mais "
            "mas me meu minha muito na no nos não o onde os ou para pela pelo por porque pode qual quando que "
            "quem se sem seu sua são te tem tu um uma você é"
        ),
        "it": (
            "a al alla anche che chi ci come con cosa cui da dal dei del della di do dove e ed ha hai ho i il in "
            "io la le lei lo lui ma mi mia mio ne nel nella no noi non o per perché più può puoi quando quanto se "
            "sei si sono sta su sua suo te ti tu un una è"
        ),
        "pl": (
            "a ale bez bo być czy co dla do gdzie i ich ile ja jak jest jestem jesteś już kiedy kto który ma mam "
            "masz mi mnie mój na nie nic o od on ona po pod są się ta tak tam te tego ten to tu ty tym w we wiesz "
            "z za że"
        ),
        "ru": (
            "а без бы был была в вам вас ваш весь во вот вы где да для до его ее если есть еще же за и из или как "
            "какой когда кто ли мне мой мы на не нет но о об он она они от по под при с сколько там твой тебя то "
            "ты тут у уже чего что это этот я"
        ),
    }.items()
}
"""Language → words that nearly every line has."""
_SCRIPTS = (
    ("ja", re.compile(r"[\u3040-\u30ff]")),
    ("zh", re.compile(r"[\u3400-\u9fff]")),
    ("ko", re.compile(r"[\uac00-\ud7af]")),
    ("ru", re.compile(r"[\u0400-\u04ff]")),
    ("el", re.compile(r"[\u0370-\u03ff]")),
    ("ar", re.compile(r"[\u0600-\u06ff]")),
    ("he", re.compile(r"[\u0590-\u05ff]")),
    ("hi", re.compile(r"[\u0900-\u097f]")),
    ("th", re.compile(r"[\u0e00-\u0e7f]")),
)
_TELLING = {
    "de": "ä ö ü ß hallo guten danke bitte tschüss nein ja hast habe ich du das nicht kannst wie geht's zimmer",
    "fr": "bonjour salut merci oui non vous s'il monsieur madame ça comment au revoir bonsoir",
    "es": "hola gracias buenos buenas adiós sí señor ¿ ¡ quiero puedes dónde qué",
    "pt": "olá obrigado obrigada bom sim não você tchau quero",
    "it": "ciao grazie buongiorno buonasera prego sì vorrei perché signore arrivederci",
    "pl": "cześć dzięki dziękuję dzień dobry tak nie proszę gdzie jest żegnaj",
}


def words_of(text: str) -> list[str]:
    """Return the words of a text in lower case. A run of Chinese or Japanese characters gives its pairs."""
    if text.isascii():
        return _WORD.findall(text.lower())
    words: list[str] = []
    for word in _WORD.findall(text.replace("’", "'").casefold()):
        wide = _WIDE.search(word)
        if wide is None:
            words.append(word)
        else:
            words.extend(word[i : i + 2] for i in range(max(1, len(word) - 1)))
    return words


_ANY_SCRIPT = re.compile(
    r"[\u0370-\u05ff\u0600-\u06ff\u0900-\u097f\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]"
)


def _votes() -> dict[str, tuple[tuple[str, float], ...]]:
    """Return word → (language, how much the word tells for it)."""
    votes: dict[str, dict[str, float]] = {}
    for language, stop in STOP_WORDS.items():
        for word in stop:
            votes.setdefault(word, {})[language] = 1.0
    for language, telling in _TELLING.items():
        for word in telling.split():
            tally = votes.setdefault(word, {})
            tally[language] = tally.get(language, 0.0) + 1.5
    return {word: tuple(tally.items()) for word, tally in votes.items()}


_VOTES = _votes()


def language_of(text: str, words: Sequence[str] | None = None) -> str:
    """Return the language of a text (ISO 639-1), by its script and its small words; `en` when nothing tells.

    :param words: `words_of(text)`, when it is known already.
    """
    if not text.isascii() and _ANY_SCRIPT.search(text):
        for language, script in _SCRIPTS:
            if script.search(text):
                return language
    votes = {"en": 0.5}
    for word in words_of(text) if words is None else words:
        if word in _VOTES:
            for language, weight in _VOTES[word]:
                votes[language] = votes.get(language, 0.0) + weight
    best = max(votes, key=votes.__getitem__)
    return best if votes[best] > votes["en"] and votes[best] >= 1.5 else "en"


@lru_cache(maxsize=16)
def _stemmer(language: str) -> Any:
    return snowballstemmer.stemmer(_NAMES[language])


@lru_cache(maxsize=50_000)
def stem(word: str, language: str = "en") -> str:
    """Return the stem of a word, without accents: "ferries" and "ferry" meet."""
    word = word.removesuffix("'s").replace("'", "")
    if language in _NAMES:
        word = _stemmer(language).stemWord(word)
    plain = unicodedata.normalize("NFKD", word)
    return "".join(character for character in plain if not unicodedata.combining(character))


def content_words(text: str, language: str = "", words: Sequence[str] | None = None) -> tuple[str, ...]:
    """Return the stems of the words that carry meaning, in order, each once.

    :param words: `words_of(text)`, when it is known already.
    """
    words = words_of(text) if words is None else words
    language = language or language_of(text, words)
    stop = STOP_WORDS.get(language, _NONE)
    return tuple(dict.fromkeys([stem(word, language) for word in words if word not in stop]))


_NONE: frozenset[str] = frozenset()
