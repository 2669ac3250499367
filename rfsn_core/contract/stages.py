"""The stages: the places that a plugin can fill, each with the protocol of the objects that fill it."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterable, Mapping
from typing import Any, Generic, Protocol

from rfsn_core.contract.abstraction import Abstractor
from rfsn_core.contract.archive import Archive
from rfsn_core.contract.capabilities import OPTIONAL
from rfsn_core.contract.embedding import Embedder
from rfsn_core.contract.gating import Gate
from rfsn_core.contract.rendering import Renderer
from rfsn_core.contract.selection import Policy
from rfsn_core.contract.shared_storage import SharedStore
from rfsn_core.contract.speech import Voice
from rfsn_core.contract.storage import Store
from rfsn_core.contract.understanding import Understander

PROTOCOLS: Mapping[str, type] = {
    "understanding": Understander,
    "abstraction": Abstractor,
    "selection": Policy,
    "rendering": Renderer,
    "gating": Gate,
    "speech": Voice,
    "storage": Store,
    "archive": Archive,
    "embedding": Embedder,
}
STAGES = tuple(PROTOCOLS)
"""The places a plugin can fill; also the tables of the settings file."""


def flaws(stage: str, value: Any) -> list[str]:
    """Return what an opened object lacks of its stage's protocol, one short text for each member; usually nothing."""
    if value is None and stage == "embedding":  # the built-in `none`
        return []
    problems = list(_compared(PROTOCOLS[stage], value))
    if stage == "storage":
        problems += _half_shared(value)
    return problems + list(_misspelt(value, stage))


def class_flaws(stage: str, kind: type) -> list[str]:
    """Return what the objects of a class will lack, as far as the class tells; attributes may come with `__init__`."""
    return [*_compared(PROTOCOLS[stage], kind, attributes=False), *_misspelt(kind, stage)]


def members(protocol: type) -> dict[str, Any]:
    """Name → function of each member of a protocol; None for an attribute."""
    every: dict[str, Any] = {}
    for part in reversed(protocol.__mro__):
        if part not in (object, Protocol, Generic):
            every |= dict.fromkeys(inspect.get_annotations(part))
            every |= {name: value for name, value in vars(part).items() if inspect.isfunction(value)}
            every |= {name: None for name, value in vars(part).items() if isinstance(value, property)}
    return {name: value for name, value in every.items() if not name.startswith("_")}


def _compared(protocol: type, value: Any, *, attributes: bool = True) -> Iterable[str]:
    for name, promised in members(protocol).items():
        if promised is None and not attributes:
            continue
        if not hasattr(value, name):
            close = difflib.get_close_matches(name, _public(value), 1, 0.75)
            yield f"no '{name}'" + (f" (is '{close[0]}' meant?)" if close else "")
        elif promised is not None:
            yield from _called(name, promised, getattr(value, name))


def _called(name: str, promised: Any, own: Any) -> Iterable[str]:
    if not callable(own):
        yield f"'{name}' is no function"
    elif inspect.iscoroutinefunction(promised):
        if inspect.isasyncgenfunction(own):
            yield f"'{name}' yields, and must return one value"
    elif inspect.iscoroutinefunction(own):
        # An `async def` without `yield`, where the protocol has a plain function or an async generator.
        yield f"'{name}' is a coroutine; " + (
            "make it an async generator: yield the pieces"
            if "Async" in str(inspect.signature(promised).return_annotation)
            else "it must not be async"
        )


def _half_shared(store: Any) -> list[str]:
    """Return what a store lacks that has some members of a shared store, but not all."""
    own = [name for name in members(SharedStore) if name not in members(Store)]
    present = [name for name in own if hasattr(store, name)]
    if not present:
        return []
    missing = [f"no '{name}'" for name in own if name not in present]
    reason = f" (a store with '{present[0]}' is a shared store, which has {', '.join(own)})"
    return [f"{', '.join(missing)}{reason}"] if missing else []


def _misspelt(value: Any, stage: str) -> Iterable[str]:
    """Coroutines whose name is nearly that of a member which an object may have, such as `heath`."""
    optional = {name for protocol in OPTIONAL for name in members(protocol)}
    known = optional | set(members(PROTOCOLS[stage])) | set(members(SharedStore))
    for name in _public(value):
        if name not in known and inspect.iscoroutinefunction(getattr(value, name, None)):
            for meant in difflib.get_close_matches(name, optional, 1, 0.8):
                if not hasattr(value, meant):
                    yield f"'{name}' looks like '{meant}' (if it is something else, call it '_{name}')"


def _public(value: Any) -> list[str]:
    return [name for name in dir(value) if not name.startswith("_")]
