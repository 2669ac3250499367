"""What a renderer behind HTTP must do besides, against an engine that fails in every way there is.

::

    class TestMine(RemoteRendererSuite):
        provider = "mine"

        def reach(self, url: str) -> dict[str, Any]:
            return {"url": url, "model": "tiny"}
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from rfsn_core.contract.errors import EngineError
from rfsn_core.contract.rendering import Renderer, RenderOptions
from rfsn_core.protocol.turn import Usage
from rfsn_core.testing.engine import Fault, StandIn
from rfsn_core.testing.suites import RendererSuite, generator, make_prompt, spoken


class RemoteRendererSuite(RendererSuite):
    """For renderers behind HTTP that speak one of the stand-in's wires."""

    engine: StandIn

    def reach(self, url: str) -> dict[str, Any]:
        """Return the settings for an engine at this address, with the model `tiny`."""
        raise NotImplementedError

    @pytest.fixture(autouse=True)
    def stand_in(self) -> Iterator[None]:
        """Start a fresh engine for each test."""
        with StandIn() as engine:
            self.engine = engine
            type(self).settings = self.reach(engine.url)
            yield

    def failing(self, folder: Path, fault: Fault | None = None) -> tuple[EngineError, str]:
        """Return the error of one reply, and what was said before it."""
        if fault is not None:
            self.engine.faults.append(fault)
        errors: list[tuple[EngineError, str]] = []

        async def body(renderer: Renderer) -> None:
            said = []
            try:
                async for token in renderer.render(make_prompt(), RenderOptions()):
                    if isinstance(token, str):
                        said.append(token)
            except EngineError as error:
                errors.append((error, "".join(said)))

        self.run(folder, body)
        assert errors, "it did not raise EngineError"
        return errors[0]

    def test_it_says_what_the_engine_says_and_tells_the_usage(self, tmp_path: Path) -> None:
        async def body(renderer: Renderer) -> None:
            tokens = [token async for token in renderer.render(make_prompt(), RenderOptions())]
            assert "".join([token for token in tokens if isinstance(token, str)]) == "Good evening, traveller."
            usage = [token for token in tokens if isinstance(token, Usage)]
            assert [(item.prompt_tokens, item.completion_tokens) for item in usage] == [(42, 3)]

        self.run(tmp_path, body)

    def test_options_win_over_settings(self, tmp_path: Path) -> None:
        async def body(renderer: Renderer) -> None:
            await spoken(renderer, make_prompt(), RenderOptions(temperature=0.125, max_tokens=17))
            text = repr(self.engine.requests[-1][1])
            assert "0.125" in text
            assert "17" in text

        self.run(tmp_path, body)

    def test_what_it_thinks_is_not_spoken(self, tmp_path: Path) -> None:
        self.engine.reasoning = ["I should ", "lie."]

        async def body(renderer: Renderer) -> None:
            assert await spoken(renderer, make_prompt()) == "Good evening, traveller."

        self.run(tmp_path, body)

    @pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 529])
    def test_what_may_pass_is_retryable(self, tmp_path: Path, status: int) -> None:
        error, _ = self.failing(tmp_path, Fault("refuse", status=status, message="busy", retry_after=1.5))
        assert (error.retryable, error.retry_after, error.engine_at_fault) == (True, 1.5, True)
        assert "busy" in str(error)

    @pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
    def test_what_will_not_pass_is_not(self, tmp_path: Path, status: int) -> None:
        error, _ = self.failing(tmp_path, Fault("refuse", status=status, message="no"))
        assert not error.retryable
        assert str(status) in str(error)

    def test_an_unknown_model_is_told_with_what_to_do(self, tmp_path: Path) -> None:
        self.engine.models = ["another"]
        error, _ = self.failing(tmp_path)
        assert "tiny" in str(error)
        assert error.hint

    def test_a_wrong_key_is_told(self, tmp_path: Path) -> None:
        self.engine.key = "another"
        error, _ = self.failing(tmp_path)
        assert "key" in str(error).lower()
        assert not error.retryable

    def test_a_prompt_that_is_too_long_is_not_the_engines_fault(self, tmp_path: Path) -> None:
        self.engine.context = 1
        error, _ = self.failing(tmp_path)
        assert not error.retryable
        assert not error.engine_at_fault
        assert "prompt_tokens" in error.hint

    @pytest.mark.parametrize("kind", ["cut", "error", "garbage", "endless"])
    def test_a_failure_in_the_middle_comes_after_what_was_said(self, tmp_path: Path, kind: Any) -> None:
        error, said = self.failing(tmp_path, Fault(kind, after=2, message="it broke"))
        assert said.startswith("Good evening,")
        assert "traveller." not in said or kind == "endless"
        assert error.message

    def test_a_line_without_end_is_cut_off(self, tmp_path: Path) -> None:
        error, _ = self.failing(tmp_path, Fault("bytes", content=b"x" * 3_000_000))
        assert "line" in str(error)

    def test_a_dropped_connection_is_retryable(self, tmp_path: Path) -> None:
        error, _ = self.failing(tmp_path, Fault("drop"))
        assert error.retryable

    def test_nobody_there_is_told_with_what_to_do(self, tmp_path: Path) -> None:
        with socket.socket() as occupied:
            occupied.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
            type(self).settings = self.reach(f"http://127.0.0.1:{occupied.getsockname()[1]}")
            error, _ = self.failing(tmp_path)
        assert error.retryable
        assert error.hint

    def test_no_tls_where_tls_is_expected(self, tmp_path: Path) -> None:
        type(self).settings = self.reach(self.engine.url.replace("http:", "https:"))
        error, _ = self.failing(tmp_path)
        assert "https" in str(error)

    @pytest.mark.parametrize("address", ["ftp://127.0.0.1", "127.0.0.1:80", "http://", "http://:x", "nonsense"])
    def test_an_address_that_is_none(self, tmp_path: Path, address: str) -> None:
        type(self).settings = self.reach(address)
        assert self.failing(tmp_path)[0].message

    def test_closing_reaches_the_engine(self, tmp_path: Path) -> None:
        self.engine.tokens, self.engine.interval = ["word "] * 500, 0.01

        async def body(renderer: Renderer) -> None:
            async with aclosing(generator(renderer.render(make_prompt(), RenderOptions()))) as stream:
                for _ in range(3):
                    await anext(stream)
                assert self.engine.running == 1
            await self.engine.until(running=0)
            assert len(self.engine.closed) == 1

        self.run(tmp_path, body)

    def test_cancelling_before_the_first_token_reaches_it_too(self, tmp_path: Path) -> None:
        self.engine.always = Fault("stall")

        async def body(renderer: Renderer) -> None:
            tasks = [asyncio.create_task(spoken(renderer, make_prompt())) for _ in range(20)]
            await self.engine.until(running=20)
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            await self.engine.until(running=0)
            assert len(self.engine.closed) == 20

        self.run(tmp_path, body)

    def test_what_omit_names_is_left_out(self, tmp_path: Path) -> None:
        async def body(renderer: Renderer) -> None:
            await spoken(renderer, make_prompt())

        for omit in ([], ["temperature"]):
            type(self).settings = {**self.reach(self.engine.url), "omit": omit}
            self.run(tmp_path, body)
            request = self.engine.requests[-1][1]
            assert ("temperature" in {**request, **request.get("options", {})}) is not bool(omit)

    def test_a_refused_key_is_told_with_what_to_set(self, tmp_path: Path) -> None:
        text = "Unsupported value: 'temperature' does not support 0.7 with this model."
        self.engine.always = Fault("refuse", status=400, message=text)
        assert f'{self.provider}.omit = ["temperature"]' in self.failing(tmp_path)[0].hint

    def test_thoughts_that_the_template_began_get_their_mark(self, tmp_path: Path) -> None:
        self.engine.tokens = ["They greet.", "</think>", "Well met."]
        type(self).settings = {**self.reach(self.engine.url), "thinks": True}

        async def body(renderer: Renderer) -> None:
            assert await spoken(renderer, make_prompt()) == "<think>They greet.</think>Well met."

        self.run(tmp_path, body)

    def test_health_and_models(self, tmp_path: Path) -> None:
        async def well(renderer: Any) -> None:
            assert "tiny" in await renderer.health()
            assert "tiny" in await renderer.models()

        async def away(renderer: Any) -> None:
            with pytest.raises(EngineError):
                await renderer.health()

        self.run(tmp_path, well)
        self.engine.stop()
        self.run(tmp_path, away)
