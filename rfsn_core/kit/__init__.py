"""Helpers for authors of plugins. Each name is imported when it is first used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rfsn_core.kit.adapter_tasks import ADAPTER_TASKS, adapter_task
    from rfsn_core.kit.backups import describe_backup, find_backup, list_backups, new_backup, prune_backups
    from rfsn_core.kit.chat import (
        REACHED_LIMIT,
        REPORT_GRAMMAR,
        THOUGHTS,
        WholeCharacters,
        chat_request,
        check_reply_end,
        content_text,
        decode_json,
        model_ids,
        stream_chat,
        token_count,
    )
    from rfsn_core.kit.documents import Document, DocumentError, read_document, read_text
    from rfsn_core.kit.explain import explain_errors, nearest
    from rfsn_core.kit.files import replace_file
    from rfsn_core.kit.http import Remote, api_key, server_sent
    from rfsn_core.kit.jsonl import JsonLines, Line
    from rfsn_core.kit.pcm import clauses, pcm16, wav_bytes
    from rfsn_core.kit.remote_settings import RemoteSettings
    from rfsn_core.kit.resample import Resampler
    from rfsn_core.kit.search import MAX_TERMS, STOP_WORDS, add_neighbours, search_turns, stems_of, terms, whole_text
    from rfsn_core.kit.toml_writer import toml_text
    from rfsn_core.kit.visemes import shapes_of, visemes_of
    from rfsn_core.kit.voices import UnknownVoices, nearest_voices
    from rfsn_core.kit.words import content_words, language_of, stem, words_of
    from rfsn_core.kit.writer import Job, WriterThread, deliver

__all__ = [
    "ADAPTER_TASKS",
    "MAX_TERMS",
    "REACHED_LIMIT",
    "REPORT_GRAMMAR",
    "STOP_WORDS",
    "THOUGHTS",
    "Document",
    "DocumentError",
    "Job",
    "JsonLines",
    "Line",
    "Remote",
    "RemoteSettings",
    "Resampler",
    "UnknownVoices",
    "WholeCharacters",
    "WriterThread",
    "adapter_task",
    "add_neighbours",
    "api_key",
    "chat_request",
    "check_reply_end",
    "clauses",
    "content_text",
    "content_words",
    "decode_json",
    "deliver",
    "describe_backup",
    "explain_errors",
    "find_backup",
    "language_of",
    "list_backups",
    "model_ids",
    "nearest",
    "nearest_voices",
    "new_backup",
    "pcm16",
    "prune_backups",
    "read_document",
    "read_text",
    "replace_file",
    "search_turns",
    "server_sent",
    "shapes_of",
    "stem",
    "stems_of",
    "stream_chat",
    "terms",
    "token_count",
    "toml_text",
    "visemes_of",
    "wav_bytes",
    "whole_text",
    "words_of",
]

_HOMES = {
    "adapter_tasks": "ADAPTER_TASKS adapter_task",
    "backups": "describe_backup find_backup list_backups new_backup prune_backups",
    "chat": "REACHED_LIMIT REPORT_GRAMMAR THOUGHTS WholeCharacters chat_request check_reply_end content_text"
    " decode_json model_ids stream_chat token_count",
    "documents": "Document DocumentError read_document read_text",
    "explain": "explain_errors nearest",
    "files": "replace_file",
    "http": "Remote api_key server_sent",
    "jsonl": "JsonLines Line",
    "pcm": "clauses pcm16 wav_bytes",
    "remote_settings": "RemoteSettings",
    "resample": "Resampler",
    "search": "MAX_TERMS STOP_WORDS add_neighbours search_turns stems_of terms whole_text",
    "toml_writer": "toml_text",
    "visemes": "shapes_of visemes_of",
    "voices": "UnknownVoices nearest_voices",
    "words": "content_words language_of stem words_of",
    "writer": "Job WriterThread deliver",
}
_MODULES = {name: module for module, names in _HOMES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    """Import the module of a name when somebody asks for the name (PEP 562)."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
