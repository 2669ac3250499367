"""The tree of errors in the module's docstring is the tree."""

from __future__ import annotations

import re

from rfsn_core.contract import errors
from rfsn_core.contract.errors import RfsnError


def tree(error: type[RfsnError], depth: int = 2) -> list[tuple[int, str]]:
    below = [
        line
        for child in error.__subclasses__()
        if child.__module__ == errors.__name__
        for line in tree(child, depth + 1)
    ]
    return [(depth, error.__name__), *below]


def test_the_docstring_shows_every_error_below_its_parent() -> None:
    shown = re.findall(r"^( +)(\w+)(?: {2,}.*)?$", errors.__doc__ or "", re.MULTILINE)
    assert sorted((len(indent) // 2, name) for indent, name in shown) == sorted(tree(RfsnError))


def test_no_error_is_defined_elsewhere() -> None:
    from rfsn_core.server import app  # noqa: F401  imports every room

    for _, name in tree(RfsnError):
        for child in getattr(errors, name).__subclasses__():
            assert child.__module__ == errors.__name__, child


def test_every_error_has_a_code_of_its_own() -> None:
    codes = [getattr(errors, name).code for _, name in tree(RfsnError)]
    assert len(codes) == len(set(codes))
