"""llama.cpp in process. One thread runs the model, one reply after the other."""

from __future__ import annotations

import asyncio
import importlib
import threading
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rfsn_core import EngineError, Prompt, RenderOptions, ReplyTooLong, Usage
from rfsn_core.kit import REACHED_LIMIT, REPORT_GRAMMAR

if TYPE_CHECKING:
    from rfsn_llm_llamacpp import Settings

INSTALL = "pip install llama-cpp-python (it is compiled; its own page tells how to build it for a graphics card)"


class LlamaCpp:
    """A model in this process."""

    def __init__(self, settings: Settings, path: Path) -> None:
        self._settings, self._path = settings, path
        self._thread = ThreadPoolExecutor(1, "llama.cpp")
        self._llama: Any = None
        self._grammar: Any = None

    async def start(self) -> None:
        """Load the model. Raises EngineError that says what to do."""
        if not self._path.is_file():
            raise EngineError(f"there is no model at {self._path}", hint="Set `model` in [rendering.llamacpp]")
        await asyncio.get_running_loop().run_in_executor(self._thread, self._load)

    def _load(self) -> None:
        try:
            llama_cpp: Any = importlib.import_module("llama_cpp")
        except ImportError as error:
            raise EngineError("the package llama-cpp-python is not installed", hint=INSTALL) from error
        settings = self._settings
        self._grammar = llama_cpp.LlamaGrammar.from_string(REPORT_GRAMMAR, verbose=False)
        try:
            self._llama = llama_cpp.Llama(
                str(self._path),
                n_ctx=settings.context,
                n_threads=settings.threads or None,
                n_gpu_layers=settings.gpu_layers,
                verbose=False,
            )
        except (ValueError, RuntimeError, AssertionError) as error:
            raise EngineError(f"{self._path} is no model that llama.cpp can load: {error}") from error

    async def close(self) -> None:
        """Free the model after the current token."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._free)
        self._thread.shutdown()

    def _free(self) -> None:
        if self._llama is not None:
            self._llama.close()
            self._llama = None

    async def render(self, prompt: Prompt, options: RenderOptions) -> AsyncGenerator[str | Usage]:
        """Stream a reply, after those that were requested before it."""
        loop = asyncio.get_running_loop()
        parts: asyncio.Queue[str | Usage | BaseException | None] = asyncio.Queue()
        stop = threading.Event()

        def put(part: str | Usage | BaseException | None) -> None:
            loop.call_soon_threadsafe(parts.put_nowait, part)

        working = loop.run_in_executor(self._thread, self._work, prompt, options, put, stop)
        try:
            while (part := await parts.get()) is not None:
                if isinstance(part, BaseException):
                    raise part
                yield part
        finally:
            stop.set()  # seen before the next token
            working.cancel()  # if it has not begun

    def _work(
        self, prompt: Prompt, options: RenderOptions, put: Callable[[str | Usage | BaseException | None], None],
        stop: threading.Event,
    ) -> None:  # fmt: skip
        settings, started = self._settings, False
        temperature, max_tokens = options.over(settings.temperature, settings.max_tokens)
        try:
            if stop.is_set():
                return
            chunks = self._llama.create_chat_completion(
                messages=[{"role": message.role, "content": message.content} for message in prompt.messages],
                temperature=temperature,
                max_tokens=max_tokens,
                seed=prompt.seed & 0x7FFFFFFF,
                stream=True,
                grammar=self._grammar if settings.structured and prompt.final_json else None,
            )
            count, finished = 0, ""
            for chunk in chunks:
                started = True
                if stop.is_set():
                    chunks.close()
                    return
                finished = chunk["choices"][0].get("finish_reason") or finished
                if text := chunk["choices"][0]["delta"].get("content"):
                    count += 1
                    put(text)
            put(Usage(completion_tokens=count))
            put(ReplyTooLong("llama.cpp: the reply reached max_tokens") if finished in REACHED_LIMIT else None)
        except ValueError as error:  # among others, a prompt that is longer than the context
            put(EngineError(f"llama.cpp refused: {error}", engine_at_fault=started))
        except Exception as error:  # noqa: BLE001  the library's code, in a thread where nobody else would see it
            put(EngineError(f"llama.cpp failed: {error!r}"))

    async def health(self) -> str:
        """Return what `rfsn doctor` shows."""
        return f"llama.cpp with {self._path.name}, {self._path.stat().st_size / 1e6:.0f} MB"

    async def models(self) -> Sequence[str]:
        """Return the models in the same folder."""
        return sorted(path.name for path in self._path.parent.glob("*.gguf"))
