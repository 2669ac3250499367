"""Prompt templates: Jinja2 for users, in a sandbox, with a limit on everything that a template can spend.

The sandbox keeps a template from other objects. It does not keep it from running endlessly or from filling the memory,
so every loop, call, filter and output is counted here, and looks at the clock. What makes text of any size in one step
(`center`, `format`, `indent(999999)` …) is left out or bounded, since no clock can stop a single step.
"""

from __future__ import annotations

import json
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from jinja2 import StrictUndefined, Template, TemplateError, TemplateSyntaxError, nodes, pass_context
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

MOST_STEPS = 50_000
"""Rounds of loops, calls and filters of one rendering together."""
LONGEST = 200_000
"""Characters, or entries, of one value that a template makes."""
MOST_BITS = 2000
"""Binary digits of a whole number."""
MOST_TEXT = 2_000_000
"""Characters that one rendering may make, those that it throws away included."""
SECONDS = 1.0
"""Time limit of one rendering."""
FAILURES = (
    TemplateError, TypeError, ValueError, ArithmeticError, AttributeError, LookupError, RecursionError, MemoryError,
    SyntaxError,
)  # fmt: skip
"""What parsing and rendering a template may raise."""

_FILTERS = frozenset(
    "abs capitalize count d default dictsort first float groupby int items last length list lower map max min reject"
    " rejectattr reverse select selectattr sort string sum title trim truncate unique upper wordcount".split()
)
"""Jinja's filters that stay; `indent`, `join`, `replace`, `round` and `tojson` have bounded versions."""
_GLOBALS = frozenset({"dict", "range"})
_STRING_METHODS = frozenset(
    "capitalize casefold count endswith find index isalnum isalpha isdigit islower isnumeric isspace istitle isupper"
    " lower lstrip partition removeprefix removesuffix rfind rpartition rsplit rstrip split splitlines startswith strip"
    " swapcase title upper".split()
)
_FORBIDDEN = {
    nodes.Include: "include", nodes.Import: "import", nodes.FromImport: "import", nodes.Extends: "extends",
}  # fmt: skip


class Budget:
    """What one rendering may still spend."""

    def __init__(self) -> None:
        self._steps, self._text = MOST_STEPS, MOST_TEXT
        self._until = time.monotonic() + SECONDS

    def step(self) -> None:
        """Count a step. Raises SecurityError when there were too many, or the time is over."""
        self._steps -= 1
        if self._steps < 0:
            raise SecurityError(f"more than {MOST_STEPS} iterations and calls")
        if time.monotonic() > self._until:
            raise SecurityError(f"takes longer than {SECONDS:g} s")

    def made(self, value: Any) -> Any:
        """Count a value that the template made, and return it. Raises SecurityError when it is too much."""
        self.spend(weight(value))
        return value

    def spend(self, characters: int) -> None:
        """Count characters. Raises SecurityError when there were too many."""
        self._text -= characters
        if self._text < 0:
            raise SecurityError(f"makes more than {MOST_TEXT} characters")


def weight(value: Any) -> int:
    """Return the characters and parts of a value, those inside it included. Raises SecurityError over `LONGEST`.

    A list that holds itself twice, thirty times over, is small, and takes years to print or to compare.
    """
    if isinstance(value, int):
        if value.bit_length() > MOST_BITS:
            raise SecurityError("a number that is too large")
        return 1
    total = 0
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, list | tuple | dict):
            total += len(item) + 1
            if total <= LONGEST:
                waiting.extend(item)
                if isinstance(item, dict):
                    waiting.extend(item.values())
        elif isinstance(item, str | bytes):
            total += len(item)
        if total > LONGEST:
            raise SecurityError(f"a value of more than {LONGEST} characters or parts")
    return total


def _budget(context: Context) -> Budget:
    budget = context.resolve("_budget")
    assert isinstance(budget, Budget)
    return budget


