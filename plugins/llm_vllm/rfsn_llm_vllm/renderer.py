"""The OpenAI chat API, with what vLLM adds to it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, aclosing
from typing import TYPE_CHECKING

from rfsn_core import EngineError, Host, Prompt, RenderOptions, Usage
from rfsn_core.kit import REPORT_GRAMMAR, Remote, chat_request, model_ids, stream_chat
from rfsn_llm_vllm.adapters import Adapters
from rfsn_llm_vllm.archetypes import Registry, Shared

if TYPE_CHECKING:
    from rfsn_llm_vllm import Settings

OPEN: list[Vllm] = []
"""Those in use in this process, for `GET /plugins/llm_vllm/adapters`."""


class Vllm:
    """A vLLM server, or another that speaks the OpenAI chat API, as a renderer."""

    def __init__(self, settings: Settings, host: Host) -> None:
        self._settings, self._log = settings, host.log
        self._model = settings.model
        self._remote = Remote(
            settings.url,
            "the model server",
            connect_timeout=settings.connect_timeout,
            provider="vllm",
            headers={"Authorization": f"Bearer {settings.key}"} if settings.key else None,
            start="Is it running there? `vllm serve MODEL`, or `llama-server -m FILE`",
            missing="Does the address end with /v1, and is the model there? `rfsn models` lists them",
        )
        own = settings.adapters
        self.registry = Registry(host.world_dir, own.folder, own.archetypes)
        self._shared = Shared(own.redis, host.data_dir / "archetypes.json", host.log)
        self.adapters = Adapters(self._load, self._unload, own.max_adapters, own.patience, host.log)
        self._base_only: set[str] = set()  # adapters that cannot be loaded: logged once

    @property
    def url(self) -> str:
        """Return the server's address."""
        return self._remote.shown

    async def start(self) -> None:
        """Read the archetypes of other machines."""
        if self._settings.adapters.enabled:
            await self._shared.exchange(self.registry)
        OPEN.append(self)

    async def close(self) -> None:
        """Close all connections."""
        if self in OPEN:
            OPEN.remove(self)
        await self.adapters.close()
        await self._remote.close()

    async def render(self, prompt: Prompt, options: RenderOptions) -> AsyncGenerator[str | Usage]:
        """Stream a reply, worded by the NPC's adapter where it has one."""
        async with AsyncExitStack() as held:
            adapter = await self._adapter(prompt, held)
            for attempt in range(2):
                model = adapter or await self._base()
                said = False
                try:
                    request = self._request(prompt, model, options)
                    thinks = self._settings.thinks
                    async with aclosing(stream_chat(self._remote, request, thinks=thinks)) as stream:
                        async for part in stream:
                            said = True
                            yield part
                    return
                except EngineError as error:
                    # A server that was restarted has forgotten its adapters, and may have another model.
                    if said or attempt or "does not exist" not in str(error):
                        raise
                    await held.aclose()
                    self._model = self._settings.model
                    self.adapters.forgotten(*await self._loaded())
                    adapter = await self._adapter(prompt, held)

    def _request(self, prompt: Prompt, model: str, options: RenderOptions) -> dict[str, object]:
        settings = self._settings
        temperature, max_tokens = options.over(settings.temperature, settings.max_tokens)
        held = settings.structured and prompt.final_json
        given = {
            "temperature": temperature,
            "max_tokens": max_tokens,
            "priority": settings.priority,
            "structured_outputs": {"grammar": REPORT_GRAMMAR} if held else None,
        }
        return chat_request(prompt, model, {**given, **settings.extra}, settings.omit)

    async def _base(self) -> str:
        """Return the model's name; the server's first one when the settings name none."""
        if not self._model:
            models = await self.models()
            if not models:
                raise EngineError(f"{self._remote} has no model", retryable=True)
            self._model = models[0]
        return self._model

    # ── adapters ─────────────────────────────────────────────────────────────────────────────────

    async def _adapter(self, prompt: Prompt, held: AsyncExitStack) -> str:
        """Return the adapter to use, kept loaded until the stack ends; empty for the base model."""
        if not self._settings.adapters.enabled:
            return ""
        plain = str(prompt.persona.get("plain_action", prompt.action))
        name, path = self.registry.choose(str(prompt.persona.get("archetype", "")), plain)
        if not name or name in self._base_only:
            return ""
        try:
            await held.enter_async_context(self.adapters.using(name, path, why=prompt.npc))
        except EngineError as error:
            if error.retryable:
                raise
            self._base_only.add(name)
            self._log.error("adapter %s cannot be used, the base model speaks for it: %s", name, error)
            return ""
        return name

    async def _load(self, name: str, path: str) -> None:
        try:
            await self._remote.ask("POST", "/load_lora_adapter", {"lora_name": name, "lora_path": path}, patience=60)
        except EngineError as error:
            if "already been loaded" in str(error):
                return
            if "Not Found" in str(error):
                raise EngineError(
                    f"{self._remote} loads no adapters while it runs",
                    hint="Start vLLM with --enable-lora and VLLM_ALLOW_RUNTIME_LORA_UPDATING=True",
                ) from error
            raise

    async def _unload(self, name: str) -> None:
        try:
            await self._remote.ask("POST", "/unload_lora_adapter", {"lora_name": name}, patience=60)
        except EngineError as error:
            if "cannot be found" not in str(error):
                raise

    async def _loaded(self) -> list[str]:
        """Return the adapters that the server has."""
        found = await self._remote.ask("GET", "/models")
        models = found.get("data", []) if isinstance(found, dict) else []
        return [str(model["id"]) for model in models if model.get("parent")]

    # ── what is there ────────────────────────────────────────────────────────────────────────────

    async def health(self) -> str:
        """Return what `rfsn doctor` shows. Raises EngineError when the server does not answer."""
        models = await self.models()
        if self._settings.model and self._settings.model not in models:
            there = ", ".join(models[:10]) or "none"
            raise EngineError(f"{self._remote} has no model '{self._settings.model}'", hint=f"There are: {there}")
        return f"{self._remote}, model {self._settings.model or (models[0] if models else 'none')}"

    async def models(self) -> Sequence[str]:
        """Return the models that the server has, adapters included."""
        return model_ids(self._remote, await self._remote.ask("GET", "/models"))
