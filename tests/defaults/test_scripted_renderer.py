"""The scripted renderer: which line it picks, and that it does not repeat itself."""

from __future__ import annotations

from typing import Any

from rfsn_core.contract.rendering import Known, Prompt, RenderOptions
from rfsn_core.defaults.lines import LINES
from rfsn_core.defaults.rendering import Scripted
from rfsn_core.world.actions import BUILT_IN, STYLES

PERSONA = ("lines", "shared_lines", "plain_action")


async def said(action: str = "greet", style: str = "neutral_balanced", text: str = "", **fields: Any) -> str:
    persona: dict[str, Any] = {key: fields.pop(key) for key in PERSONA if key in fields}
    prompt = Prompt(
        npc="smith", name="Berit", player="Ann", action=action, style=style, instruction="", player_text=text,
        messages=(), persona=persona, **fields,
    )  # fmt: skip
    return "".join([token async for token in Scripted(0).render(prompt, RenderOptions())])


async def test_the_npcs_own_lines_come_first_then_the_worlds_then_the_built_in_ones() -> None:
    own, shared = {"greet": ["Mine."]}, {"greet": ["Ours."], "farewell": ["Bye."]}
    assert await said(lines=own, shared_lines=shared) == "Mine."
    assert await said("farewell", lines=own, shared_lines=shared) == "Bye."
    assert await said("insult", lines=own, shared_lines=shared) in LINES["insult"]["neutral_balanced"]


async def test_a_style_without_lines_uses_those_of_other_styles() -> None:
    lines = {"greet": {"terse_direct": ["Yes?"], "warm_friendly": ["Welcome!"]}}
    assert await said(style="terse_direct", lines=lines) == "Yes?"
    assert await said(style="lore_rich", lines=lines) in ("Yes?", "Welcome!")


async def test_a_variant_uses_the_lines_of_its_plain_action() -> None:
    assert await said("hum", plain_action="greet", lines={"greet": ["Hello."]}) == "Hello."
    assert await said("hum") == "Hm."


async def test_the_same_seed_picks_the_same_line_and_other_seeds_vary() -> None:
    lines = {"greet": [f"Line {number}." for number in range(10)]}
    assert await said(lines=lines, seed=4) == await said(lines=lines, seed=4)
    assert len({await said(lines=lines, seed=seed) for seed in range(40)}) > 5


async def test_the_last_line_is_repeated_only_when_there_is_no_other() -> None:
    lines = {"greet": ["One.", "Two."]}
    for seed in range(10):
        assert await said(lines=lines, seed=seed, avoid=("One.",)) == "Two."
    assert await said("hum", lines={"hum": ["One."]}, avoid=("One.",)) == "One."


async def test_lines_are_templates_that_can_use_the_state_and_nothing_else() -> None:
    lines = {"greet": ["{{ name }} to {{ player }}: {{ state.mood }}"]}
    assert await said(lines=lines, state={"mood": "happy"}) == "Berit to Ann: happy"
    for attack in ("{{ ''.__class__.__mro__ }}", "{{ state.clear() }}", "{{ 1 / 0 }}", "{{ nothing.at.all }}"):
        assert await said("hum", lines={"hum": [attack, "Safe."]}, state={"mood": "x"}) == "Safe."


async def test_the_fact_that_the_decision_is_about_is_told() -> None:
    assert await said("explain", known=Known(fact="Use {{ braces }} with care.")) == "Use (( braces )) with care."


def test_there_are_lines_for_every_built_in_action() -> None:
    assert set(LINES) == {action.name for action in BUILT_IN}
    assert {style for styles in LINES.values() for style in styles} <= set(STYLES)
