from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rfsn_core.turn.reply.labels import known_names
from rfsn_core.turn.reply_parser import Part, Reply, Retraction

REPORT = 'FINAL_JSON {"action": "greet", "tone": "warm", "claims": ["The ferry is late."]}'


def read(*tokens: str) -> tuple[str, Reply]:
    reply = Reply(("Berit Holm", "Berit", "smith"), ("Osk", "Pim Reed"), ("Ann",))
    said = "".join([part for part in parts(reply, tokens) if isinstance(part, str)])
    return said, reply


def parts(reply: Reply, tokens: Iterable[str]) -> list[Part]:
    """Return what comes out, without what was retracted."""
    out: list[Part] = []
    for new in [*map(reply.feed, tokens), reply.close()]:
        for part in new:
            if isinstance(part, Retraction):
                out.clear()
            out.append(part)
    return out


@pytest.mark.parametrize(
    "text",
    [
        f"Good evening.\n{REPORT}",
        f"Good evening. {REPORT}",
        f"Good evening.\n\n```json\n{REPORT}\n```\nI hope this helps!",
        'Good evening.\n```\nFINAL_JSON\n{"action": "Greet"}\n```',
        'Good evening.\n**FINAL_JSON:** {"action": "greet", "mood": 3}',
        'Good evening.\n<FINAL_JSON>{"action": "greet"}</FINAL_JSON>',
        'Good evening.\n[FINAL_JSON] {"action": "greet"} and more',
        'Good evening.\n"FINAL_JSON": {"action": "greet"}',
        'Good evening.\nFinal JSON: {"action": "greet"}',
        'Good evening.\n{"action": "greet", "tone": "warm"}',
        'Good evening.\n{\n  "action": "greet"\n}',
        '<think>They seem "kind". FINAL_JSON {</think>\n\nGood evening.\nFINAL_JSON {"action": "greet"}',
        'Berit Holm: Good evening.\nFINAL_JSON {"action": "greet"}',
        '**Berit:** Good evening.\nFINAL_JSON {"action": "greet"}',
        'assistant: Good evening.<|im_end|>\nFINAL_JSON {"action": "greet"}',
        '<|im_start|>assistant\nGood evening.\nFINAL_JSON {"action": "greet"}',
    ],
)
@settings(max_examples=20)
@given(data=st.data())
def test_the_report_is_found_however_it_is_cut_and_nothing_of_it_is_spoken(text: str, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(1, len(text) - 1))))
    tokens = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    said, reply = read(*tokens)
    assert said.strip() == "Good evening."
    assert reply.outcome("greet") == "ok"


@pytest.mark.parametrize("size", range(1, len(REPORT)))
def test_a_report_that_is_cut_short_is_not_spoken_either(size: int) -> None:
    for tokens in ([*f"Good evening.\n{REPORT[:size]}"], [f"Good evening.\n{REPORT[:size]}"]):
        said, reply = read(*tokens)
        assert said.strip() == "Good evening."
        assert reply.outcome("greet") in ("missing", "invalid")


BITS = (
    "Well met, love. ", "The ferry is late… ", "*smiles warmly* ", "*leans closer.* ", "(sighs) ", "[laughs] ",
    "**two silver** ", "_never_ ", "I *told* you. ",
    "five * two ", "Mr. ", "\n", "\n\n", "\n- ale\n", "\n## Tea\n", "=== ",
    "\n---\n", "> ", "Berit: ", "\nBerit (smiling): ", "\nOld Man: ", "\nAnn: ", "Listen: ", "Narrator: She nods.\n",
    "Sure! Here's Berit's reply:\n", "Okay. ", "Great, ", "(OOC: short.) ", "\n(Note: hm.)", "As an AI model, ",
    "<think>a fool</think>", "a fool</think>", "[THINK]x[/THINK]", "◁think▷a◁/think▷", "<|im_end|>", "[/INST]",
    "<|channel|>analysis<|message|>hm<|end|>", "<|channel|>final<|message|>", "<|im_start|>assistant\n", "<unk>",
    '<tool_call>{"a": {}}</tool_call>', "[TOOL_CALLS][{}]", "<｜end▁of▁sentence｜>", '<player name="p">Hi</player>',
    "```json\n", 'FINAL_JSON {"action": "greet"}', '\nfinal_json {"a":1}', '\nReport: {"action":"x"}', "f", "fin",
    '"Well met." ', "“So.” ", "[a](http://x.y) ", "`friend` ", "😊", "{", "}", "* ", "*", "**", "(", "[", "<", "नमस्ते। ",
    "你好。", " ", "\t", "a_b", "\u00a0", "\ufffd", "\x00", "<i>Well</i> ",
)  # fmt: skip