class PromptEnvironment(ImmutableSandboxedEnvironment):
    """Templates without files and without autoescaping, in which a misspelt name fails instead of coming out empty."""

    intercepted_binops = frozenset(["+", "-", "*", "**", "%"])

    def __init__(self) -> None:
        super().__init__(autoescape=False, undefined=StrictUndefined, finalize=_finalized)
        self.globals = {name: value for name, value in self.globals.items() if name in _GLOBALS}
        own = {name: _counted(function) for name, function in self.filters.items() if name in _FILTERS}
        self.filters = own | {
            "indent": _indent, "join": _join, "replace": _replace, "round": _round, "tojson": _to_json,
            "_rounds": _rounds, "_made": _made, "_concat": _concat,
        }  # fmt: skip

    def compile(self, source: str | nodes.Template, *arguments: Any, **named: Any) -> Any:
        """Compile as usual, with the counters put in. Raises TemplateSyntaxError for what is not possible here."""
        tree = self.parse(source) if isinstance(source, str) else source
        for node in list(tree.find_all(tuple(_FORBIDDEN))):
            raise TemplateSyntaxError(f"'{_FORBIDDEN[type(node)]}' is not possible in a prompt", node.lineno)
        for loop in tree.find_all(nodes.For):
            if loop.recursive:
                raise TemplateSyntaxError("a recursive loop is not possible in a prompt", loop.lineno)
            written = nodes.Const(sum(len(data.data) for data in loop.find_all(nodes.TemplateData)))
            loop.iter = nodes.Filter(loop.iter, "_rounds", [written], [], None, None, lineno=loop.lineno)
        for assignment in tree.find_all(nodes.AssignBlock):
            _bound_block(assignment)
        for block in tree.find_all(nodes.FilterBlock):
            _bound_block(block)
        _bound_values(tree)
        return super().compile(tree, *arguments, **named)

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        """Return no wrapped `str.format`: a format can be as wide as one writes, so it is no attribute at all."""
        return None

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Return whether a template may read an attribute; of texts, only methods that make nothing longer."""
        if isinstance(obj, str | bytes):
            return attr in _STRING_METHODS
        return super().is_safe_attribute(obj, attr, value)

    def call(self, context: Context, obj: Any, *arguments: Any, **named: Any) -> Any:
        """Call something, and count it."""
        budget = _budget(context)
        budget.step()
        weight([*arguments, *named.values()])
        return budget.made(super().call(context, obj, *arguments, **named))

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Apply an operator, within bounds. Raises SecurityError."""
        _check_binop(operator, left, right)
        return _budget(context).made(super().call_binop(context, operator, left, right))

    def render(self, template: Template, **values: Any) -> str:
        """Fill in a template. Raises one of `FAILURES`."""
        return template.render(values, _budget=Budget())


def _check_binop(operator: str, left: Any, right: Any) -> None:
    if operator == "%" and isinstance(left, str | bytes):
        raise SecurityError("'%' works with numbers only; use '~' for texts")
    if operator == "*":
        for one, other in ((left, right), (right, left)):
            if (
                isinstance(one, str | bytes | list | tuple)
                and isinstance(other, int)
                and len(one) * abs(other) > LONGEST
            ):
                raise SecurityError(f"a product of more than {LONGEST} parts")
    if operator == "**" and isinstance(left, int) and isinstance(right, int):
        if left.bit_length() * abs(right) > MOST_BITS:
            raise SecurityError(f"a power of more than {MOST_BITS} binary digits")


def _bound_block(block: nodes.AssignBlock | nodes.FilterBlock) -> None:
    """Count what a block makes, before its own filters see it."""
    made = nodes.Filter(None, "_made", [], [], None, None, lineno=block.lineno)
    if block.filter is None:
        block.filter = made
        return
    innermost = block.filter
    while isinstance(innermost.node, nodes.Filter):
        innermost = innermost.node
    innermost.node = made


def _bound_values(node: nodes.Node) -> None:
    """Put a counting filter around each value that is made without a call: `~`, slices, lists and tables."""
    for name, value in node.iter_fields():
        if isinstance(value, nodes.Node):
            setattr(node, name, _bounded(value))
        elif isinstance(value, list):
            value[:] = [_bounded(item) if isinstance(item, nodes.Node) else item for item in value]


def _bounded(node: nodes.Node) -> nodes.Node:
    _bound_values(node)
    makes = isinstance(node, nodes.List | nodes.Dict) or (isinstance(node, nodes.Tuple) and node.ctx == "load")
    if isinstance(node, nodes.Concat):
        parts = nodes.List(node.nodes, lineno=node.lineno)
        return nodes.Filter(parts, "_concat", [], [], None, None, lineno=node.lineno)
    if makes or (isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Slice)):
        return nodes.Filter(node, "_made", [], [], None, None, lineno=node.lineno)
    return node


