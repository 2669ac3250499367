"""llama.cpp in process: xllamacpp brings its server as a library, and answers with the same JSON as over HTTP."""

from __future__ import annotations

import asyncio
import importlib
import secrets
import threading
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rfsn_core import EngineError, Prompt, RenderOptions, ReplyTooLong, Usage
from rfsn_core.kit import REACHED_LIMIT, REPORT_GRAMMAR, THOUGHTS, chat_request, token_count

if TYPE_CHECKING:
    from rfsn_llm_llamacpp import Settings

INSTALL = "pip install xllamacpp (its own page tells which wheel uses a graphics card)"
SILENT = -1
"""Verbosity of llama.cpp, which writes to the standard error stream."""
Put = Callable[[str | Usage | BaseException | None], None]


class LlamaCpp:
    """The opened provider."""

    def __init__(self, settings: Settings, path: Path) -> None:
        self._settings, self._path = settings, path
        self._threads = ThreadPoolExecutor(settings.parallel, "llama.cpp")
        self._server: Any = None

    async def start(self) -> None:
        """Load the model. Raises EngineError that says what to do."""
        if not self._path.is_file():
            raise EngineError(f"there is no model at {self._path}", hint="Set `model` in [rendering.llamacpp]")
        await asyncio.get_running_loop().run_in_executor(self._threads, self._load)

    def _load(self) -> None:
        try:
            xllamacpp: Any = importlib.import_module("xllamacpp")
        except ImportError as error:
            raise EngineError("the package xllamacpp is not installed", hint=INSTALL) from error
        settings, params = self._settings, xllamacpp.CommonParams()
        params.model.path = str(self._path)
        params.n_parallel = settings.parallel
        params.n_ctx = settings.context * settings.parallel
        params.n_gpu_layers = settings.gpu_layers
        params.cpuparams.n_threads = settings.threads or params.cpuparams.n_threads
        params.verbosity = SILENT
        params.api_keys = [secrets.token_urlsafe()]  # it also listens on a port of this machine; nobody is to use it
        try:
            self._server = xllamacpp.Server(params)
        except Exception as error:
            raise EngineError(f"{self._path} is no model that llama.cpp can load: {error}") from error

    async def close(self) -> None:
        """Free the model, after the tokens that are being made."""
        await asyncio.to_thread(self._threads.shutdown)
        await asyncio.to_thread(self._free)

    def _free(self) -> None:
        self._server = None

    async def render(self, prompt: Prompt, options: RenderOptions) -> AsyncGenerator[str | Usage]:
        """Stream a reply; when `parallel` others are being made, it waits for one of them."""
        loop = asyncio.get_running_loop()
        parts: asyncio.Queue[str | Usage | BaseException | None] = asyncio.Queue()
        stop = threading.Event()

        def put(part: str | Usage | BaseException | None) -> None:
            loop.call_soon_threadsafe(parts.put_nowait, part)

        request = self._request(prompt, options)
        working = loop.run_in_executor(self._threads, self._work, request, put, stop)
        try:
            while (part := await parts.get()) is not None:
                if isinstance(part, BaseException):
                    raise part
                yield part
        finally:
            stop.set()  # seen before the next token
            working.cancel()  # if it has not begun

    def _request(self, prompt: Prompt, options: RenderOptions) -> dict[str, Any]:
        temperature, max_tokens = options.over(self._settings.temperature, self._settings.max_tokens)
        grammar = REPORT_GRAMMAR if self._settings.structured and prompt.final_json else None
        return chat_request(
            prompt, self._path.stem, {"temperature": temperature, "max_tokens": max_tokens, "grammar": grammar}
        )

    def _work(self, request: Mapping[str, Any], put: Put, stop: threading.Event) -> None:
        reply = _Reply(put, stop, thinks=self._settings.thinks)
        try:
            if not stop.is_set():
                self._server.handle_chat_completions(dict(request), reply.take)
                reply.end()
        except Exception as error:  # noqa: BLE001  the library's code, in a thread where nobody else would see it
            put(EngineError(f"llama.cpp failed: {error!r}"))

    async def health(self) -> str:
        """Return the file and its size."""
        return f"llama.cpp with {self._path.name}, {self._path.stat().st_size / 1e6:.0f} MB"

    async def models(self) -> Sequence[str]:
        """Return the models in the same folder."""
        return sorted(path.name for path in self._path.parent.glob("*.gguf"))


class _Reply:
    """One reply, as llama.cpp hands it over chunk by chunk.

    :param thinks: whether the model's template begins its thoughts.
    """

    def __init__(self, put: Put, stop: threading.Event, *, thinks: bool) -> None:
        self._put, self._stop, self._opening = put, stop, THOUGHTS if thinks else ""
        self._finished = ""
        self._failure: EngineError | None = None

    def take(self, chunk: Mapping[str, Any]) -> bool:
        """Take a chunk; return whether to stop."""
        if (error := chunk.get("error")) is not None:
            message = str(error.get("message", error) if isinstance(error, dict) else error)
            refused = isinstance(error, dict) and 400 <= int(error.get("code", 500)) < 500
            self._failure = EngineError(f"llama.cpp refused: {message}", engine_at_fault=not refused)
            return True
        for choice in chunk.get("choices", ())[:1]:
            if text := (choice.get("delta") or {}).get("content"):
                self._put(self._opening + text)
                self._opening = ""
            self._finished = str(choice.get("finish_reason") or self._finished)
        if timings := chunk.get("timings"):
            self._put(
                Usage(
                    prompt_tokens=token_count(timings.get("prompt_n", 0) + timings.get("cache_n", 0)),
                    cached_tokens=token_count(timings.get("cache_n")),
                    completion_tokens=token_count(timings.get("predicted_n")),
                    prompt_ms=timings.get("prompt_ms"),
                    generation_ms=timings.get("predicted_ms"),
                )
            )
        return self._stop.is_set()

    def end(self) -> None:
        """Tell how the reply ended."""
        if self._failure is not None:
            self._put(self._failure)
        elif self._finished in REACHED_LIMIT:
            self._put(ReplyTooLong("llama.cpp: the reply reached max_tokens"))
        elif self._finished or self._stop.is_set():
            self._put(None)
        else:
            self._put(EngineError("llama.cpp stopped in the middle"))
