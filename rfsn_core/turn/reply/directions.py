"""Tells stage directions from words: what stands in `*…*`, `(…)` or `[…]` is done, not said, if it reads like it."""

from __future__ import annotations

import re

_VERBS = (
    "adjust approach arch ask back bang bark beam beckon bend bite blink blow blush bow break breathe bring brush bump"
    " burst caress cast catch chuckle circle clap clasp clean clear clench click clutch cock collapse cough cover crack"
    " cringe croak cross crouch cry curtsy cut dash draw drink drop drum drag duck dust embrace enter exhale exit eye"
    " fade fall fiddle fidget fill flash flick flinch fold follow freeze frown fumble gasp gather gaze gesture giggle"
    " give glance glare glower grab grasp grimace grin gripe groan growl grumble grunt gulp hand hang"
    " head hesitate hide"
    " hiccup hiss hit hold hug hum hurry idle inhale inspect jab jerk jump kick kiss kneel knit knock"
    " laugh lay lead lean"
    " leap leave lick lift light linger look lower massage mop motion move mumble murmur mutter narrow nod nudge offer"
    " open pace pant pass pat pause peer perk pick pinch place play point polish pounce pound pour pout press produce"
    " pull purse push put raise reach recoil reply retreat return roll rub run rush salute scan scoff scowl scratch"
    " scream scribble set settle shake shift shiver shove shout show shrug shudder shuffle sigh sing sip sit slam slap"
    " slide slip slouch slump smack smile smirk snap snarl sneer sneeze sniff snore snort sob speak spit squeeze squint"
    " stagger stammer stand stare start step stiffen stir stomp stop straighten stretch stroke stumble"
    " swallow sway sweep"
    " swing take tap tear tend tense throw thump tilt tip tiptoe toss touch trace tremble tug turn twirl twist usher"
    " voice wag wait walk watch wave wet whimper whine whisper whistle wince wink wipe wring yawn yell"
).split()
_ADVERBS = (
    "quietly softly gently slowly gruffly warmly coldly sternly nervously cheerfully angrily sadly happily loudly"
    " whispering thoughtfully firmly dryly flatly curtly wearily sarcastically playfully hesitantly"
).split()
_NOUNS = frozenset("pause beat silence sigh laugh laughter giggle chuckle cough gasp grin smile nod shrug wink".split())


def _forms(verb: str) -> tuple[str, ...]:
    if verb.endswith(("s", "sh", "ch", "x", "z")):
        third = f"{verb}es"
    elif verb.endswith("y") and verb[-2] not in "aeiou":
        third = f"{verb[:-1]}ies"
    else:
        third = f"{verb}s"
    stem = verb[:-1] if verb.endswith("e") and not verb.endswith("ee") else verb
    return third, f"{stem}ing", f"{stem}{stem[-1]}ing"


_THIRD = frozenset(_forms(verb)[0] for verb in _VERBS)
_DOING = frozenset(form for verb in _VERBS for form in _forms(verb)[1:])
_BASE = frozenset(_VERBS)
SAYING = frozenset(
    "says said asks asked replies replied answers answered adds added tells told calls called murmurs repeats repeated"
    " continues continued explains explained warns warned agrees agreed admits admitted insists insisted".split()
)
_PAST = frozenset(
    f"{verb[:-1]}ied" if verb.endswith("y") and verb[-2] not in "aeiou" else f"{verb.removesuffix('e')}ed"
    for verb in _VERBS
) | frozenset(
    "nodded shrugged grinned tapped grabbed patted hummed dropped slammed stepped stopped gave took stood sat put set"
    " came went held drew threw shook bent rose spoke swept let leant blew broke drank fell hid hung knelt laid led"
    " leapt left made ran sang shot slid spat spread stuck swung tore wept winked".split()
)
TELLING = _THIRD | _PAST | SAYING
"""What somebody does, as prose tells it."""
_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
_SUBJECTS = frozenset("he she it they his her its their the a an".split())
_ASIDES = frozenset(
    "and or but nor if when while whenever as though although because so since unless until well not no yes aye at in"
    " on for from with without to by of about after before which who whom whose where why how what that this these"
    " those it he she they we you i my your our there here is was are were maybe perhaps even just only like except"
    " or then too also once twice und oder aber wenn ou et mais si o y pero".split()
)
"""First words of what is said by the way."""
_STRESSED = frozenset(
    "i me my mine you your yours he him his she her hers it its we us our they them their this that these those who"
    " what where when why how no not never ever now then here there always all any every some none must will can very"
    " too so more most less only just really nothing everything something anything anyone is are was were do did does"
    " yes please".split()
)
"""Words that are stressed by asterisks more often than they are a stage direction."""
_NOTE = re.compile(
    r"(?:(?:ooc|out[ -]of[ -]character|as an ai|a/n|(?:author|editor|translator)'?s? note|disclaimer"
    r"|word count|end of (?:the )?(?:scene|conversation|chapter|reply|response|message|turn)|scene ends"
    r"|to be continued|(?:this|the|my) (?:response|reply)|i(?:'ve| have)? (?:kept|stayed in|tried to|made sure))\b"
    r"|(?:note|notes|n\.?b\.?|ic|meta|edit|system|system note"
    r"|anmerkung|hinweis|remarque|nota)\s*[:：–—])",
    re.IGNORECASE,
)
BOUNDARY_MARKS = ",;:-–—&'’/+=("


