"""An engine behind HTTP: one pooled client, lines as they come, and errors that say what to do.

For plugins. Nothing is asked twice here: the kernel does that, before the first token.
"""

from __future__ import annotations

import asyncio
import email.utils
import ipaddress
import os
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager, contextmanager, suppress
from typing import Any, cast

import httpx
import msgspec

from rfsn_core.contract.errors import EngineError
from rfsn_core.telemetry.logs import logger
from rfsn_core.telemetry.redaction import SECRETS

log = logger("http")

MOST_LINE = 1 << 20
"""Longest line of a stream, in bytes."""
MOST_ERROR = 1 << 16
LAST_BYTES = 0.5
"""Seconds that an answer may take to end after its end mark; then its connection is closed."""
_SECRET_HEADERS = ("Authorization", "x-api-key")
_reported: set[str] = set()
_CREDENTIALS = re.compile(r"//[^/@]*@")
RETRYABLE = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
"""HTTP statuses after which the same request may succeed."""


def api_key(given: str, variable: str, service: str) -> str:
    """Return the key from the settings, or the environment. Raises EngineError that says where to put it."""
    key = (given.strip() or os.environ.get(variable, "")).strip()
    SECRETS.remember([key])
    if not key:
        raise EngineError(f"there is no API key for {service}", hint=f"Set {variable} in the environment")
    return key


def _headers(name: str, headers: Mapping[str, str] | None) -> dict[str, str]:
    """Return headers without the white space around them; their values are kept out of every text from now on.

    Raises EngineError for a key with characters that no header may have.
    """
    clean = {header: " ".join(value.split()) for header, value in (headers or {}).items()}
    SECRETS.remember(value.removeprefix("Bearer ") for header, value in clean.items() if header in _SECRET_HEADERS)
    for value in clean.values():
        if not (value.isascii() and value.isprintable()):
            raise EngineError(f"the key for {name} has characters that no key has", hint="Copy it again")
    return clean


def is_private(url: str) -> bool:
    """Return whether an address is on this machine or its network, where no proxy leads."""
    try:
        host = httpx.URL(url).host.lower().rstrip(".")
    except (httpx.InvalidURL, UnicodeError):
        return False
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return "." not in host or host.endswith((".localhost", ".local", ".lan", ".internal", ".home.arpa"))


def _client(url: str, **options: Any) -> httpx.AsyncClient:
    """Return a client; one without a proxy for private addresses, and when the proxy of the environment is unusable."""
    if is_private(url):
        return httpx.AsyncClient(trust_env=False, **options)
    try:
        return httpx.AsyncClient(**options)
    except Exception as error:  # noqa: BLE001  a proxy or certificate of the environment: no reason not to start
        reason = SECRETS.redact(str(error))
        if reason not in _reported:
            _reported.add(reason)
            log.warning("proxy.unusable", error=reason, hint="Check HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, SSL_CERT_FILE")
        return httpx.AsyncClient(trust_env=False, **options)


