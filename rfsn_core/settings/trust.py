"""Trust in a world: a folder that somebody else made gets no power over the machine before its user grants it.

Most of a world is text and numbers, and needs no trust. What could do harm is listed here: plugin files, which are
programs; settings that open the server to others, send what players say (and keys from the environment) to an address,
or reach for files outside of the world; links that lead out of it. In a world without trust these are left out, and the
rest works. Trust belongs to the folder's path, and to exactly these contents, or to whatever they become.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rfsn_core.contract.errors import ConfigError, UserError
from rfsn_core.contract.stages import STAGES
from rfsn_core.kit.documents import DocumentError, read_document
from rfsn_core.settings.folders import is_example, user_config_folder
from rfsn_core.settings.protection import is_local
from rfsn_core.settings.schema import Settings
from rfsn_core.settings.source import NAMES, Source, find_file, load

VARIABLE = "RFSN_TRUST"
"""1 in the environment trusts every world: for containers, whose image is the decision."""
FOLDERS = ("npcs", "kinds", "lore", "lines", "prompts", "plugins")
READ = (*NAMES, "signals.toml", "synonyms.toml", ".rfsn")
"""What else of a world's folder is read or written."""
OWN_ADDRESSES = {
    "anthropic": ("https://api.anthropic.com/v1",),
    "ollama": ("http://127.0.0.1:11434", "http://localhost:11434"),
    "openai": ("https://api.openai.com/v1",),
    "vllm": ("http://127.0.0.1:8000/v1", "http://localhost:8000/v1"),
    "xvasynth": ("http://127.0.0.1:8008", "http://localhost:8008"),
}
"""Provider → the addresses that are its own service's, which any world may name."""
_ADDRESS = re.compile(r"\s*[A-Za-z][\w+.-]*://")
_OUTSIDE = re.compile(r"^\s*(/|\\|~|[A-Za-z]:[\\/])|(^|[\\/])\.\.([\\/]|$)")
_PROGRAM = re.compile(r"(^|_)(args|binary|command|executable|library|program)$")
Key = tuple[str, ...]


@dataclass(frozen=True)
class Risk:
    """Something in a world that is left out until the world is trusted.

    :param name: a file, relative to the world, or a setting.
    :param effect: what it does, as the end of "this …".
    :param content: what trust depends on: the file's digest, the setting's value, or the link's target.
    """

    name: str
    effect: str
    content: str
    key: Key = ()
    """Of a setting."""

    @property
    def line(self) -> str:
        """The risk for people; it holds no key."""
        return f"{self.name}: {self.effect}"


