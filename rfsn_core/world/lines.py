"""The language of scripted lines: names, conditions and a few filters, and nothing that can call, loop or grow.

It is written as in Jinja2, and parsed by Jinja2's parser, but nothing is compiled: the parsed tree is walked once, so a
line takes as long as it is long.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from jinja2 import Environment, TemplateSyntaxError, nodes

from rfsn_core.contract.npc import NpcState
from rfsn_core.contract.rendering import Known
from rfsn_core.kit.explain import nearest

LONGEST = 4000
"""Characters of a line as it is written, and as it is said."""
DEEPEST = 50
"""How many brackets, conditions or operators may be inside each other."""
VARIABLES = (
    "name", "player", "player_name", "style", "state", "known", "signal", "asks", "topics", "named", "memories", "game",
)  # fmt: skip
"""What a line can use; docs/worlds.md describes it."""
FIELDS = {"state": tuple(NpcState().plain()), "known": tuple(Known.__dataclass_fields__)}
"""What `state` and `known` have."""
FILTERS: dict[str, Callable[[str], str]] = {
    "upper": str.upper,
    "lower": str.lower,
    "capitalize": str.capitalize,
    "title": str.title,
    "trim": str.strip,
}
"""Filters of a text."""
OTHER_FILTERS = ("default", "round")
_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "eq": operator.eq, "ne": operator.ne, "gt": operator.gt, "gteq": operator.ge, "lt": operator.lt,
    "lteq": operator.le,
    "in": lambda value, many: value in many, "notin": lambda value, many: value not in many,
}  # fmt: skip
_ARITHMETIC: dict[type[nodes.Expr], Callable[[float, float], float]] = {
    nodes.Add: operator.add,
    nodes.Sub: operator.sub,
}
_NAMES = {
    nodes.For: "a loop", nodes.Macro: "a macro", nodes.CallBlock: "a call", nodes.Call: "a call",
    nodes.Assign: "an assignment", nodes.AssignBlock: "an assignment", nodes.Include: "an include",
    nodes.Import: "an import", nodes.FromImport: "an import", nodes.Extends: "an extends", nodes.Block: "a block",
    nodes.With: "a with", nodes.FilterBlock: "a filter block", nodes.Slice: "a slice", nodes.Mul: "a product",
    nodes.Pow: "a power", nodes.Div: "a division", nodes.FloorDiv: "a division", nodes.Mod: "a remainder",
    nodes.Concat: "~",
}  # fmt: skip
_PARSER = Environment(autoescape=False)


class LineError(ValueError):
    """A line that is not in the language, or cannot be filled in.

    :param word: stands in the line where it is wrong.
    """

    def __init__(self, message: str, word: str = "") -> None:
        super().__init__(message)
        self.word = word


class Line:
    """A line that was parsed and judged."""

    def __init__(self, text: str) -> None:
        """Parse a line. Raises LineError for anything that is not in the language."""
        if len(text) > LONGEST:
            raise LineError(f"is longer than {LONGEST} characters", text[:20])
        self._plain = text if "{" not in text else None
        if self._plain is not None:
            return
        try:
            self._body = _PARSER.parse(text).body
        except TemplateSyntaxError as error:
            word = (text.splitlines() or [""])[min(error.lineno, len(text.splitlines())) - 1]
            raise LineError(f"broken template: {error.message or 'syntax error'}", word) from error
        except RecursionError as error:
            raise LineError("broken template: too deeply nested", text[:20]) from error
        for node in self._body:
            _judge(node, DEEPEST)

    def fill(self, values: Mapping[str, Any]) -> str:
        """Return the line with its values. Raises LineError."""
        if self._plain is not None:
            return self._plain
        pieces: list[str] = []
        length = 0
        for piece in _pieces(self._body, values):
            length += len(piece)
            if length > LONGEST:
                raise LineError(f"becomes longer than {LONGEST} characters")
            pieces.append(piece)
        return "".join(pieces)


@lru_cache(10_000)
def parsed(text: str) -> Line | LineError:
    """Return a line, or why it is none."""
    try:
        return Line(text)
    except LineError as error:
        return error


def fill(text: str, values: Mapping[str, Any]) -> str:
    """Return a line with its values. Raises LineError."""
    line = parsed(text)
    if isinstance(line, LineError):
        raise line
    return line.fill(values)


def problem(text: str) -> LineError | None:
    """Return what is wrong with a line, or None."""
    line = parsed(text)
    return line if isinstance(line, LineError) else None


# ── judging ──────────────────────────────────────────────────────────────────────────────────────


def _judge(node: nodes.Node, deep: int) -> None:
    """Raise LineError for a part that is not in the language."""
    if not deep:
        raise LineError(f"broken template: more than {DEEPEST} parts inside each other")
    if isinstance(node, nodes.Name):
        if node.name not in VARIABLES:
            raise LineError(f"no variable '{node.name}' in scripted lines{nearest(node.name, VARIABLES)}", node.name)
    elif isinstance(node, nodes.Getattr | nodes.Getitem):
        _judge_field(node)
    elif isinstance(node, nodes.Filter):
        _judge_filter(node)
    elif isinstance(node, nodes.Test):
        if node.name not in ("defined", "none") or node.args or node.kwargs:
            raise LineError(f"no test '{node.name}' in scripted lines; there are: defined, none", node.name)
    elif isinstance(node, nodes.Compare):
        for operand in node.ops:
            if operand.op not in _COMPARISONS:
                raise LineError(f"no comparison '{operand.op}' in scripted lines")
    elif not isinstance(node, _PLAIN):
        what = _NAMES.get(type(node), f"'{type(node).__name__.lower()}'")
        allowed = "there are names, conditions, comparisons, and, or, not, + and -, and filters"
        raise LineError(f"broken template: {what} is not possible in scripted lines; {allowed}")
    for child in node.iter_child_nodes():
        _judge(child, deep - 1)


_PLAIN: tuple[type[nodes.Node], ...] = (
    nodes.Output, nodes.TemplateData, nodes.If, nodes.CondExpr, nodes.Const, nodes.And, nodes.Or, nodes.Not,
    nodes.Operand, nodes.Neg, nodes.Pos, nodes.List, nodes.Tuple, *_ARITHMETIC,
)  # fmt: skip
"""What needs no closer look."""


def _judge_field(node: nodes.Getattr | nodes.Getitem) -> None:
    key = node.attr if isinstance(node, nodes.Getattr) else _constant(node.arg)
    owner = node.node.name if isinstance(node.node, nodes.Name) else ""
    if owner not in (*FIELDS, "game") or not isinstance(key, str):
        raise LineError(
            f"only 'state', 'known' and 'game' have parts in scripted lines, not '{owner or key}'", str(key)
        )
    if owner in FIELDS and key not in FIELDS[owner]:
        of = "the state" if owner == "state" else "'known'"
        raise LineError(f"{of} has no '{key}'{nearest(key, FIELDS[owner])}", key)


def _judge_filter(node: nodes.Filter) -> None:
    names = (*FILTERS, *OTHER_FILTERS)
    if node.node is None or node.name not in names:
        raise LineError(f"no filter '{node.name}' in scripted lines; there are: {', '.join(names)}", node.name)
    most = 1 if node.name in OTHER_FILTERS else 0
    if len(node.args) > most or node.kwargs or node.dyn_args is not None or node.dyn_kwargs is not None:
        raise LineError(f"the filter '{node.name}' takes {'one value' if most else 'no values'}", node.name)
    if node.name == "round" and node.args and _constant(node.args[0]) not in (0, 1, 2, 3):
        raise LineError("'round' takes the number of decimals, 0 to 3", "round")


def _constant(node: nodes.Node) -> Any:
    return node.value if isinstance(node, nodes.Const) else None


# ── filling in ───────────────────────────────────────────────────────────────────────────────────


def _pieces(body: list[nodes.Node], values: Mapping[str, Any]) -> Iterator[str]:
    for node in body:
        if isinstance(node, nodes.Output):
            for part in node.nodes:
                yield part.data if isinstance(part, nodes.TemplateData) else _shown(_value(part, values))
        elif isinstance(node, nodes.If):
            branches = [(node.test, node.body), *((other.test, other.body) for other in node.elif_)]
            chosen = next((inside for test, inside in branches if _value(test, values)), node.else_)
            yield from _pieces(chosen, values)


def _shown(value: Any) -> str:
    return "" if value is None else str(value)


def _value(node: nodes.Node, values: Mapping[str, Any]) -> Any:
    """Return the value of an expression; None stands for one that is missing. Raises LineError."""
    if isinstance(node, nodes.Const):
        return node.value
    if isinstance(node, nodes.Name):
        return values.get(node.name)
    if isinstance(node, nodes.Getattr | nodes.Getitem):
        owner = _value(node.node, values)
        key = node.attr if isinstance(node, nodes.Getattr) else _constant(node.arg)
        return owner.get(key) if isinstance(owner, Mapping) else getattr(owner, str(key), None)
    if isinstance(node, nodes.CondExpr):
        if _value(node.test, values):
            return _value(node.expr1, values)
        return None if node.expr2 is None else _value(node.expr2, values)
    if isinstance(node, nodes.List | nodes.Tuple):
        return [_value(item, values) for item in node.items]
    if isinstance(node, nodes.Filter):
        return _filtered(node, values)
    if isinstance(node, nodes.Test):
        return (_value(node.node, values) is None) is (node.name == "none")
    try:
        return _operated(node, values)
    except (TypeError, ValueError, ArithmeticError) as error:
        raise LineError(str(error)) from error


def _operated(node: nodes.Node, values: Mapping[str, Any]) -> Any:
    if isinstance(node, nodes.And):
        return _value(node.left, values) and _value(node.right, values)
    if isinstance(node, nodes.Or):
        return _value(node.left, values) or _value(node.right, values)
    if isinstance(node, nodes.Not):
        return not _value(node.node, values)
    if isinstance(node, nodes.Neg | nodes.Pos):
        return (operator.neg if isinstance(node, nodes.Neg) else operator.pos)(_value(node.node, values))
    if isinstance(node, nodes.Compare):
        left = _value(node.expr, values)
        for operand in node.ops:
            right = _value(operand.expr, values)
            if not _COMPARISONS[operand.op](left, right):
                return False
            left = right
        return True
    if isinstance(node, nodes.Add | nodes.Sub):
        left, right = _value(node.left, values), _value(node.right, values)
        if isinstance(left, str) and isinstance(right, str) and len(left) + len(right) > LONGEST:
            raise LineError(f"becomes longer than {LONGEST} characters")
        return _ARITHMETIC[type(node)](left, right)
    raise LineError(f"not in the language: {type(node).__name__}")


def _filtered(node: nodes.Filter, values: Mapping[str, Any]) -> Any:
    value = _value(node.node, values) if node.node is not None else None
    if node.name == "default":
        return value if value is not None else _value(node.args[0], values) if node.args else ""
    if node.name == "round":
        if not isinstance(value, int | float):
            raise LineError("'round' needs a number")
        return round(value, (_constant(node.args[0]) or None) if node.args else None)
    return FILTERS[node.name](_shown(value))
