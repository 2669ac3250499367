"""What is wrong in a file that people write, one line for each problem: file, line, key, and the nearest valid key."""

from __future__ import annotations

import dataclasses
import difflib
import types
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from rfsn_core.contract.errors import ConfigError
from rfsn_core.kit.documents import DocumentError, read_document
from rfsn_core.telemetry.redaction import SECRET_NAME, SECRETS

ModelT = TypeVar("ModelT", bound=BaseModel)


class Located(Protocol):
    """Something that knows where its keys are, such as a `Document`."""

    def where(self, key: Sequence[str | int]) -> str:
        """Return `file, line 3: key`."""


def read_model(path: Path, model: type[ModelT]) -> ModelT:
    """Return a file's values as a model. Raises ConfigError with every problem: file, line and key."""
    try:
        document = read_document(path)
        return model.model_validate(document.values)
    except DocumentError as error:
        raise ConfigError([str(error)]) from error
    except ValidationError as error:
        raise ConfigError(explain_errors(error, document, model)) from error


def explain_errors(error: ValidationError, source: Located, model: Any, prefix: Sequence[str | int] = ()) -> list[str]:
    """Return one line for each problem that pydantic found.

    :param model: the pydantic model that was validated, for the nearest valid key.
    :param prefix: the key of the table in the file that was validated.
    """
    problems = []
    for problem in error.errors():
        # pydantic adds the member of a union (`list[str]`) and `[key]` to the path; neither is in the file.
        path = [part for part in problem["loc"] if not (isinstance(part, str) and "[" in part)]
        problems.append((path, len(path) < len(problem["loc"]), problem))
    lines: dict[tuple[str | int, ...], str] = {}
    for path, of_union, problem in problems:
        if of_union and any(len(other) > len(path) and other[: len(path)] == path for other, *_ in problems):
            continue  # another member of the union fits better: its problem lies deeper
        key = [*prefix, *path]
        if tuple(key) in lines:
            continue
        where = source.where(key)
        if problem["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
            lines[tuple(key)] = f"{where}: no such setting{nearest(str(key[-1]), _fields(model, path[:-1]))}"
        elif problem["type"] == "missing":
            lines[tuple(key)] = f"{where}: is required"
        else:
            value = problem.get("input")
            shown = isinstance(value, str | int | float | bool) and not _is_secret(model, path)
            message = problem["msg"].removeprefix("Value error, ")
            if problem["type"] in ("model_type", "dataclass_type", "dict_type"):
                message = "must be a table"  # pydantic names its own class here
            lines[tuple(key)] = f"{where}: {message}" + (f" (is {value!r:.60})" if shown else "")
    return [SECRETS.redact(line) for line in lines.values()]


def nearest(name: str, names: Iterable[str]) -> str:
    """Return `; did you mean 'x'?`, or the list of what there is."""
    names = list(names)
    close = difflib.get_close_matches(name, names, 1, 0.6)
    if not close:
        lowered = {other.casefold(): other for other in names}
        close = [lowered[near] for near in difflib.get_close_matches(name.casefold(), lowered, 1, 0.6)]
    if close:
        return f"; did you mean '{close[0]}'?"
    return f"; there are: {', '.join(sorted(names))}" if names else ""


def _model_at(model: Any, path: Sequence[Any]) -> Any:
    """Return the type of the value at a path: a model, or anything else."""
    for part in path:
        if isinstance(part, int):
            continue
        model = _unwrapped(model)
        if isinstance(model, type) and issubclass(model, BaseModel):
            field = model.model_fields.get(part)
            model = field.annotation if field else None
        elif isinstance(model, type) and dataclasses.is_dataclass(model):
            model = getattr(model, "__pydantic_fields__", {}).get(part)
            model = model.annotation if model else None
        else:
            model = None
    return _unwrapped(model)


def _unwrapped(model: Any) -> Any:
    """Return the type of a list's entries, or the first member of a union; else the type itself."""
    while get_origin(model) in (list, tuple, Union, types.UnionType):
        model = get_args(model)[0]
    return model


def _fields(model: Any, path: Sequence[Any]) -> list[str]:
    found = _model_at(model, path)
    if isinstance(found, type) and issubclass(found, BaseModel):
        return list(found.model_fields)
    return list(getattr(found, "__pydantic_fields__", ()))


def _is_secret(model: Any, path: Sequence[Any]) -> bool:
    named = bool(path) and SECRET_NAME.search(str(path[-1])) is not None
    return named or getattr(_model_at(model, path), "__name__", "") == "SecretStr"
