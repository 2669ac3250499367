from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rfsn_core.kit import toml_text

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
VALUES = st.recursive(
    TEXT | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=12,
)


def normal(value: object) -> object:
    """Line ends are the only thing that is not kept."""
    if isinstance(value, str):
        return value.replace("\r\n", "\n").replace("\r", "\n")
    if isinstance(value, dict):
        return {key: normal(item) for key, item in value.items()}
    return [normal(item) for item in value] if isinstance(value, list) else value


@given(st.dictionaries(TEXT, VALUES, max_size=4))
def test_what_is_written_is_what_is_read(values: dict[str, object]) -> None:
    assert tomllib.loads(toml_text(values)) == normal(values)


def test_it_looks_as_a_person_would_write_it() -> None:
    values = {"name": "Tilda", "knows": [{"text": "a"}, {"text": "b"}], "voice": {"rate": 1.5}, "persona": "One.\nTwo."}
    assert toml_text(values) == (
        'name = "Tilda"\npersona = """\nOne.\nTwo."""\n\n[[knows]]\ntext = "a"\n\n[[knows]]\ntext = "b"\n\n'
        "[voice]\nrate = 1.5\n"
    )


def test_what_has_no_word_is_refused() -> None:
    with pytest.raises(TypeError, match="set"):
        toml_text({"a": {1}})