# ── counted filters ──────────────────────────────────────────────────────────────────────────────


@pass_context
def _finalized(context: Context, value: Any) -> Any:
    """Count what a template puts out."""
    budget = _budget(context)
    budget.step()
    budget.made(value)
    return value


def _counted(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a filter of Jinja's that counts its calls and results."""
    wanted = getattr(getattr(function, "jinja_pass_arg", None), "name", "")

    @pass_context
    def counted(context: Context, *arguments: Any, **named: Any) -> Any:
        budget = _budget(context)
        budget.step()
        weight([*arguments, *named.values()])
        first = {"context": context, "environment": context.environment, "eval_context": context.eval_ctx}.get(wanted)
        result = function(*(() if first is None else (first,)), *arguments, **named)
        return _each(budget, result) if isinstance(result, Iterator) else budget.made(result)

    return counted


def _each(budget: Budget, items: Iterable[Any]) -> Iterator[Any]:
    for item in items:
        budget.step()
        yield item


@pass_context
def _rounds(context: Context, items: Iterable[Any], written: int) -> Iterator[Any]:
    """Count the rounds of a loop, and the text that stands in it."""
    budget = _budget(context)
    for item in items:
        budget.step()
        budget.spend(written)
        yield item


@pass_context
def _made(context: Context, value: Any) -> Any:
    return _budget(context).made(value)


@pass_context
def _concat(context: Context, parts: list[Any]) -> str:
    weight(parts)
    texts = [str(part) for part in parts]
    return str(_budget(context).made("".join(texts)))


@pass_context
def _join(context: Context, items: Iterable[Any], by: str = "", attribute: str | None = None) -> str:
    budget = _budget(context)
    texts: list[str] = []
    length = 0
    for item in items:
        budget.step()
        value = context.environment.getitem(item, attribute) if attribute is not None else item
        weight(value)
        texts.append(str(value))
        length += len(texts[-1]) + len(by)
        if length > LONGEST:
            raise SecurityError(f"a value of more than {LONGEST} characters or parts")
    return str(budget.made(by.join(texts)))


@pass_context
def _replace(context: Context, text: Any, old: Any, new: Any) -> str:
    weight([text, old, new])
    text, old, new = str(text), str(old), str(new)
    if len(text) + text.count(old) * max(0, len(new) - len(old)) > LONGEST:
        raise SecurityError(f"a value of more than {LONGEST} characters or parts")
    return str(_budget(context).made(text.replace(old, new)))


def _round(value: float, precision: int = 0) -> float:
    return round(float(value), max(0, min(int(precision), 10)))


@pass_context
def _indent(context: Context, text: Any, width: int = 4, first: bool = False, blank: bool = False) -> str:
    weight(text)
    space = " " * min(int(width), 40)
    lines = str(text).splitlines()
    if len(lines) * len(space) > LONGEST:
        raise SecurityError(f"a value of more than {LONGEST} characters or parts")
    indented = [space + line if line or blank else line for line in lines]
    if indented and not first:
        indented[0] = lines[0]
    return str(_budget(context).made("\n".join(indented)))


@pass_context
def _to_json(context: Context, value: Any) -> str:
    weight(value)
    return str(_budget(context).made(json.dumps(value, ensure_ascii=False, default=str)))


def failure(error: BaseException) -> str:
    """Return what went wrong in a template, with its line where it is known."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == "<template>"]
    return f"line {lines[-1]}: {error}" if lines else str(error)


_CHECKING = PromptEnvironment()


def syntax_problem(text: str) -> tuple[int, str] | None:
    """Return (line, message) of what is broken in a prompt template, or None."""
    if len(text) > LONGEST:
        return 1, f"is longer than {LONGEST} characters"
    try:
        _CHECKING.from_string(text)
    except TemplateSyntaxError as error:
        return error.lineno, error.message or "syntax error"
    except FAILURES as error:  # such as Python's own limit on nested brackets
        return 1, f"cannot be compiled: {type(error).__name__}: {error}"
    return None