class Remote:
    """One engine.

    :param url: to which paths are added.
    :param name: how messages call it: `Ollama at http://…`.
    :param start: what to do when nobody answers; the hint of the error.
    :param provider: as the settings name it, for hints.
    :param missing: what to do when it answers 404, such as for a model that is not there.
    """

    def __init__(
        self, url: str, name: str, *, connect_timeout: float, headers: Mapping[str, str] | None = None,
        start: str = "", missing: str = "", provider: str = "",
    ) -> None:  # fmt: skip
        self.url, self.name = url.rstrip("/"), name
        self.start, self.missing, self._provider = start, missing, provider
        # No limit on reading: how long to wait for tokens is the kernel's to say, and the same for all engines.
        timeout = httpx.Timeout(None, connect=connect_timeout, pool=connect_timeout)
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=100)
        self.client = _client(
            self.url, headers={"Accept-Encoding": "identity", **_headers(name, headers)}, timeout=timeout, limits=limits
        )

    def __str__(self) -> str:
        return f"{self.name} at {self.shown}"

    @property
    def shown(self) -> str:
        """The address without a password: clients and logs see it."""
        return _CREDENTIALS.sub("//", self.url)

    async def close(self) -> None:
        """Close all connections."""
        await self.client.aclose()

    @asynccontextmanager
    async def stream(self, path: str, body: Mapping[str, Any]) -> AsyncIterator[AsyncIterator[bytes]]:
        """POST, and the lines of the answer as they come. Leaving early closes the connection, which stops the engine.

        Raises EngineError for whatever goes wrong, from the connection to the last line.
        """
        with self._told():
            async with self.client.stream(
                "POST", self.url + path, content=msgspec.json.encode(body), headers={"Content-Type": "application/json"}
            ) as response:
                if response.status_code != 200:
                    raise self._refusal(response, await _beginning(response), body)
                # Everything is closed here and now, and not when the garbage is collected: that is what stops engines.
                async with aclosing(self._lines(response)) as lines:
                    yield lines
                    with suppress(TimeoutError):
                        async with asyncio.timeout(LAST_BYTES):
                            async for _ in lines:  # read to its end, a connection can be used again
                                pass

    async def _lines(self, response: httpx.Response) -> AsyncGenerator[bytes]:
        rest = b""
        # Some proxies compress what they were asked not to.
        source = response.aiter_bytes() if response.headers.get("content-encoding") else response.aiter_raw()
        async with aclosing(cast("AsyncGenerator[bytes]", source)) as chunks:
            async for chunk in chunks:
                *whole, rest = (rest + chunk).split(b"\n")
                for line in whole:
                    yield line
                if len(rest) > MOST_LINE:
                    raise EngineError(f"{self} sent a line of more than {MOST_LINE} bytes")
        if rest:
            yield rest

    async def ask(self, method: str, path: str, body: Any = None, *, patience: float = 5.0) -> Any:
        """One request with one answer: its JSON, or its text where it is none. Raises EngineError."""
        with self._told():
            response = await self.client.request(method, self.url + path, json=body, timeout=patience)
            if response.status_code >= 300:
                raise self._refusal(response, response.content, {})
        try:
            return msgspec.json.decode(response.content)
        except msgspec.DecodeError:
            return response.text

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Raise what httpx raises as an EngineError that says what to do."""
        try:
            yield
        except (httpx.UnsupportedProtocol, httpx.InvalidURL, UnicodeError) as error:
            raise EngineError(
                f"{self}: that is no address: {error}",
                hint="It begins with http:// or https://",
                public="its address cannot be used",
            ) from error
        except httpx.ConnectTimeout as error:
            raise EngineError(
                f"{self} does not answer", retryable=True, hint=self.start, public="it does not answer"
            ) from error
        except httpx.ConnectError as error:
            if "SSL" in str(error) or "TLS" in str(error) or "CERTIFICATE" in str(error):
                hint = "Does the server speak https? If not, write http://"
                raise EngineError(
                    f"{self}: no secure connection: {error}", hint=hint, public="no secure connection"
                ) from error
            raise EngineError(
                f"{self} cannot be reached", retryable=True, hint=self.start, public="it cannot be reached"
            ) from error
        except httpx.TimeoutException as error:
            raise EngineError(f"{self} takes too long", retryable=True, public="it takes too long") from error
        except httpx.RequestError as error:
            raise EngineError(
                f"{self} broke off: {SECRETS.redact(str(error)) or type(error).__name__}",
                retryable=True,
                public="it broke off its answer",
            ) from error

    def _refusal(self, response: httpx.Response, content: bytes, body: Mapping[str, Any]) -> EngineError:
        status, text = response.status_code, SECRETS.redact(complaint(content))
        hint = ""
        if status in (401, 403):
            hint = "Check the key"
        elif status == 404:
            hint = self.missing
        too_long = status in (400, 413) and ("context" in text and ("length" in text or "size" in text))
        if too_long:
            hint = "Lower rendering.prompt_tokens, or give the model a larger context"
        elif status in (400, 422) and (key := _refused_key(text, body)):
            hint = f'Leave it out: {self._provider}.omit = ["{key}"]'.replace(": .", ": ")
        return EngineError(
            f"{self} refused ({status}): {text or response.reason_phrase}",
            retryable=status in RETRYABLE,
            retry_after=retry_after(response.headers),
            engine_at_fault=not too_long,
            hint=hint,
            public=f"it refused the request ({status})",
        )


def _refused_key(text: str, body: Mapping[str, Any]) -> str:
    """Return the key of a request that an error names in quotes, if it can do without."""
    keys = {*body, *body.get("options", ())} - {"model", "messages", "stream"}
    return next((name for name in re.findall(r"[\"'`]([a-z_]{2,40})[\"'`]", text) if name in keys), "")


async def _beginning(response: httpx.Response) -> bytes:
    content = b""
    async for chunk in response.aiter_raw():
        content += chunk
        if len(content) > MOST_ERROR:
            break
    return content


def complaint(content: bytes) -> str:
    """Return what an error says: `{"error": "…"}`, `{"error": {"message": "…"}}`, `{"detail": …}`, or plain text."""
    try:
        found = msgspec.json.decode(content)
    except (msgspec.DecodeError, RecursionError):
        return content[:300].decode("utf-8", "replace").strip()
    if isinstance(found, dict):
        found = found.get("error", found.get("detail", found.get("message", found)))
    if isinstance(found, dict):
        found = found.get("message", found)
    return str(found)[:500]


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds, from `retry-after-ms` or `Retry-After` (seconds or a date); None when there is none."""
    try:
        if "retry-after-ms" in headers:
            return max(0.0, float(headers["retry-after-ms"]) / 1000)
        value = headers.get("retry-after", "")
        if not value:
            return None
        if value.replace(".", "", 1).isdigit():
            return float(value)
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, TypeError):
        return None


async def server_sent(lines: AsyncIterator[bytes]) -> AsyncGenerator[bytes]:
    """Yield the data of server-sent events; their names are left out, since the data tells them, too.

    Source: WHATWG HTML, section 9.2.6. Unlike there, an event counts that the end of the stream cuts short, and one
    JSON object in place of a stream is the data of one event.
    """
    data: list[bytes] = []
    whole = None  # of a server that does not stream: one JSON object, and no events
    async for line in lines:
        if line.endswith(b"\r"):
            line = line[:-1]
        if whole is None and line.strip() and not data:
            whole = line.lstrip()[:1] == b"{"
        if whole:
            data.append(line)
            if sum(map(len, data)) > MOST_LINE:
                raise EngineError("an answer that is no stream has more than 1 MB")
            continue
        if line.startswith(b"data:"):
            data.append(line[6:] if line[5:6] == b" " else line[5:])
        elif not line and data:
            yield data[0] if len(data) == 1 else b"\n".join(data)
            data = []
    if data:
        yield b"\n".join(data)
