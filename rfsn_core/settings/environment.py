"""Settings from the environment: `RFSN_RENDERING__PROVIDER=scripted` is `provider` in `[rendering]`.

Two underscores stand for a dot. Nothing that stands in a variable ends in a traceback: what cannot be used is a
problem (the server does not start) or a warning, with the variable's name.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping
from typing import Any, get_args, get_origin

from pydantic import BaseModel

from rfsn_core.kit.explain import nearest
from rfsn_core.settings.schema import Settings

PREFIX = "RFSN_"
NOT_SETTINGS = frozenset({"RFSN_WORLD", "RFSN_PLUGINS", "RFSN_BLOCK", "RFSN_TRACE_PLUGINS", "RFSN_TRUST"})
"""Variables that have another meaning."""


class EnvironmentValues:
    """What the environment says.

    Attributes: `values`, nested tables as a settings file would hold them; `variables`, key → variable; `problems`
    and `warnings`, one line each.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.values: dict[str, Any] = {}
        self.variables: dict[tuple[str, ...], str] = {}
        self.problems: list[str] = []
        self.warnings: list[str] = []
        for variable in sorted(environment):
            if variable.upper().startswith(PREFIX) and variable.upper() not in NOT_SETTINGS:
                self._take(variable, environment[variable])

    def variable(self, key: tuple[str, ...]) -> str:
        """Return the variable that set a key or a table around it; empty if none did."""
        for length in range(len(key), 0, -1):
            if variable := self.variables.get(key[:length]):
                return variable
        below = [path for path in self.variables if path[: len(key)] == key]
        return self.variables[min(below)] if below else ""

    def _take(self, variable: str, text: str) -> None:
        key = tuple(variable[len(PREFIX) :].lower().split("__"))
        table = key[0]
        if table not in Settings.model_fields:
            self._unknown(variable, key)
        elif not all(key):
            self.problems.append(f"{variable}: cannot be read; write RFSN_TABLE__KEY, with two underscores")
        elif len(key) == 1 and _is_model(Settings.model_fields[table].annotation):
            self.problems.append(f"{variable}: '{table}' is a table, not a setting{_did_you_mean(variable)}")
        elif len(key) == 1 and not text:
            pass  # as if it were not set: compose files hand on variables that are empty
        else:
            self._put(variable, key, text)

    def _unknown(self, variable: str, key: tuple[str, ...]) -> None:
        if len(key) > 1:
            self.problems.append(f"{variable}: no settings table '{key[0]}'{nearest(key[0], Settings.model_fields)}")
        elif not variable.startswith("RFSN_TEST_"):
            # Not a problem: Kubernetes, for one, sets RFSN_PORT in the containers that see a service called rfsn.
            self.warnings.append(f"{variable}: is not a setting, and is ignored{_did_you_mean(variable)}")

    def _put(self, variable: str, key: tuple[str, ...], text: str) -> None:
        try:
            value = _value(key, text)
        except ValueError as error:
            self.problems.append(f"{variable}: {'.'.join(key)}: {error}")
            return
        table = self.values
        for length, part in enumerate(key[:-1], 1):
            table = table.setdefault(part, {})
            if not isinstance(table, dict):
                other = self.variables[key[:length]]
                self.problems.append(
                    f"{variable}: contradicts {other}, which sets the whole of {'.'.join(key[:length])}"
                )
                return
        if isinstance(value, dict) and isinstance(table.get(key[-1]), dict):
            value = {**value, **table[key[-1]]}
        table[key[-1]] = value
        self.variables[key] = variable


def _value(key: tuple[str, ...], text: str) -> Any:
    """Return a variable's text as the value it stands for. Raises ValueError that says how to write it."""
    wanted = _annotation(key)
    if wanted is None:  # a provider's own setting, whose type is not known here
        if text.lstrip()[:1] in ("[", "{"):
            try:
                return json.loads(text)
            except (ValueError, RecursionError):
                return text
        return text
    kind = get_origin(wanted) or wanted
    if kind in (list, tuple):
        return _parsed(text, list, """a list, such as '["one", "two"]'""")
    if kind is dict or _is_model(wanted):
        return _parsed(text, dict, """a table, such as '{"key": "value"}'""")
    return text


def _parsed(text: str, kind: type, wanted: str) -> Any:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, kind):
        raise ValueError(f"must be {wanted} (is {text!r:.60})")
    return value


def _annotation(key: tuple[str, ...]) -> Any:
    """Return a setting's type, or None when it is not in the schema."""
    model: Any = Settings
    for part in key:
        if not _is_model(model):
            return get_args(model)[1] if get_origin(model) is dict else None
        field = model.model_fields.get(part)
        if field is None:
            return None
        model = field.annotation
    return model


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _did_you_mean(variable: str) -> str:
    """Return the variable that was probably meant."""
    name = variable[len(PREFIX) :].upper()
    known = dict(_known())
    leaves = [other for other, leaf in known.items() if leaf == name]
    if name.lower() in Settings.model_fields:  # a table: its provider, or any of its settings
        inside = [other for other in known if other.startswith(f"{PREFIX}{name}__")]
        leaves = [other for other in inside if other.endswith(("__PROVIDER", "__PROVIDERS"))] or inside
    flat = {other.replace("__", "_"): other for other in (*known, *NOT_SETTINGS)}
    close = leaves or [flat[near] for near in difflib.get_close_matches(variable.upper(), flat, 1, 0.75)]
    if not close:
        close = [other for other, leaf in known.items() if difflib.SequenceMatcher(None, leaf, name).ratio() > 0.8]
    return f"; did you mean {close[0]}?" if close else ""


def _known(model: type[BaseModel] = Settings, prefix: str = PREFIX) -> Iterator[tuple[str, str]]:
    """Yield (variable, its last part) of every setting."""
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _known(field.annotation, f"{prefix}{name.upper()}__")
        else:
            yield f"{prefix}{name.upper()}", name.upper()
