"""Generates the tables of protocol.md, configuration.md, operating.md and architecture.md.

uv run docs/generate.py           # rewrite the text between the markers
uv run docs/generate.py --check   # exit with code 1 when a table is out of date
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
import textwrap
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import inspect as types
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from rfsn_core import protocol
from rfsn_core.contract import errors
from rfsn_core.contract.stages import STAGES
from rfsn_core.plugins.discovery import discover
from rfsn_core.protocol.schema import messages
from rfsn_core.settings.schema import GatingStage, Settings, Stage, StageWithFallback
from rfsn_core.telemetry.metrics import METRICS

DOCS = Path(__file__).parent


# ── the protocol ─────────────────────────────────────────────────────────────────────────────────


def field_docs(struct: type) -> dict[str, str]:
    """Return the docstring below each field in the source."""
    docs: dict[str, str] = {}
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(struct))).body
    assert isinstance(definition, ast.ClassDef)
    for field, after in zip(definition.body, definition.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(after, ast.Expr):
            assert isinstance(after.value, ast.Constant)
            docs[field.target.id] = " ".join(str(after.value.value).split())
    return docs


def shown(kind: types.Type) -> str:
    """Return a field's type in words."""
    match kind:
        case types.StrType(min_length=low, max_length=high):
            return "string" + (f", {low or 0}–{high} characters" if high else "")
        case types.IntType(ge=low):
            return "integer" + (f" ≥ {low}" if low is not None else "")
        case types.FloatType():
            return "number"
        case types.BoolType():
            return "boolean"
        case types.DictType():
            return "object"
        case types.ListType(item_type=item):
            return f"list of {shown(item)}"
        case types.StructType(cls=struct):
            return f"[{struct.__name__}](#{struct.__name__.lower()})"
        case types.UnionType(types=members):
            return " or ".join(shown(member) for member in members)
        case types.NoneType():
            return "null"
        case types.LiteralType(values=values):
            return " or ".join(f"`{value}`" for value in values)
    raise TypeError(kind)


def table(struct: type[msgspec.Struct]) -> str:
    """Return the table of a struct's fields."""
    docs = field_docs(struct)
    rows = []
    info = types.type_info(struct)
    assert isinstance(info, types.StructType)
    for field in info.fields:
        default = ""
        if not field.required:
            value = field.default if field.default is not msgspec.NODEFAULT else None
            optional = value is msgspec.UNSET
            default = "left out" if optional else f"`{msgspec.json.encode(value).decode()}`"
            if field.default_factory is not msgspec.NODEFAULT:
                default = f"`{msgspec.json.encode(field.default_factory()).decode()}`"
        rows.append(f"| `{field.name}` | {shown(field.type)} | {default} | {docs.get(field.name, '')} |")
    if not rows:
        return "No fields.\n"
    return "| field | type | default | |\n|---|---|---|---|\n" + "\n".join(rows) + "\n"


def parts() -> list[type[msgspec.Struct]]:
    """Return the structs that are parts of messages."""
    return [
        protocol.NpcInfo, protocol.Candidate, protocol.Veto, protocol.Viseme, protocol.Latency, protocol.Trace,
        protocol.Usage, protocol.Report,
    ]  # fmt: skip


def direction(union: Any) -> Iterator[str]:
    for tag, struct in messages(union).items():
        yield f"### `{tag}`\n\n{' '.join((struct.__doc__ or '').split())}\n\n{table(struct)}"


def client_messages() -> str:
    return "\n".join(direction(protocol.ClientMessage))


def server_messages() -> str:
    return "\n".join(direction(protocol.ServerMessage))


def shared_parts() -> str:
    return "\n".join(
        f"### {part.__name__}\n\n{' '.join((part.__doc__ or '').split())}\n\n{table(part)}" for part in parts()
    )


def error_codes() -> str:
    rows = []
    for error in vars(errors).values():
        if isinstance(error, type) and issubclass(error, errors.RfsnError):
            rows.append(f"| `{error.code}` | {' '.join((error.__doc__ or '').split()).split('. ')[0].rstrip('.')} |")
    extra = [
        "| `rate_limited` | More messages than `server.messages_per_second`; they are handled, later |",
    ]
    return "| code | |\n|---|---|\n" + "\n".join([*rows, *extra]) + "\n"


# ── settings ─────────────────────────────────────────────────────────────────────────────────────


