"""Problems in files that people write, told by file, line and key."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
from pydantic import BaseModel, Field, SecretStr, ValidationError

from rfsn_core.kit.documents import read_document
from rfsn_core.kit.explain import explain_errors, nearest


class Inner(BaseModel, extra="forbid"):
    level: int = Field(0, le=9)
    key: SecretStr = Field(SecretStr(""), min_length=10)


class Model(BaseModel, extra="forbid"):
    name: str
    inner: Inner = Inner()
    several: list[Inner] = []
    either: list[str] | dict[str, list[str]] = []
    kind: Literal["a", "b"] = "a"


def told(path: Path, text: str) -> list[str]:
    path.write_text(text, "utf-8")
    document = read_document(path)
    with pytest.raises(ValidationError) as refused:
        Model.model_validate(document.values)
    return [line.removeprefix(f"{path}") for line in explain_errors(refused.value, document, Model)]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", [": name: is required"]),
        ('nam = "x"\nname = "x"', [", line 1: nam: no such setting; did you mean 'name'?"]),
        ('name = "x"\n[inner]\nlevl = 1', [", line 3: inner.levl: no such setting; did you mean 'level'?"]),
        (
            'name = "x"\n[[several]]\n[[several]]\nlevl = 1',
            [", line 4: several.1.levl: no such setting; did you mean 'level'?"],
        ),
        ('name = "x"\neither = 5', [", line 2: either: Input should be a valid list (is 5)"]),
        ('name = "x"\n[either]\na = 5', [", line 3: either.a: Input should be a valid list (is 5)"]),
        (
            'name = "x"\ninner = {level = 10}',
            [", line 2: inner.level: Input should be less than or equal to 9 (is 10)"],
        ),
        (
            'name = "x"\n[inner]\nkey = "hush"',
            [", line 3: inner.key: Value should have at least 10 items after validation, not 4"],
        ),
        ('name = "x"\ninner = 5', [", line 2: inner: must be a table (is 5)"]),
        ('name = "x"\nkind = "c"', [", line 2: kind: Input should be 'a' or 'b' (is 'c')"]),
    ],
)  # fmt: skip
def test_each_problem_is_one_line(tmp_path: Path, text: str, lines: list[str]) -> None:
    assert told(tmp_path / "x.toml", text) == lines


def test_the_nearest_name_is_found_in_capitals_too() -> None:
    assert nearest("GREET", ["greet", "farewell"]) == "; did you mean 'greet'?"
    assert nearest("dance", ["greet", "farewell"]) == "; there are: farewell, greet"
    assert nearest("dance", []) == ""
