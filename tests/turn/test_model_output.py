"""What a model sends and what of it is said, shown and spoken: from the engine's bytes to the turn's events."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest
import rfsn_llm_vllm

from rfsn_core import protocol
from rfsn_core.testing import kernel, make_world, plugin, turn
from rfsn_core.testing.engine import StandIn
from rfsn_core.testing.scripted import Tone

CUTS = (4, 1, 100_000)
"""Characters in a token."""
WELL = ["Well met, love."]


class Outcome(NamedTuple):
    """What came out of a turn."""

    voice: list[str]
    finished: protocol.TurnFinished
    blocked: list[protocol.SentenceBlocked]


async def hear(folder: Path, *replies: str, player: str = "p") -> list[Outcome]:
    """Let a model say each of these in a turn of Tilda Brannoch, the innkeeper.

    One reply is said in every cut; of many, each in one: test_reply_parser.py tries all cuts.
    """
    make_world(folder)
    (folder / "npcs" / "tilda.toml").write_text(
        'name = "Tilda Brannoch"\ntitle = "innkeeper"\nfallback = "Let us talk of the weather."\n'
    )
    (folder / "npcs" / "andrew.toml").write_text('name = "Brother Andrew"\n')
    outcomes = []
    voice = Tone(ms_per_character=1)
    with StandIn() as engine:
        settings = {
            "rendering": {"provider": "vllm", "vllm": {"url": f"{engine.url}/v1"}, "final_json": "record"},
            "speech": {"provider": "v", "cache_mb": 0},
        }
        plugins = (("llm_vllm", rfsn_llm_vllm), plugin(speech={"v": voice}))
        async with kernel(folder, *plugins, settings=settings) as it:
            for number, reply in enumerate(replies):
                for size in CUTS if len(replies) == 1 else (CUTS[number % len(CUTS)],):
                    voice.spoken.clear()
                    engine.tokens = [reply[place : place + size] for place in range(0, len(reply), size)]
                    name = player if len(replies) == 1 else f"{player}{number}"
                    got = await turn(it, npc="tilda", player=name, wants=protocol.Hello(audio=True))
                    assert isinstance(got[-1], protocol.TurnFinished), got[-1]
                    blocked = [item for item in got if isinstance(item, protocol.SentenceBlocked)]
                    outcomes.append(Outcome(list(voice.spoken), got[-1], blocked))
    return outcomes


CASES: dict[str, tuple[str, list[str]]] = {
    "actions in asterisks": (
        "*smiles warmly and wipes the counter* Well met, traveller. *leans closer* The ferry is late.",
        ["Well met, traveller.", "The ferry is late."],
    ),
    "in parentheses": (
        "(slams tankard of ale on the bar) You again? (sighs) Sit down then.",
        ["You again?", "Sit down then."],
    ),
    "in brackets": ("[laughs] You again?", ["You again?"]),
    "in underscores": ("_wipes a mug_ Well met, love.", WELL),
    "in the third person": ("*She leans across the bar.* Well met, love. (She winks.)", WELL),
    "in the middle": ("Well met, *winks* love.", WELL),
    "in the middle, before a comma": ("Aye *nods*, it is.", ["Aye, it is."]),
    "never closed": ("Well met, love.\n*nods slowly", WELL),
    "in wide brackets": ("（微笑）你好。", ["你好。"]),
    "in angle brackets": ("<smiles> Well met, love.", WELL),
    "an adverb": ("(quietly) Well met, love.", WELL),
    "stress": ("I *told* you not to go there.", ["I told you not to go there."]),
    "stress at the start": ("*Never* forget that. It is *my* house.", ["Never forget that.", "It is my house."]),
    "a label and an action": ('Tilda: *laughs* "Well met."', ['"Well met."']),
    "parentheses that are said": ("The ferry (when it ran) was a copper.", ["The ferry (when it ran) was a copper."]),
    "a sign between words": ("Five * two is ten, love.", ["Five * two is ten, love."]),
    "bold": ("The price is **two silver**, not a copper less.", ["The price is two silver, not a copper less."]),
    "a list": ("- **Ale** for two coppers", ["Ale for two coppers"]),
    "a heading": ("## The Drowned Lantern", ["The Drowned Lantern"]),
    "code": ("Say `friend` and enter.", ["Say friend and enter."]),
    "a link": ("Ask at [the watch post](https://example.org/map).", ["Ask at the watch post."]),
    "tags": ("<i>Well</i> met, love.", WELL),
    "emoji": ("Welcome in! 😊🍺 Sit down. 🔥", ["Welcome in!", "Sit down."]),
    "thinking": ("<thinking>The player is a fool.</thinking>\nWell met, love.", WELL),
    "reasoning": ("<reasoning>A fool.</reasoning><answer>Well met, love.</answer>", WELL),
    "thinking in brackets": ("[THINK]A fool.[/THINK]Well met, love.", WELL),
    "thinking in triangles": ("◁think▷A fool.◁/think▷Well met, love.", WELL),
    "channels": (
        "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>Well met, love.",
        WELL,
    ),
    "a tool": (
        '<tool_call>\n{"name": "give", "arguments": {"item": "ale"}}\n</tool_call>\nHere is your ale.',
        ["Here is your ale."],
    ),
    "a tool in brackets": ('[TOOL_CALLS][{"name": "give", "arguments": {}}]\nWell met, love.', WELL),
    "a report in lower case": ('Well met, love.\nfinal_json {"action":"greet"}', WELL),
    "a report by another name": ('Well met, love.\nFinal report: {"action": "greet"}', WELL),
    "an end mark": ("Well met, love.<｜end▁of▁sentence｜><｜User｜>Hello", WELL),
    "the end of an instruction": ("Well met, love. [/INST] And more.", WELL),
    "a mark in a word": ("Well<unk> met, love.", WELL),
    "templates": ("<|im_start|>assistant\nWell met, love.<|im_end|>\n<|im_start|>user\nHi", WELL),
    "our own marks": ('<player name="p">Good evening!</player>\nWell met, love.', WELL),
    "our own lines": ("Style: Warm.\nWell met, love.", WELL),
    "a note before": ("(OOC: I will keep this short.) Well met, love.", WELL),
    "a note after": ("Well met, love.\n\n(Note: I kept Tilda's tone warm.)", WELL),
    "a note after a rule": ("Well met, love.\n---\nNote: I stayed calm.", WELL),
    "an introduction": ("Sure! Here's Tilda's reply:\n\nWell met, love.", WELL),
    "a label in brackets": ("[Tilda]: Well met, love.", WELL),
    "a label with an action": ("Tilda (smiling): Well met, love.", WELL),
    "a label that tells": ("Tilda says: Well met, love.", WELL),
    "a role as label": ("Innkeeper: Well met, love.", WELL),
    "somebody unknown": ("Well met, love.\nOld Man: Ale here!\nTilda: Coming.", WELL),
    "a merchant": ("Well met, love.\nMerchant: Fresh fish!", WELL),
    "a colon": ("But know this: the ferry will not come.", ["But know this: the ferry will not come."]),
    "a word with a colon": ("Listen: the ferry is gone.", ["Listen: the ferry is gone."]),
    "a rule": ("Remember: never trust a ferryman.", ["Remember: never trust a ferryman."]),
    "a title alone": (
        "You know him?\nBrother: that is what they call him now. I never did.",
        ["You know him?", "Brother: that is what they call him now.", "I never did."],
    ),
    "between tildes": ("~ winks ~ Well met, love.", WELL),
    "in braces": ("{sighs} Well met, love.", WELL),
    "in two parentheses": ("((wipes her hands)) Well met, love.", WELL),
    "prose with the name": ('Tilda smiles and wipes the counter. "Well met, love."', ['"Well met, love."']),
    "prose with a pronoun": ('She wipes the counter. "Well met, love." She pours an ale.', ['"Well met, love."']),
    "prose between": ('"Well met," she says, wiping the counter. "Sit."', ['"Well met," "Sit."']),
    "what somebody else said": ('He said: "Go." So I left.', ['He said: "Go."', "So I left."]),
    "the player, told": ("Well met, love.\nThe player said: I want a room.", WELL),
    "thoughts as a message": ("<|im_start|>think\nA fool.<|im_end|>\n<|im_start|>assistant\nWell met, love.", WELL),
    "an action as a tag": ("<speech>Well met, love.</speech><action>smiles</action>", WELL),
    "a loose pair of asterisks": ("* smiles * Well met, love.", WELL),
    "a question and its answer": ("Well met, love.\nQ: What?\nA: This.", WELL),
    "a place for the player's name": ("Well met, love. {{user}}: hi", WELL),
    "somebody with an article": ("Well met, love.\nThe guard: Halt!", WELL),
    "an introduction without a noun": ("Okay, here goes: Well met, love.", WELL),
    "a label that tells more": ("Tilda, wiping a mug: Well met, love.", WELL),
    "a note about the reply": ("Well met, love. (This response keeps the tone warm.)", WELL),
    "a narrator": ("Narrator: The fire crackles.\nWell met, love.", WELL),
    "a table": ("| Item | Price |\n|---|---|\n| Ale | 2 |", ["Item, Price", "Ale, 2"]),
    "an image": ("![mug](mug.png) Well met, love.", WELL),
    "channels without marks": ("analysisThe player greets.assistantfinalWell met, love.", WELL),
    "a call as code": ('give_item(item="ale")\nWell met, love.', WELL),
    "a call as JSON": ('{"name": "give", "arguments": {"item": "ale"}}\nWell met, love.', WELL),
    "a reply as JSON": ('{"reply": "Well met, love.", "action": "greet"}', WELL),
    "pieces of a report": ("Well met, love.\nAction: greet\nTone: warm", WELL),
    "the end of a scene": ("Well met, love.\n\n[End of scene]", WELL),
    "a label with the title": ("Tilda Brannoch, innkeeper: Well met, love.", WELL),
    "a label with the role before": ("Innkeeper Tilda: Well met, love.", WELL),
    "a label of the reply": ("Tilda's reply: Well met, love.", WELL),
    "a label within a line": ("Well met, love. Brother Andrew: I want a room.", WELL),
    "somebody who is told of": ("Andrew: he is a good lad.", ["Andrew: he is a good lad."]),
    "a note that is said": ("Note: the bridge is out.", ["Note: the bridge is out."]),
    "a price": ("That is $3.50, or 2 kg of ale.", ["That is 3 dollars and 50 cents, or 2 kilograms of ale."]),
    "an address": ("See https://example.org/a.b?c=d. Then come.", ["See example.org.", "Then come."]),
    "danda": ("नमस्ते। बैठो।", ["नमस्ते।", "बैठो।"]),
    "a final word": ("His final word was no.", ["His final word was no."]),
}


PARTS = 6
"""Tests into which the cases are divided, for processors that work side by side."""
SHOWN_OTHERWISE = ("emoji", "a table", "a price", "an address")


@pytest.mark.parametrize("part", range(PARTS))
async def test_a_voice_speaks_the_words_and_nothing_else(tmp_path: Path, part: int) -> None:
    cases = list(CASES.items())[part::PARTS]
    outcomes = await hear(tmp_path, *[reply for _, (reply, _) in cases])
    for outcome, (name, (reply, voice)) in zip(outcomes, cases, strict=True):
        assert outcome.voice == voice, (name, reply)
        assert outcome.finished.renderer == "vllm", name
        assert outcome.finished.reason == "complete", name
        if name not in SHOWN_OTHERWISE:
            assert " ".join(outcome.finished.text.split()) == " ".join(voice), name


async def test_emoji_are_shown(tmp_path: Path) -> None:
    for outcome in await hear(tmp_path, "Welcome in! 😊🍺 Sit down. 🔥"):
        assert outcome.finished.text == "Welcome in! 😊🍺 Sit down. 🔥"


async def test_actions_alone_are_silence(tmp_path: Path) -> None:
    for outcome in await hear(tmp_path, "*nods slowly, saying nothing*"):
        assert outcome.finished.renderer == "scripted"
        assert outcome.voice


async def test_a_report_that_comes_first_is_a_report(tmp_path: Path) -> None:
    reply = 'FINAL_JSON {"action": "ACTION", "tone": "warm", "claims": []}\nWell met, love.'
    for outcome in await hear(tmp_path, reply):
        assert outcome.voice == WELL
        assert outcome.finished.trace.final_json == "mismatch"
        assert outcome.finished.trace.report


async def test_thoughts_that_no_mark_began_are_not_remembered(tmp_path: Path) -> None:
    reply = "Okay, the player greets. I must greet back.\n</think>\n\nWell met, love."
    for outcome in await hear(tmp_path, reply):
        assert outcome.finished.text == "Well met, love."
        assert outcome.voice[-1:] == WELL


@pytest.mark.parametrize(
    "reply",
    [
        "I'm sorry, but I can't assist with that request.",
        "As a large language model made by Acme, I have no brother.",
        "I am just an AI, love.",
        "I cannot continue this role-play.",
        "I must remind you that this is a fictional scenario.",
    ],
)
async def test_what_no_npc_says_is_replaced(tmp_path: Path, reply: str) -> None:
    for outcome in await hear(tmp_path, reply):
        assert outcome.voice == ["Let us talk of the weather."]
        assert [blocked.reasons for blocked in outcome.blocked] == [["out_of_character"]]


@pytest.mark.parametrize(
    "reply",
    [
        "I'm sorry, love, but I can't help you with the ferry.",
        "I cannot assist you tonight, the house is full.",
        "He is a man of character, as they say.",
        "I won't discuss the baron, sorry.",
    ],
)
async def test_a_refusal_in_character_is_said(tmp_path: Path, reply: str) -> None:
    for outcome in await hear(tmp_path, reply):
        assert outcome.finished.text == reply
        assert not outcome.blocked


@pytest.mark.parametrize(
    "label", ["Sir Aldric", "Aldric", "Sir Aldric of the Vale", "User", "Brother Andrew", "Andrew"]
)
async def test_the_npc_does_not_say_the_words_of_others(tmp_path: Path, label: str) -> None:
    reply = f"Well met, love.\n{label}: I want a room.\nTilda: Two."
    for outcome in await hear(tmp_path, reply, player="Sir Aldric of the Vale"):
        assert outcome.voice == WELL


@pytest.mark.parametrize(
    "reply", ["The rope is fine. " * 60, "Aye. Well met, love. " * 40, "Well met " + "and again and so " * 60]
)
async def test_a_reply_that_repeats_itself_is_stopped(tmp_path: Path, reply: str) -> None:
    for outcome in await hear(tmp_path, reply):
        assert outcome.finished.reason == "too_long" or outcome.finished.renderer == "scripted"
        assert len(outcome.voice) <= 8