@given(st.lists(st.sampled_from(BITS), max_size=12).map("".join), st.data())
@example('a fool</think>"Well met." (sighs) ', None)
def test_a_reply_comes_out_the_same_however_it_is_cut(text: str, data: st.DataObject | None) -> None:
    def read_all(pieces: list[str]) -> tuple[list[Part], str]:
        reply = Reply(("Berit Holm", "Berit", "smith"), ("Osk", "Pim Reed"), ("Ann",))
        out = parts(reply, pieces)
        return [*joined(out)], reply.outcome("greet")

    whole = read_all([text])
    assert read_all(list(text)) == whole
    if data is not None and text:
        cuts = sorted(data.draw(st.sets(st.integers(0, len(text)))))
        assert read_all([text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]) == whole


def joined(out: list[Part]) -> Iterator[Part]:
    """Yield the parts, words that follow each other as one."""
    for is_text, group in groupby(out, key=lambda part: isinstance(part, str)):
        if is_text:
            yield "".join(part for part in group if isinstance(part, str))
        else:
            yield from group


@given(st.lists(st.text("aF INAL_JSON{}<>*`\"'\n.:|[]()#thinkBer", max_size=6), max_size=30))
def test_any_text_comes_out_the_same_however_it_is_cut(tokens: list[str]) -> None:
    whole = read("".join(tokens))[0]
    assert read(*tokens)[0] == whole
    assert read(*"".join(tokens))[0] == whole


@pytest.mark.parametrize(
    "text",
    [
        "Fine. Find Finn; his FINAL word was no.",
        "It costs < 3 coppers, and 5 > 3.",
        'He said: "Go." (And I went.)',
        "A { brace, a #sign, a [note].",
        "Listen: the river rises.",
        "First line.\nSecond line: the ferry.\nThird.",
        "Osk told me so.",
        "مرحبا 🐉 …",
    ],
)
def test_words_stay_words(text: str) -> None:
    for tokens in ([text], [*text]):
        said, reply = read(*tokens)
        assert said == text
        assert reply.outcome("greet") == "missing"


@pytest.mark.parametrize(
    "text",
    """He looked at me and laughed. I never saw him again.
They came at dawn. Nobody woke.
"Leave," he told me, and I left.
"Old" is not the word. I'd say ancient.
Finn? He rows the ferry. He sings, too.
Berit is my name. Berit Holm.
Berit, that's me. What'll it be?
My name: Berit. My trade: ale.
State your business.
Final word: no.
Finally, the last thing: beware.
Think, man! Think!
Room 3: upstairs. Room 4: downstairs.
You want to know? Fine. Brother, sit.
Ann: a name I know. Sit down.
Good. Ann, a room it is.
The sign says: 'No dogs.' So no dogs.
a < b, b > a, as my father said.
Ha! (That was a joke.)
Do you (truly) have to ask?
Aye (laughing is good for you).
analysis of the river shows it high.""".splitlines(),
)
def test_what_an_npc_may_say_is_said(text: str) -> None:
    for tokens in ([text], [*text]):
        assert read(*tokens)[0] == text


def test_what_somebody_else_says_is_left_out() -> None:
    said, reply = read("Good evening.\n", "Ann: Give me ", "the key.\nBerit: Here!")
    assert said.strip() == "Good evening."
    assert reply.ended
    assert read("Good.\nUser: more")[0].strip() == "Good."
    assert read("Good.\nBerit: Sit down.")[0] == "Good.\nSit down."
    assert read("Pim Reed: Good evening.")[0] == "Good evening."


def test_reasoning_alone_is_silence() -> None:
    assert read("<think>I should greet.")[0] == ""
    assert read("<think>I should greet.</think>")[0] == ""


def test_control_characters_and_halves_of_characters_are_dropped() -> None:
    assert read("Good\x00 eve\ufffdning\x1b.")[0] == "Good evening."
    assert read("a", "b\ufffd", "c")[0] == "abc"


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("", "missing"),
        ("Hello.", "missing"),
        ("Hello.\nFINAL_JSON", "missing"),
        ("Hello.\nFINAL_JSON {nonsense", "invalid"),
        ('Hello.\nFINAL_JSON {"action": 3}', "invalid"),
        ('Hello.\nFINAL_JSON {"tone": "warm"}', "invalid"),
        ('Hello.\nFINAL_JSON [1]{"action": "greet"}', "ok"),
        ('Hello.\nFINAL_JSON {"action": "attack"}', "mismatch"),
        ("Hello.\nFINAL_JSON " + '{"a":' * 5000, "invalid"),
    ],
)
def test_the_report_is_checked(text: str, outcome: str) -> None:
    assert read(text)[1].outcome("greet", "refuse") == outcome


def test_a_report_without_end_does_not_fill_the_memory() -> None:
    reply = Reply()
    reply.feed('FINAL_JSON {"action": "')
    for _ in range(1000):
        reply.feed("x" * 1000)
    assert reply.outcome("greet") == "invalid"
    assert reply._reports._size < 30_000


def test_the_names_of_a_world_are_prepared_once_for_all_conversations() -> None:
    world = ("Osk", "Pim Reed")
    one, other = (known_names(("Berit",), world, (player,)) for player in ("Ann", "Bo"))
    assert one.far is other.far
    assert list(one.beginning_with("a")) == ["ann"]
    assert {"pim", "pim reed"} <= {*one.beginning_with("p")}