def settings_table(model: type[BaseModel]) -> str:
    return rows_of(model.model_fields)


def rows_of(fields: Mapping[str, FieldInfo]) -> str:
    rows = []
    for name, field in fields.items():
        value = None if field.is_required() else field.get_default(call_default_factory=True)
        default = "required" if field.is_required() else f"`{toml(value)}`"
        if isinstance(value, list) and len(default) > 200:
            default = f"{len(value)} entries"
        rows.append(f"| `{name}` | {default} | {field.description or ''} |")
    return "| key | default | |\n|---|---|---|\n" + "\n".join(rows) + "\n" if rows else "Nothing to set.\n"


def nested(model: type[BaseModel], path: str) -> Iterator[str]:
    """Yield the tables inside a table."""
    for name, field in model.model_fields.items():
        inner = (getattr(field.annotation, "__args__", None) or (field.annotation,))[0]
        fields = getattr(inner, "__pydantic_fields__", None)
        if fields is not None:
            title = f"[{path}.{name}]" if inner is field.annotation else f"[[{path}.{name}]]"
            yield f"#### `{title}`\n\n{rows_of(fields)}"
            for key, deeper in fields.items():
                if (within := getattr((getattr(deeper.annotation, "__args__", None) or (None,))[-1],
                                      "__pydantic_fields__", None)):  # fmt: skip
                    yield f"#### `[{path}.{name}.{key}.NAME]`\n\n{rows_of(within)}"


def toml(value: Any) -> str:
    if isinstance(value, BaseModel):
        value = value.model_dump()
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(toml(item) for item in value) + "]"
    return msgspec.json.encode(value).decode()


def settings() -> str:
    text = []
    for name, field in Settings.model_fields.items():
        model = field.annotation
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            text.append(f"### `{name}`\n\nDefault `{toml(field.default)}`. {field.description}\n")
        elif issubclass(model, Stage) and model is not Stage:
            about = " ".join((model.__doc__ or "").split()).partition(": ")[2]
            own = {key: field for key, field in model.model_fields.items() if key not in StageWithFallback.model_fields}
            text.append(f"### `[{name}]`\n\n{about[:1].upper()}{about[1:]}\n\n{rows_of(own)}")
        elif not issubclass(model, Stage | GatingStage):
            about = " ".join((model.__doc__ or "").split()).partition(": ")[2]
            text.append(f"### `[{name}]`\n\n{about[:1].upper()}{about[1:]}\n\n{settings_table(model)}")
            text += nested(model, name)
    return "\n".join(text)


def providers() -> str:
    text = []
    plugins = discover()
    for stage in STAGES:
        default = getattr(Settings.model_fields[stage].default, "provider", None)
        for name, (provider, plugin) in sorted(plugins.providers(stage).items()):
            origin = "built in" if plugin.name.startswith("default_") else f"plugin `{plugin.distribution}`"
            origin += ", the default" if name == default else ""
            own = f"{stage}.{name}"
            text.append(f"### `[{own}]`\n\n{origin}: {provider.about}.\n\n{settings_table(provider.settings)}")
            text += nested(provider.settings, own)
    for dialect, plugin in sorted(plugins.offers("rfsn_dialects"), key=lambda offer: str(offer[0].name)):
        own = f"dialects.{dialect.name}"
        text.append(
            f"### `[{own}]`\n\nplugin `{plugin.distribution}`: {dialect.about}.\n\n{settings_table(dialect.settings)}"
        )
    return "\n".join(text)


# ── the tree ─────────────────────────────────────────────────────────────────────────────────────

CORE = DOCS.parent / "rfsn_core"


def first_line(path: Path) -> str:
    """Return the first paragraph of a module's docstring up to its first full stop, without it."""
    paragraph = (ast.get_docstring(ast.parse(path.read_text("utf-8"))) or "").split("\n\n")[0]
    return re.split(r"\.\s", " ".join(paragraph.split()), maxsplit=1)[0].rstrip(".:")


def branch(folder: Path, indent: str) -> Iterator[str]:
    """Yield a line for each module in a folder, and for the folders inside it."""
    for path in sorted(folder.iterdir()):
        if path.suffix == ".py" and path.stem not in ("__init__", "__main__"):
            yield f"{indent}{path.name}".ljust(26) + first_line(path)
        elif path.is_dir() and (path / "__init__.py").exists():
            yield f"{indent}{path.name}/".ljust(26) + first_line(path / "__init__.py")
            yield from branch(path, indent + "  ")


