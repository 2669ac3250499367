"""Files that are too deep, too large, or larger than they look."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rfsn_core.contract.errors import ConfigError, WorldError
from rfsn_core.kit import documents
from rfsn_core.kit.documents import DocumentError, read_document
from rfsn_core.settings.source import load
from rfsn_core.testing import make_world
from rfsn_core.world.files import read_world


def bomb(levels: int) -> str:
    """YAML in which each level holds the one before twice."""
    lines = ["a0: &a0 {x: 1}"]
    lines += [f"a{n}: &a{n} {{l: *a{n - 1}, r: *a{n - 1}}}" for n in range(1, levels)]
    return "\n".join(lines)


def merging(levels: int) -> str:
    lines = ["a0: &a0 {x: 1, y: 2}"]
    lines += [f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}" for n in range(1, levels)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("x.yaml", bomb(30)),
        ("x.yaml", bomb(60)),
        ("x.yaml", merging(40)),
        ("x.yaml", "a: &a [*a]"),
        ("x.yaml", "a: &a {b: *a}"),
        ("x.yaml", "a: " + "[" * 60 + "]" * 60),
        ("x.yaml", "a: " + "[" * 5000 + "]" * 5000),
        ("x.yaml", "a: " + "{b: " * 5000 + "1" + "}" * 5000),
        ("x.yaml", "a: " + "9" * 5000),
        ("x.yaml", "a: 2001-99-99"),
        ("x.yaml", "? {a: b}\n: c"),
        ("x.json", "[" * 100_000),
        ("x.json", '{"a": ' + "9" * 5000 + "}"),
        ("x.json", '{"a": ' * 900 + "1" + "}" * 900),
        ("x.json", '{"a": ' + "[" * 300 + "]" * 300 + "}"),
        ("x.toml", "a = " + "[" * 20_000),
        ("x.toml", "a = " + "[" * 100 + "]" * 100),
        ("x.toml", "a = " + "{b = " * 100 + "1" + "}" * 100),
        ("x.toml", ".".join("a" * 3000) + " = 1"),
        ("x.toml", "[" + ".".join("a" * 3000) + "]\nb = 1"),
        ("x.toml", "a = " + "9" * 5000),
    ],
)
def test_what_is_too_deep_or_too_large_is_refused_in_words(tmp_path: Path, name: str, text: str) -> None:
    file = tmp_path / name
    file.write_text(text, "utf-8")
    with pytest.raises(DocumentError, match=r"x\.(yaml|json|toml)(, line \d+)?: cannot be (used|parsed): "):
        read_document(file)


def test_aliases_that_stand_for_little_are_fine(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text("base: &base {a: 1}\nother: {<<: *base, b: 2}\nsame: *base\n", "utf-8")
    document = read_document(file)
    assert document.values == {"base": {"a": 1}, "other": {"a": 1, "b": 2}, "same": {"a": 1}}
    assert document.where(("other", "b")).endswith("line 2: other.b")


def test_a_file_without_end_is_not_read_to_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "LARGEST", 1000)
    file = tmp_path / "x.toml"
    file.write_text("# " + "x" * 2000, "utf-8")
    with pytest.raises(DocumentError, match="is larger than"):
        read_document(file)


@pytest.mark.skipif(os.name == "nt", reason="needs /dev/zero")
def test_a_device_is_not_read_to_the_end(tmp_path: Path) -> None:
    (tmp_path / "x.toml").symlink_to("/dev/zero")
    with pytest.raises(DocumentError, match="is larger than"):
        read_document(tmp_path / "x.toml")


@pytest.mark.parametrize("depth", [60, 300, 3000, 20_000])
def test_settings_and_npcs_that_are_nested_too_deeply_are_refused(tmp_path: Path, depth: int) -> None:
    deep = "[" * depth + "]" * depth
    make_world(tmp_path, f"[world]\nseed = {deep}\n", npcs={"x": f'name = "X"\nknows = {deep}\n'})
    with pytest.raises(ConfigError, match=r"rfsn.toml.*(nested|inside each other)"):
        load(tmp_path / "rfsn.toml")
    with pytest.raises(WorldError, match=r"x.toml.*(nested|inside each other)"):
        read_world(tmp_path)
