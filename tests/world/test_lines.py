"""The language of scripted lines: what it can say, and that nothing in it can run long or grow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rfsn_core import protocol
from rfsn_core.contract.errors import WorldError
from rfsn_core.contract.npc import NpcState
from rfsn_core.contract.rendering import Known
from rfsn_core.testing import kernel, make_world, turn
from rfsn_core.world import lines
from rfsn_core.world.files import read_world

VALUES: dict[str, Any] = {
    "name": "Berit", "player": "ann", "style": "terse_direct", "state": NpcState(trust=0.256, turns=3).plain(),
    "known": Known(refer="Maren"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("Plain { text }.", "Plain { text }."),
        ("{{ name }} to {{ player|capitalize }}.", "Berit to Ann."),
        ("{{ 'Again' if state.turns else 'New' }}", "Again"),
        ("{{ 'Again' if state.turns > 5 }}", ""),
        ("{% if state.mood == 'sad' %}Oh{% elif state.mood in ['calm', 'happy'] %}Ah{% else %}Eh{% endif %}", "Ah"),
        ("{{ state['trust'] | round(1) }} {{ state.trust|round }}", "0.3 0"),
        ("{{ known.refer or 'Somebody' }}", "Maren"),
        ("{{ known.hint or 'Somebody' }}", "Somebody"),
        ("{{ not state.in_combat and 1 < state.turns <= 3 }}", "True"),
        ("{{ state.turns + 1 - -2 }}", "6"),
        ("{{ known.fact is defined }} {{ known.fact is none }}", "True False"),
        ("{# a note #}{% raw %}{{ name }}{% endraw %}", "{{ name }}"),
        ("{{ state.standing | default('x') }}{{ player | upper | lower | trim | title }}", "Ann"),
    ],
)
def test_what_a_line_can_say(line: str, text: str) -> None:
    assert lines.fill(line, VALUES) == text


HARMFUL = [
    "{% macro f(n) %}{% if n %}{{ f(n-1) }}{{ f(n-1) }}{% endif %}{% endmacro %}{{ f(60) }}Hello.",
    "{{ '{:>300000000}'.format(1) }}",
    "{{ 'a'.ljust(300000000) }}",
    "{{ '1'.zfill(300000000) }}",
    "{{ ('a'*20000)|replace('a','b'*20000) }}",
    "{{ range(99999)|map('center',3000)|join }}",
    "{% set a = 'aaaa' %}" + "{% set a = a ~ a %}" * 29,
    "{{ [1]|batch(30000000)|list }}",
    "{{ '%0300000000d' % 1 }}",
    "{{ 'a'|center(300000000) }}",
    "{{ 1|tojson(300000000) }}",
    "{{ lipsum(n=20000) }}",
    "{{ 9 ** 99999999 }}",
    "{% for a in range(99999) %}{% for b in range(99999) %}x{% endfor %}{% endfor %}",
    "{{ cycler(1) }}", "{{ namespace(a=1) }}", "{{ joiner() }}", "{{ player.upper() }}", "{{ state.clear() }}",
    "{{ ''.__class__.__mro__ }}", "{{ state.__class__ }}", "{{ known.__init__.__globals__ }}", "{{ state['__doc__'] }}",
    "{% include 'x' %}", "{% import 'x' as y %}", "{% extends 'x' %}", "{% block x %}{% endblock %}",
    "{% filter upper %}x{% endfilter %}", "{% call f() %}{% endcall %}", "{% with a = 1 %}{% endwith %}",
    "{{ 1.5 | round(-300000000) }}", "{{ 'a' ~ 'b' }}", "{{ player[0:1] }}", "{{ {'a': 1} }}", "{{ 5 // 2 }}",
    "{{ " + "(" * 1000 + "1" + ")" * 1000 + " }}", "{{ " + "not " * 900 + "1 }}", "{{ " + "-" * 900 + "1 }}",
    "{{ 1" + " + 1" * 900 + " }}", "{{ 1" + " and 1" * 900 + " }}", "{% if 1 %}" * 300 + "{% endif %}" * 300,
    "x" * 5000, "{{", "{% for %}", "{{ 'a' | attr('b') }}", "{{ name is sameas(1) }}", "{{ loop }}", "{{ self }}",
    "{% trans %}x{% endtrans %}", "{% do 1 %}", "{{ caller() }}", "{{ player | default(player, true) }}",
]  # fmt: skip


@pytest.mark.parametrize("line", HARMFUL)
def test_what_a_line_cannot_say_is_refused_when_it_is_saved(tmp_path: Path, line: str) -> None:
    assert lines.problem(line) is not None
    with pytest.raises(lines.LineError):
        lines.fill(line, VALUES)
    quoted = line.replace("\\", "\\\\").replace('"', '\\"')
    make_world(tmp_path, npcs={"smith": f'name = "S"\n[lines]\ngreet = ["{quoted}"]'})
    with pytest.raises(WorldError, match=r"smith.toml, line 3: lines.greet: "):
        read_world(tmp_path)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{{ plyer }}", "no variable 'plyer' in scripted lines; did you mean 'player'?"),
        ("{{ state.trst }}", "the state has no 'trst'; did you mean 'trust'?"),
        ("{{ known.refr }}", "'known' has no 'refr'; did you mean 'refer'?"),
        ("{{ player | shout }}", "no filter 'shout' in scripted lines; there are: upper, lower,"),
        ("{% for a in b %}{% endfor %}", "a loop is not possible in scripted lines; there are names, conditions,"),
        ("{{ player.name }}", "only 'state', 'known' and 'game' have parts in scripted lines, not 'player'"),
    ],
)
def test_a_problem_says_what_is_possible(line: str, problem: str) -> None:
    assert problem in str(lines.problem(line))


@pytest.mark.parametrize("line", ["{{ state.trust + player }}", "{{ player }}" * 200, "{{ player | round }}"])
def test_a_line_that_cannot_be_filled_in_now_is_passed_over(line: str) -> None:
    with pytest.raises(lines.LineError):
        lines.fill(line, VALUES | {"player": "a" * 100})


async def test_a_turn_with_a_line_that_grows_too_long_says_another(tmp_path: Path) -> None:
    line = "{{ player }}" * 150
    make_world(tmp_path, npcs={"smith": f'name = "S"\n[lines]\ngreet = ["{line}", "Hello."]'})
    async with kernel(tmp_path, settings={"rendering": {"provider": "scripted"}}) as running:
        (*_, last) = await turn(running, "Hello!", player="A" * 60)
    assert isinstance(last, protocol.TurnFinished)
    assert len(last.text) < 200