_ABOUT = re.compile(
    r"\b(?:tone|character|respon\w+|repl(?:y|ies|ied)|role-?play\w*|kept|stayed|maintain\w*|ensur\w+|avoid\w*|prompts?"
    r"|instructions?|dialogue|narrat\w+|context|json|format|npc|persona|the (?:user|player|scene|text|original))\b",
    re.IGNORECASE,
)


def is_about_the_reply(line: str) -> bool:
    """Return whether a line speaks of the reply itself: the model wrote it, and the NPC does not say it."""
    return _ABOUT.search(line) is not None


def is_note(text: str) -> bool:
    """Return whether a bracket holds a note of the model's to the reader."""
    return _NOTE.match(text.lstrip("([*_ \t\n")) is not None


def is_direction(text: str, mark: str, before: str) -> bool:
    """Return whether marked text is a stage direction.

    :param mark: what it stands in: `*`, `**`, `_`, `(`, `[` or `<`.
    :param before: the words before it on the same line.
    """
    words = _WORD.findall(text.lower())
    if not words or is_note(text):
        return bool(text.strip()) and is_note(text)
    first = words[0]
    third = first in _THIRD or (first.endswith("ly") and len(words) > 1 and words[1] in _THIRD | _DOING)
    begins = _begins_something(before)
    if not begins or mark == "**":
        # In the middle of a sentence only what cannot be part of it is one.
        subject = re.search(r"(\w+)\W*$", before.lower())
        follows_subject = subject is not None and subject[1] in ("he", "she", "it", "that", "who", "which", "nobody")
        doing = len(words) == 1 and mark != "**" and (first in _DOING or (first in _NOUNS and before[-1:] in "—–-…"))
        return (third or doing) and not follows_subject
    if mark == "[":
        return True
    if third or first in _DOING or first in _ADVERBS or (first in _NOUNS and len(words) < 4):
        return True
    if first == "i" and len(words) > 1 and words[1] in _BASE:
        return True
    if mark in "*_" and text.rstrip().endswith(("!", "?")):
        return False
    if _third_person(text, words):
        return True
    letter = next(character for character in text if character.isalpha())
    if letter.isupper():
        return False
    if mark == "(":
        return first not in _ASIDES
    return len(words) > 1 or first not in _STRESSED


def is_telling(sentence: str) -> bool:
    """Return whether a sentence next to a quotation tells what somebody does: "she says, wiping a mug"."""
    words = _WORD.findall(sentence.lower())
    if not words or {"i", "i'm", "you", "me", "my", "your", "we"} & {*words[:6]}:
        return False
    if words[0] in SAYING:
        return True
    return words[0] in _SUBJECTS and any(word in TELLING for word in words[1:5])


def _begins_something(before: str) -> bool:
    """Return whether what comes next begins a sentence."""
    before = before.rstrip()
    if not before:
        return True
    return not (before[-1].isalnum() or before[-1] in BOUNDARY_MARKS or before.endswith(("..", "…")))


def _third_person(text: str, words: list[str]) -> bool:
    """Return whether it tells of somebody: "She leans in", "The door creaks", "Tilda smiles"."""
    if len(words) < 2:
        return False
    if words[0] in _SUBJECTS:
        return any(word in _THIRD or word in _DOING for word in words[1:5])
    return text.lstrip()[:1].isupper() and any(word in _THIRD for word in words[1:3])
