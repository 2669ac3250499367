"""Helpers for authors of plugins.

A plugin may use these names; `backups` and `chat` are modules. All are imported when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rfsn_core.kit import backups, chat
    from rfsn_core.kit.documents import Document, DocumentError, read_document, read_text
    from rfsn_core.kit.explain import explain_errors, nearest
    from rfsn_core.kit.files import replace_file
    from rfsn_core.kit.http import Remote, api_key, server_sent
    from rfsn_core.kit.jsonl import JsonLines, Line
    from rfsn_core.kit.pcm import clauses, pcm16
    from rfsn_core.kit.remote_settings import RemoteSettings
    from rfsn_core.kit.resample import Resampler
    from rfsn_core.kit.search import MAX_TERMS, STOP_WORDS, add_neighbours, search_turns, stems_of, terms, whole_text
    from rfsn_core.kit.visemes import shapes_of, visemes_of
    from rfsn_core.kit.voices import UnknownVoices, nearest_voices
    from rfsn_core.kit.words import content_words, language_of, stem, words_of
    from rfsn_core.kit.writer import Job, WriterThread, deliver

__all__ = [
    "MAX_TERMS",
    "STOP_WORDS",
    "Document",
    "DocumentError",
    "Job",
    "JsonLines",
    "Line",
    "Remote",
    "RemoteSettings",
    "Resampler",
    "UnknownVoices",
    "WriterThread",
    "add_neighbours",
    "api_key",
    "backups",
    "chat",
    "clauses",
    "content_words",
    "deliver",
    "explain_errors",
    "language_of",
    "nearest",
    "nearest_voices",
    "pcm16",
    "read_document",
    "read_text",
    "replace_file",
    "search_turns",
    "server_sent",
    "shapes_of",
    "stem",
    "stems_of",
    "terms",
    "visemes_of",
    "whole_text",
    "words_of",
]

_HOMES = {
    "documents": "Document DocumentError read_document read_text",
    "explain": "explain_errors nearest",
    "files": "replace_file",
    "http": "Remote api_key server_sent",
    "remote_settings": "RemoteSettings",
    "jsonl": "JsonLines Line",
    "pcm": "clauses pcm16",
    "resample": "Resampler",
    "search": "MAX_TERMS STOP_WORDS add_neighbours search_turns stems_of terms whole_text",
    "visemes": "shapes_of visemes_of",
    "voices": "UnknownVoices nearest_voices",
    "words": "content_words language_of stem words_of",
    "writer": "Job WriterThread deliver",
}
_MODULES = {name: module for module, names in _HOMES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    """Import the module of a name when somebody asks for the name (PEP 562)."""
    if name in ("backups", "chat"):
        return import_module(f"{__name__}.{name}")
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
