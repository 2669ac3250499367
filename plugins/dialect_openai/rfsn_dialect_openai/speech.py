"""Speech on OpenAI's wire: our voices, and the NPCs', for other programs."""

from __future__ import annotations

import importlib
import io
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from rfsn_core import DialectHost, RfsnError, Sound, UserError
from rfsn_core.kit import Resampler, wav_bytes
from rfsn_dialect_openai.chat import Failed, read_body
from rfsn_dialect_openai.openai import answering_errors

PCM_RATE = 24_000
"""Hz of `pcm`, which has no header: OpenAI's is 24 kHz."""
LONGEST = 8192
"""Characters of a text."""
ENCODED = {
    "mp3": ("mp3", "libmp3lame", "audio/mpeg"),
    "opus": ("ogg", "libopus", "audio/ogg"),
    "aac": ("adts", "aac", "audio/aac"),
    "flac": ("flac", "flac", "audio/flac"),
}
"""Format → its container, its codec and its media type."""
OPUS_RATE = 48_000


def speech_routes(host: DialectHost) -> list[BaseRoute]:
    """Return the routes."""

    async def speech(request: Request) -> Response:
        body = await read_body(request)
        text, kind = body.get("input"), str(body.get("response_format") or "mp3").lower()
        if not isinstance(text, str) or not text.strip():
            raise Failed(400, "invalid_request", "'input' must be a text")
        if len(text) > LONGEST:
            raise Failed(400, "too_long", f"'input' has {len(text)} characters; {LONGEST} at most")
        _check_format(kind)
        rate = _speed(body.get("speed"))
        try:
            sound = await host.speak(text, str(body.get("voice") or ""), rate)
            data, media = encoded(sound, kind)
        except (ValueError, UserError) as error:
            raise Failed(400, "invalid_request", str(error)) from error
        except RfsnError as error:
            raise Failed(503, error.code, str(error)) from error
        return Response(data, media_type=media)

    async def voices(request: Request) -> Response:
        own = [{"id": npc.id, "name": npc.name} for npc in host.npcs()]
        return JSONResponse({"voices": [*own, *({"id": name, "name": name} for name in await host.voices())]})

    async def models(request: Request) -> Response:
        return JSONResponse({"models": [{"id": "rfsn"}]})

    return [
        Route("/v1/audio/speech", answering_errors(speech), methods=["POST"]),
        Route("/v1/audio/voices", answering_errors(voices), methods=["GET"]),
        Route("/v1/audio/models", models, methods=["GET"]),
    ]


def _speed(value: object) -> float:
    """Return a request's speed, within the bounds of OpenAI's. Raises Failed when it is no number."""
    try:
        return min(4.0, max(0.25, float(str(value or 1.0))))
    except ValueError as error:
        raise Failed(400, "invalid_request", "'speed' must be a number from 0.25 to 4") from error


def _check_format(kind: str) -> None:
    if kind in ("wav", "pcm"):
        return
    if kind not in ENCODED:
        raise Failed(400, "invalid_request", f"no format '{kind[:20]}'; there are wav, pcm, {', '.join(ENCODED)}")
    try:
        importlib.import_module("av")
    except ImportError as error:
        hint = f"'{kind}' needs a package on the server (pip install \"rfsn-dialect-openai[mp3]\")"
        raise Failed(400, "invalid_request", f"{hint}; wav and pcm need none") from error


def encoded(sound: Sound, kind: str) -> tuple[bytes, str]:
    """Return sound in a format, and its media type. Raises UserError when `pcm` needs a package for another rate."""
    if kind == "wav":
        return wav_bytes(sound.pcm, sound.sample_rate), "audio/wav"
    if kind == "pcm":
        resampler = Resampler(sound.sample_rate, PCM_RATE)
        return resampler.feed(sound.pcm) + resampler.finish(), "audio/pcm"
    container, codec, media = ENCODED[kind]
    return _compressed(sound, container, codec), media


def _compressed(sound: Sound, container: str, codec: str) -> bytes:
    av: Any = importlib.import_module("av")
    file = io.BytesIO()
    with (
        av.open(io.BytesIO(wav_bytes(sound.pcm, sound.sample_rate))) as source,
        av.open(file, "w", format=container) as target,
    ):
        rate = OPUS_RATE if codec == "libopus" else sound.sample_rate
        stream = target.add_stream(codec, rate=rate, layout="mono")
        for frame in source.decode(audio=0):
            for packet in stream.encode(frame):
                target.mux(packet)
        for packet in stream.encode(None):
            target.mux(packet)
    return file.getvalue()
