"""Prompt templates spend no more than they are allowed, whatever is in them."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from rfsn_core.world.templates import FAILURES, PromptEnvironment, syntax_problem

resource = pytest.importorskip("resource")

VALUES: dict[str, Any] = {"text": "Hello!", "memories": ["a", "b"], "long": "x" * 50_000}

HARMFUL = [
    "{% macro f(n) %}{% if n %}{{ f(n-1) }}{{ f(n-1) }}{% endif %}{% endmacro %}{{ f(60) }}",
    "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}",
    "{% for a in range(9999) %}{{ range(99999)|select('odd')|list|length }}{% endfor %}",
    "{% for a in [[1]] recursive %}{{ loop(a) }}{% endfor %}",
    "{{ '{:>300000000}'.format(1) }}", "{{ 'a'.ljust(300000000) }}", "{{ '1'.zfill(300000000) }}",
    "{{ ('a'*20000)|replace('a','b'*20000) }}", "{{ range(99999)|map('center',3000)|join }}",
    "{{ ['a'*20000]|join('b'*20000) * 20 }}", "{{ range(99999)|map('replace','1',long)|list }}",
    "{% set a = 'aaaa' %}" + "{% set a = a ~ a %}" * 29 + "{{ a }}",
    "{% set a = 'aaaa' %}" + "{% set a = a + a %}" * 29 + "{{ a }}",
    "{% set a %}aaaa{% endset %}" + "{% set a %}{{ a }}{{ a }}{% endset %}" * 29,
    "{% macro m(x) %}{{ x }}{{ x }}{% endmacro %}{{ " + "m(" * 29 + "'a'" + ")" * 29 + " }}",
    "{% set a = ['aaaa'] %}" + "{% set a = [a, a] %}" * 29 + "{{ a }}",
    "{% set a = ['aaaa'] %}" + "{% set a = [a, a] %}" * 29 + "{{ a|tojson }}",
    "{% set a = (1,) %}{% set b = (1,) %}" + "{% set a = (a, a) %}{% set b = (b, b) %}" * 29 + "{{ a == b }}",
    "{% macro m(a, n) %}{% if n %}{{ m((a, a), n - 1) }}{% endif %}{% endmacro %}{{ m((1,), 60) }}",
    "{{ [1]|batch(30000000)|list }}", "{{ '%0300000000d' % 1 }}", "{{ 'a'|center(300000000) }}",
    "{{ 1|tojson(300000000) }}", "{{ lipsum(n=20000) }}", "{{ 9 ** 99999999 }}", "{{ (9 ** 500) ** 500 }}",
    "{% set a = 3 %}" + "{% set a = a * a %}" * 40 + "{{ a }}", "{{ 5|round(-300000000, 'floor') }}",
    "{{ long * 99 }}", "{{ [long] * 9999 }}", "{% for a in range(999) %}{{ long }}{% endfor %}",
    "{% for a in range(9999) %}" + "text " * 2000 + "{% endfor %}",
    "{% for a in range(9999) %}{% set b = long[1:] %}{% endfor %}", "{{ long|indent(long|length) }}" * 50,
    "{% for a in range(9999) %}{{ a|string|upper|lower|upper|lower|upper|lower }}{% endfor %}" * 9,
    "{% include 'x' %}", "{% import 'x' as y %}", "{% extends 'x' %}", "{{ cycler(1) }}",
    "{{ ''.__class__.__mro__ }}", "{{ text.format }}", "{{ " + "(" * 300 + "1" + ")" * 300 + " }}",
    "{{ " + "[" * 150 + "]" * 150 + " }}" if sys.version_info < (3, 12) else "{{", "{{ 1" + " ~ 1" * 99_999 + " }}",
]  # fmt: skip


@pytest.mark.parametrize("text", HARMFUL)
def test_a_template_cannot_run_long_or_fill_the_memory(text: str) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if syntax_problem(text) is None:
        environment = PromptEnvironment()
        with pytest.raises(FAILURES):
            environment.render(environment.from_string(text), **VALUES)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 60_000  # KB


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("{% for m in memories %}- {{ m }}\n{% endfor %}", "- a\n- b\n"),
        ("{{ memories|join(', ') }} {{ memories|length }} {{ memories|map('upper')|list }}", "a, b 2 ['A', 'B']"),
        ("{{ text.lower() }} {{ text|replace('l', 'L') }} {{ {'a': [1]}|tojson }}", 'hello! HeLLo! {"a": [1]}'),
        ("{% macro m(x) %}<{{ x }}>{% endmacro %}{{ m(text) ~ 1 }}", "<Hello!>1"),
        ("{% set a %}x{{ text }}{% endset %}{{ a|indent(2, true) }} {{ 7 % 2 }} {{ 2 ** 3 }}", "  xHello! 1 8"),
        ("{% for a, b in [(1, 2)] %}{{ a + b }}{% endfor %}{{ text[:2] }}{{ (1.26)|round(1) }}", "3He1.3"),
        ("{% filter upper %}a{{ text }}{% endfilter %}{{ memories|first }}{{ memories|sort|last }}", "AHELLO!ab"),
        ("{% set a | upper %}x{% endset %}{{ a }}{% call(x) m(1) %}{{ x }}{% endcall %}"
         "{% macro m(y) %}[{{ caller(y) }}]{% endmacro %}", None),
    ],
)  # fmt: skip
def test_what_prompts_are_made_of_works(text: str, result: str | None) -> None:
    environment = PromptEnvironment()
    if result is None:  # a macro is used before it is defined
        with pytest.raises(FAILURES):
            environment.render(environment.from_string(text), **VALUES)
    else:
        assert environment.render(environment.from_string(text), **VALUES) == result