def rooms() -> str:
    contracts = tomllib.loads((DOCS.parent / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    lines = ["rfsn_core/"]
    for name in (name.strip() for layer in layers for name in layer.split("|")):
        folder = CORE / name
        if folder.is_dir():
            lines += [f"  {name}/".ljust(26) + first_line(folder / "__init__.py"), *branch(folder, "    ")]
        else:
            lines.append(f"  {name}.py".ljust(26) + first_line(CORE / f"{name}.py"))
    return "```\n" + "\n".join(line.rstrip() for line in lines) + "\n```\n"


# ── metrics and log events ───────────────────────────────────────────────────────────────────────

LEVELS = {"debug", "info", "warning", "error", "exception"}
EVENT = re.compile(r"[a-z_]+(\.[a-z_]+)+")


def metrics() -> str:
    rows = []
    for metric in METRICS.registry.collect():
        name = metric.name + ("_total" if metric.type == "counter" else "")
        rows.append(f"| `{name}` | {metric.type} | {metric.documentation} |")
    return "| metric | type | |\n|---|---|---|\n" + "\n".join(sorted(rows)) + "\n"


def log_calls(tree: ast.AST) -> Iterator[tuple[str, str, list[str]]]:
    """Yield name, level and fields of each log call with a dotted event name."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(
                func=ast.Attribute(attr=level), args=[ast.Constant(value=str(event)), *_], keywords=keywords
            ) if level in LEVELS and EVENT.fullmatch(event):
                fields = [keyword.arg for keyword in keywords if keyword.arg and keyword.arg != "exc_info"]
                yield event, "error" if level == "exception" else level, fields
            case ast.Call(
                func=ast.Name(id=function), args=[ast.Constant(value=str(event))], keywords=[_, *_] as keywords
            ) if function.islower() and EVENT.fullmatch(event):  # a method of the log that was chosen by severity
                yield event, "by severity", [keyword.arg for keyword in keywords if keyword.arg]


def log_events() -> str:
    rows: dict[str, tuple[set[str], set[str], set[str]]] = {}
    root = DOCS.parent
    for path in sorted([*root.glob("rfsn_core/**/*.py"), *root.glob("plugins/*/rfsn_*/**/*.py")]):
        place = path.relative_to(root)
        if place.parts[1] == "testing":
            continue
        where = "/".join(place.parts[1:-1] if place.parts[0] == "rfsn_core" else place.parts[:2]) or place.name
        for event, level, fields in log_calls(ast.parse(path.read_text("utf-8"))):
            levels, keys, places = rows.setdefault(event, (set(), set(), set()))
            levels.add(level)
            keys.update(fields)
            places.add(where)
    lines = [
        f"| `{event}` | {', '.join(sorted(levels))} | {', '.join(f'`{key}`' for key in sorted(keys))} "
        f"| {', '.join(sorted(places))} |"
        for event, (levels, keys, places) in sorted(rows.items())
    ]
    return "| event | level | fields | room |\n|---|---|---|---|\n" + "\n".join(lines) + "\n"


# ── writing ──────────────────────────────────────────────────────────────────────────────────────

SECTIONS = {
    "protocol.md": (client_messages, server_messages, shared_parts, error_codes),
    "configuration.md": (settings, providers),
    "operating.md": (metrics, log_events),
    "architecture.md": (rooms,),
}


def generated(file: str) -> str:
    """Return the text of a document with its generated parts up to date."""
    text = (DOCS / file).read_text("utf-8")
    for section in SECTIONS[file]:
        marked = re.compile(rf"(<!-- generated: {section.__name__} -->\n).*?(<!-- end -->)", re.DOTALL)
        assert marked.search(text), f"{file}: no section {section.__name__}"
        body = section()
        text = marked.sub(lambda match, body=body: f"{match[1]}\n{body}\n{match[2]}", text)
    return text


def main() -> int:
    stale = [file for file in SECTIONS if generated(file) != (DOCS / file).read_text("utf-8")]
    if "--check" in sys.argv:
        print("\n".join(f"docs/{file} is out of date: run docs/generate.py" for file in stale))
        return bool(stale)
    for file in stale:
        (DOCS / file).write_text(generated(file), "utf-8")
        print(f"wrote docs/{file}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