@dataclass(frozen=True)
class Trust:
    """What is risky in a world, and whether its user allowed it."""

    world: Path
    risks: tuple[Risk, ...]
    granted: bool

    @property
    def left_out(self) -> tuple[Risk, ...]:
        """What must not be used."""
        return () if self.granted else self.risks

    @property
    def hint(self) -> str:
        """How to allow it."""
        return f"`rfsn trust {self.world}` shows it and asks"

    def allows(self, name: str) -> bool:
        """Return whether a file, named relative to the world, may be used."""
        return all(risk.name != name for risk in self.left_out)

    def settings(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return a settings file's values without those that must not be used."""
        keys = {risk.key for risk in self.left_out if risk.key}
        return _without(values, keys)


def judge(world: Path, config_file: Path | None = None) -> Trust:
    """Return the trust in a world, as it is on disk now.

    :param config_file: the settings file in use; one outside of the world's folder is the user's own.
    """
    world = world.resolve()
    risks = tuple(_risks(world, config_file))
    return Trust(world, risks, not risks or _granted(world, risks))


def _granted(world: Path, risks: Iterable[Risk]) -> bool:
    if os.environ.get(VARIABLE, "").lower() in ("1", "true", "yes", "on") or is_example(world):
        return True
    entry = TrustFile().entries().get(str(world))
    return entry is not None and (entry.get("changes") is True or entry.get("digest") == digest(risks))


def digest(risks: Iterable[Risk]) -> str:
    """Return a digest of all that trust depends on."""
    text = json.dumps(sorted((risk.name, risk.content) for risk in risks))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


class TrustFile:
    """The file in which a user's trust is kept, in the user's own configuration folder."""

    def __init__(self) -> None:
        self.path = user_config_folder() / "trust.json"

    def entries(self) -> dict[str, dict[str, Any]]:
        """Return folder → what is trusted in it. A file that cannot be read trusts nothing."""
        try:
            worlds = json.loads(self.path.read_text("utf-8"))["worlds"]
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return {}
        if not isinstance(worlds, dict):
            return {}
        return {folder: entry for folder, entry in worlds.items() if isinstance(entry, dict)}

    def grant(self, trust: Trust, *, changes: bool = False) -> None:
        """Trust a world as it is now, or also what its folder will hold later. Raises UserError."""
        entry = {"changes": True} if changes else {"digest": digest(trust.risks)}
        self._write(self.entries() | {str(trust.world): entry})

    def revoke(self, world: Path) -> bool:
        """Stop trusting a world, and return whether it was trusted. Raises UserError."""
        entries = self.entries()
        known = entries.pop(str(world.resolve()), None) is not None
        if known:
            self._write(entries)
        return known

    def _write(self, entries: Mapping[str, Any]) -> None:
        temporary = self.path.with_suffix(f".{os.getpid()}.new")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            temporary.write_text(json.dumps({"worlds": entries}, indent=2) + "\n", "utf-8")
            os.replace(temporary, self.path)
        except OSError as error:
            raise UserError(f"{self.path}: cannot be written: {error.strerror or error}") from error


# ── what is risky ────────────────────────────────────────────────────────────────────────────────


def _risks(world: Path, config_file: Path | None) -> Iterator[Risk]:
    yield from _plugin_files(world)
    yield from _links(world)
    yield from _settings(world, config_file)


def _plugin_files(world: Path) -> Iterator[Risk]:
    """Yield the programs of a world, and the files next to them, which they may read."""
    folder = world / "plugins"
    if not any(folder.glob("*.py")):
        return
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            try:
                content = hashlib.sha256(path.read_bytes()).hexdigest()
            except OSError:
                content = "cannot be read"
            is_program = path.suffix == ".py"
            effect = "is a program that runs with all your rights" if is_program else "may be read by those programs"
            yield Risk(path.relative_to(world).as_posix(), effect, content)


def _links(world: Path) -> Iterator[Risk]:
    """Yield what leads out of a world."""
    places = [*(world / name for name in (*FOLDERS, *READ))]
    for folder in FOLDERS:
        with_entries = world / folder
        if with_entries.is_dir():
            # Windows has other links, too, which only `resolve` sees; elsewhere it would cost a call for each file.
            links = (entry for entry in os.scandir(with_entries) if os.name == "nt" or entry.is_symlink())
            places += sorted(Path(entry.path) for entry in links)
    for path in places:
        if leads_out(path, world):
            name = path.relative_to(world).as_posix()
            yield Risk(name, f"is a link that leads out of the world, to {path.resolve()}", str(path.resolve()))


def leads_out(path: Path, world: Path) -> bool:
    """Return whether a path in a world's folder is, or is behind, a link to somewhere else."""
    try:
        return not path.resolve().is_relative_to(world.resolve())
    except (OSError, RuntimeError):  # links in a circle
        return True


def _settings(world: Path, config_file: Path | None) -> Iterator[Risk]:
    try:
        file = config_file or find_file(world)
        if file is None or not file.resolve().is_relative_to(world):
            return
        values = read_document(file).values
    except (ConfigError, DocumentError, OSError):
        return  # reading the settings says what is wrong
    for key, value, effect in _risky_settings(values, world):
        name = ".".join(key)
        yield Risk(f"{file.name}: {name}", effect, json.dumps(value, default=str, sort_keys=True), key)


def _risky_settings(values: Mapping[str, Any], world: Path) -> Iterator[tuple[Key, Any, str]]:
    """Yield (key, value, effect) of each setting that reaches beyond the world."""
    folder = values.get("data_dir")
    if isinstance(folder, str) and leads_out(world / folder.strip(), world):
        yield ("data_dir",), folder, f"writes outside of the world, to {folder!r}"
    server = values.get("server")
    if isinstance(server, Mapping):
        host = server.get("host")
        if host is not None and not (isinstance(host, str) and is_local(host.strip())):
            yield ("server", "host"), host, f"lets other machines connect, on {host!r}"
        if server.get("key"):
            yield ("server", "key"), server["key"], "is a key that the world's author knows"
        if server.get("origins"):
            yield ("server", "origins"), server["origins"], f"lets web pages connect: {server['origins']!r}"
    operations = values.get("operations")
    alerts = operations.get("alerts") if isinstance(operations, Mapping) else None
    if isinstance(alerts, Mapping) and alerts.get("webhooks"):
        yield (
            ("operations", "alerts", "webhooks"),
            alerts["webhooks"],
            "sends alerts to an address",
        )
    for stage in (*STAGES, "dialects"):
        table = values.get(stage)
        for provider, own in table.items() if isinstance(table, Mapping) else ():
            if isinstance(own, Mapping):
                yield from _risky_values(own, (stage, str(provider)))


def _risky_values(value: Any, key: Key) -> Iterator[tuple[Key, Any, str]]:
    """Yield the settings of a provider that name an address, a program or a file elsewhere."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _risky_values(inner, (*key, str(name)))
        return
    if value not in (None, "", False) and _PROGRAM.search(key[-1].lower()):
        yield key, value, f"starts a program: {value!r}"
        return
    texts = [item for item in _flat(value) if isinstance(item, str)]
    addresses = [text for text in texts if _ADDRESS.match(text)]
    if any(text.strip().rstrip("/") not in OWN_ADDRESSES.get(key[1], ()) for text in addresses):
        effect = "sends what players say, and a key from your environment if there is one, to an address"
        yield key, value, f"{effect}: {_host(addresses[0])}"
    elif any(_OUTSIDE.search(text) for text in texts if not _ADDRESS.match(text)):
        yield key, value, f"uses files outside of the world: {value!r}"


def _flat(value: Any) -> Iterator[Any]:
    if isinstance(value, list | tuple):
        for item in value:
            yield from _flat(item)
    elif isinstance(value, Mapping):
        yield from _flat([*value, *value.values()])
    else:
        yield value


def _host(address: str) -> str:
    """Return an address without the user and the password in it."""
    scheme, _, rest = address.strip().partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"


def _without(values: Mapping[str, Any], keys: set[Key], prefix: Key = ()) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for name, value in values.items():
        key = (*prefix, str(name))
        if key in keys:
            continue
        kept[name] = _without(value, keys, key) if isinstance(value, Mapping) else value
    return kept


def load_world(
    world: Path, config_file: Path | None = None, overrides: Mapping[str, Any] | None = None
) -> tuple[Settings, Source, Trust]:
    """Return a world's settings, without what it may not set, and the trust in it. Raises ConfigError."""
    trust = judge(world, config_file)
    file = config_file or find_file(world)
    if file is not None and config_file is None and not trust.allows(file.name):
        file = None  # a link to a file elsewhere
    settings, source = load(file, overrides, trust.settings)
    return settings, source, trust
