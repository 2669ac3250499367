"""The same script through pipecat, with its pipeline, sentence aggregator and speech service base class."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from loguru import logger
from pipecat.frames.frames import (
    Frame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMRunFrame,
    LLMTextFrame,
    TTSAudioRawFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.settings import TTSSettings
from pipecat.services.tts_service import TTSService
from pipecat.workers.runner import WorkerRunner
from script import called, delays, ended, spoke, stagger, tokens

logger.remove()
logger.add(sys.stderr, level="ERROR")


class Model(FrameProcessor):
    """A language model service of pipecat that plays the script."""

    def __init__(self, interval: float) -> None:
        super().__init__()
        self.interval = interval

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if not isinstance(frame, LLMRunFrame):
            await self.push_frame(frame, direction)
            return
        await self.push_frame(LLMFullResponseStartFrame())
        async for token in tokens(self.interval):
            await self.push_frame(LLMTextFrame(token))
        await self.push_frame(LLMFullResponseEndFrame())


class Mute(TTSService):
    """A speech service that notes the time of each call and answers with 10 ms of silence."""

    def __init__(self) -> None:
        settings = TTSSettings(model=None, voice=None, language=None)
        super().__init__(sample_rate=16000, push_start_frame=True, push_stop_frames=True, settings=settings)

    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[Frame | None, None]:
        called(text)
        yield TTSAudioRawFrame(bytes(320), 16000, 1, context_id=context_id)


class End(FrameProcessor):
    """The end of the pipeline: signals when a reply is complete."""

    def __init__(self) -> None:
        super().__init__()
        self.replies: asyncio.Queue[None] = asyncio.Queue()

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, LLMFullResponseEndFrame):
            self.replies.put_nowait(None)
        await self.push_frame(frame, direction)


@asynccontextmanager
async def pipelines(count: int, interval: float) -> AsyncIterator[list[tuple[Any, End]]]:
    made = []
    for _ in range(count):
        end = End()
        pipeline = Pipeline([Model(interval), Mute(), end])
        made.append((PipelineWorker(pipeline, idle_timeout_secs=None, enable_rtvi=False), end))
    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(*(worker for worker, _ in made))
    running = asyncio.create_task(runner.run())
    await asyncio.sleep(1 + count / 100)
    try:
        yield made
    finally:
        await runner.cancel()
        await running


async def cpu_of_a_turn(turns: int) -> float:
    """Return the CPU seconds of a turn."""
    async with pipelines(1, 0) as [(worker, end)]:
        for turn in range(turns + 5):
            if turn == 5:
                before = time.process_time()
            await worker.queue_frame(LLMRunFrame())
            await end.replies.get()
        return (time.process_time() - before) / turns


async def conversations(count: int, seconds: float, interval: float) -> list[float]:
    """Return the delays from the end of a sentence to the speech service, in seconds."""
    ended.clear()
    spoke.clear()
    async with pipelines(count, interval) as made:
        until = time.perf_counter() + seconds

        async def talk(conversation: int, worker: Any, end: End) -> None:
            await asyncio.sleep(stagger(conversation, interval))
            while time.perf_counter() < until:
                await worker.queue_frame(LLMRunFrame())
                await end.replies.get()

        await asyncio.gather(*(talk(conversation, *one) for conversation, one in enumerate(made)))
    return delays(spoke)
