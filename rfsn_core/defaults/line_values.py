"""What a prompt gives the scripted renderer: the NPC's voice, the values to fill lines in with, the core of a fact."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from rfsn_core.contract.rendering import Prompt
from rfsn_core.defaults import hearing, remarks
from rfsn_core.kit.words import content_words

_STYLES = {
    "terse_direct": "terse",
    "warm_friendly": "warm",
    "formal_respectful": "formal",
    "playful_witty": "sly",
    "lore_rich": "formal",
}
_PLACE = re.compile(
    r"\b(?:of|at|in|on) (the [A-Z][\w'’-]*(?: [A-Z][\w'’-]*)*)|\b(?:at|in|on) ((?:the )[\w'’-]+(?: [\w'’-]+)?)$"
)


def voice_of(prompt: Prompt) -> str:
    """Return the NPC's way of speaking: by its leanings and temperament, else by the decision's style."""
    styles: Mapping[str, float] = prompt.persona.get("styles", {})
    sliders: Mapping[str, float] = prompt.persona.get("temperament", {})
    weights = dict.fromkeys(("warm", "terse", "formal", "sly", "timid"), 0.0)
    for style, leaning in styles.items():
        if voice := _STYLES.get(style):
            weights[voice] += leaning * (0.6 if style == "lore_rich" else 1.0)
    warmth = sliders.get("warmth", 0.0)
    weights["warm" if warmth > 0 else "terse"] += 0.4 * abs(warmth)
    weights["sly"] -= 0.4 * min(0.0, sliders.get("honesty", 0.0))
    weights["timid"] -= 0.8 * min(0.0, sliders.get("bravery", 0.0) + 0.1)
    state = prompt.state
    weights["timid"] += max(0.0, state.get("fear", 0.0) - 0.25) * 0.7
    if spoken := _STYLES.get(prompt.style):
        weights[spoken] += 0.1
    voice = max(weights, key=lambda name: weights[name])
    if weights[voice] < 0.1:
        voice = "plain"
    disliked = state.get("affinity", 0.0) < -0.25 or state.get("mood") == "angry"
    return "cold" if disliked and voice != "timid" else voice


LONG = 190
"""Characters from which only the sentences of a fact are said that fit what was asked."""
_SENTENCE = re.compile(r".+?(?:[.!?…]+[\"'”’)]*(?=\s|$)|$)", re.DOTALL)


def excerpt(fact: str, topics: Sequence[str]) -> str:
    """Return a fact as it is spoken: of a long one the sentence that fits best, and the next one if both are short.

    Empty when no sentence of a long fact has to do with what was said.
    """
    if len(fact) <= LONG:
        return fact
    sentences = [sentence.strip() for sentence in _SENTENCE.findall(fact) if sentence.strip()]
    wanted = set(topics)
    shared = [len(wanted & set(content_words(sentence, "en"))) for sentence in sentences]
    if wanted and not any(shared):
        return ""
    best = max(range(len(sentences)), key=lambda index: (shared[index], -index))
    chosen: str = sentences[best]
    if best + 1 < len(sentences) and len(chosen) + len(sentences[best + 1]) < LONG:
        chosen = f"{chosen} {sentences[best + 1]}"
    return chosen


_HONORIFICS = (
    "Sergeant|Captain|Corporal|Master|Mistress|Old|Young|Mother|Father|Sister|Brother|Dame|Lord|Lady|Sir|Aunt|Uncle"
)


def first_name(name: str) -> str:
    """Return what somebody is called for short: "Yusuf" for "Old Yusuf", but "Sister Maud" as a whole."""
    words = name.split()
    if len(words) > 1 and re.fullmatch(_HONORIFICS, words[0]):
        return words[1] if words[0] in ("Old", "Young") else " ".join(words[:2])
    return words[0] if words else ""


def mentions(person: tuple[str, str, str]) -> re.Pattern[str]:
    """Return a pattern for a person's first name, title, or surname without somebody else's first name before it."""
    _, name, title = person
    names = name.split()
    plain = [re.escape(word) for word in (*names[:1], *title.split()[:1]) if len(word) > 2]
    patterns = [rf"\b(?i:{'|'.join(plain)})\b"] if plain else []
    if len(names) > 1:
        patterns.append(rf"(?:(?:^|[.!?] |[^A-Za-z] |\b[a-z]+ |\b(?:{_HONORIFICS}) )){re.escape(names[-1])}\b")
    return re.compile("|".join(patterns) or r"(?!)")


def values_of(prompt: Prompt) -> dict[str, str]:
    """Return what the built-in lines can be filled in with; what is not known is empty."""
    title = re.sub(r"^(?:the|an?) ", "", prompt.persona.get("title", ""), flags=re.IGNORECASE)
    words = prompt.understanding.words
    it = "" if prompt.stopped_by or prompt.understanding.language != "en" else hearing.thing(words)
    person = prompt.people[0] if prompt.people else ("", "", "")
    person_title = re.sub(r"^(?:the|an?) ", "", person[2], flags=re.IGNORECASE)
    place = _PLACE.search(person_title)
    refer_title = prompt.known.refer_title
    other = _other(prompt)
    fact = _player_fact(prompt)
    weather, time_of_day = (prompt.game.get(name, "") for name in ("weather", "time_of_day"))
    values = {
        "name": prompt.name,
        "first": first_name(prompt.name),
        "title": title,
        "player": prompt.player_name,
        "said_name": hearing.introduced(words),
        "it": it,
        "my_thing": it if it.startswith("my ") else "",
        "person": person[1],
        "person_first": first_name(person[1]),
        "person_title": person_title,
        "person_place": (place[1] or place[2]) if place else "",
        "refer": prompt.known.refer,
        "refer_title": refer_title,
        "other": other[1],
        "other_title": other[2],
        "player_fact": fact,
        "role": remarks.role(words),
        "from": remarks.home(words),
        "time": time_of_day.replace("_", " ") if isinstance(time_of_day, str) else "",
        "weather": weather if isinstance(weather, str) else "",
    }
    return values | {name.capitalize(): text[:1].upper() + text[1:] for name, text in values.items()}


def _other(prompt: Prompt) -> tuple[str, str, str]:
    if not prompt.others:
        return "", "", ""
    # Counted by what was said, so that the next question names the next one.
    unnamed = [person for person in prompt.others if not any(person[1] in said for said in prompt.avoid)]
    several: Sequence[tuple[str, str, str]] = unnamed or prompt.others
    return several[prompt.seed % len(several)]


def _player_fact(prompt: Prompt) -> str:
    """Return what the NPC knows of the player, spoken to the player."""
    told = []
    if prompt.player_name:
        told.append(f"you are called {prompt.player_name}")
    for text in prompt.player_facts:
        text = text.rstrip(".")
        if text.startswith("The player says: "):
            text = text.removeprefix("The player says: ")
            if not re.search(r"\bname\b|\bcall me\b", text, re.IGNORECASE):
                told.append(f'you said "{text}"')
        elif text.startswith("The player promised: "):
            text = text.removeprefix("The player promised: ")
            told.append(f'you promised: "{text}"')
        elif match := re.match(r"The player (dis)?likes (.+)", text):
            told.append(f"you {'do not like' if match[1] else 'like'} {match[2]}")
    return " and ".join(told[:2])
