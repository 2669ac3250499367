"""Jinja2 for users: in a sandbox and bounded, so that a template can neither reach other objects nor run endlessly."""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Iterator
from typing import Any

from jinja2 import StrictUndefined, Template, TemplateError, TemplateSyntaxError, Undefined, meta, nodes, pass_context
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from rfsn_core.contract.npc import NpcState
from rfsn_core.kit.explain import nearest

MOST_ROUNDS = 10_000
"""Iterations of all loops of one rendering together."""
LONGEST = 200_000
"""Characters that a template may make by multiplying."""
FAILURES = (
    TemplateError, TypeError, ValueError, ArithmeticError, AttributeError, LookupError, RecursionError, MemoryError,
)  # fmt: skip
"""What rendering a template may raise."""


class Environment(ImmutableSandboxedEnvironment):
    """Templates without files and without autoescaping.

    :param strict: a misspelt name fails, instead of coming out empty.
    """

    intercepted_binops = frozenset(["*", "**"])

    def __init__(self, *, strict: bool = False) -> None:
        super().__init__(autoescape=False, undefined=StrictUndefined if strict else Undefined)
        self.filters["counted"] = _counted

    def compile(self, source: str | nodes.Template, *arguments: Any, **named: Any) -> Any:
        """Compile as usual, with a counter in every loop."""
        tree = self.parse(source) if isinstance(source, str) else source
        for loop in tree.find_all(nodes.For):
            loop.iter = nodes.Filter(loop.iter, "counted", [], [], None, None, lineno=loop.lineno)
        return super().compile(tree, *arguments, **named)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Multiply within bounds. Raises SecurityError."""
        for one, other in ((left, right), (right, left)):
            parts = len(one) if isinstance(one, str | list | tuple) else operator == "**"
            if isinstance(other, int) and parts * abs(other) > LONGEST:
                raise SecurityError(f"a product of more than {LONGEST} parts")
        return super().call_binop(context, operator, left, right)

    def render(self, template: Template, **values: Any) -> str:
        """Fill in a template. Raises one of `FAILURES`."""
        return template.render(values, _rounds=[0])


@pass_context
def _counted(context: Context, items: Iterable[Any]) -> Iterator[Any]:
    rounds = context.resolve("_rounds")
    for item in items:
        rounds[0] += 1
        if rounds[0] > MOST_ROUNDS:
            raise SecurityError(f"loops of more than {MOST_ROUNDS} iterations")
        yield item


def failure(error: BaseException) -> str:
    """Return what went wrong in a template, with its line where it is known."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == "<template>"]
    return f"line {lines[-1]}: {error}" if lines else str(error)


_PLAIN = Environment()
LINE_VARIABLES = ("name", "player", "style", "state")
"""What a scripted line can use: the NPC's name, the player's, the style, and the NPC's state."""
_STATE_FIELDS = tuple(NpcState().plain())


def syntax_problem(text: str) -> tuple[int, str] | None:
    """Return (line, message) of what is broken in a template, or None."""
    try:
        _PLAIN.from_string(text)
    except TemplateSyntaxError as error:
        return error.lineno, error.message or "syntax error"
    return None


def line_problems(text: str) -> Iterator[tuple[str, str]]:
    """Yield (offending word, problem) of a scripted line's template."""
    if "{" not in text:
        return
    if broken := syntax_problem(text):
        yield text.splitlines()[broken[0] - 1], f"broken template: {broken[1]}"
        return
    tree = _PLAIN.parse(text)
    for name in sorted(meta.find_undeclared_variables(tree) - set(_PLAIN.globals) - set(LINE_VARIABLES)):
        yield name, f"no variable '{name}' in scripted lines{nearest(name, LINE_VARIABLES)}"
    for field in _state_fields(tree):
        if field not in _STATE_FIELDS and not hasattr(dict, field):
            yield field, f"the state has no '{field}'{nearest(field, _STATE_FIELDS)}"


def _state_fields(tree: nodes.Template) -> Iterator[str]:
    """Yield what a template reads of the state: `state.trust` and `state["trust"]`."""
    for attribute in tree.find_all(nodes.Getattr):
        if isinstance(attribute.node, nodes.Name) and attribute.node.name == "state":
            yield attribute.attr
    for item in tree.find_all(nodes.Getitem):
        if isinstance(item.node, nodes.Name) and item.node.name == "state" and isinstance(item.arg, nodes.Const):
            yield str(item.arg.value)
