"""Who a client is: the key that it sends, or the session of a browser in which a person has entered one."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import secrets
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec
from starlette.requests import HTTPConnection

from rfsn_core.runtime.builder import Runtimes
from rfsn_core.server import address
from rfsn_core.server.keys import USES, KeyFile, digest, key_folder, key_id, write_private
from rfsn_core.server.roles import Role
from rfsn_core.settings.protection import is_local

SUBPROTOCOL = "rfsn.key."
"""With the key in base64url behind it: how a page, whose websockets have no headers, sends a key."""
SESSION_SECONDS = 7 * 86_400
WRITE_USES_EVERY = 60.0
"""Seconds between two notes of when keys were used."""
SERVER_KEY = "server.key"
COMMANDS = "commands"
"""What the commands of this machine are called, which read the secret of the running server from its data folder."""


class Bucket:
    """How much of its limit a key has left: bursts of ten seconds' worth pass."""

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self._most = max(1.0, rate / 6)
        self._left, self._filled = self._most, time.monotonic()

    def wait(self) -> float:
        """Take one request; return 0, or the seconds after which to try again."""
        now = time.monotonic()
        self._left = min(self._most, self._left + (now - self._filled) * self.rate / 60)
        self._filled = now
        if self._left >= 1:
            self._left -= 1
            return 0.0
        return (1 - self._left) * 60 / self.rate


@dataclass(frozen=True)
class Client:
    """A client with what its key allows."""

    role: Role
    key: str = ""
    """The key's id; empty where none is needed."""
    name: str = ""
    digest: str = ""
    bucket: Bucket | None = None

    def wait(self) -> float:
        """Take one request off the key's limit; return 0, or the seconds after which to try again."""
        return self.bucket.wait() if self.bucket else 0.0


class Authenticator:
    """Finds out who a client is."""

    def __init__(self, runtimes: Runtimes) -> None:
        self._runtimes = runtimes
        self.file = KeyFile(key_folder(runtimes.world_dir, runtimes.data_dir))
        # A parent of several workers makes one for all of them.
        shared = address.read(runtimes.data_dir)[1] if runtimes.worker else ""
        self.own_secret = shared or secrets.token_urlsafe(32)
        """For the commands of this machine."""
        self._buckets: dict[str, Bucket] = {}
        self._uses: dict[str, float] = {}
        self._written = 0.0
        self._protected = False
        self._session_secret = b""

    @property
    def required(self) -> bool:
        """Whether a key is needed. It stays needed until a restart, whatever becomes of settings and files."""
        if not self._protected:
            settings = self._runtimes.current.settings.server
            local = is_local(self._runtimes.bound or settings.host)
            self._protected = bool(settings.key or self.file.keys or self.file.unreadable or not local)
        return self._protected

    def identify(self, connection: HTTPConnection, *, own_page: bool) -> Client | None:
        """Return who sent a request; None when it has no valid key and one is needed.

        :param own_page: whether it may come from our own page, so that the session of a browser counts.
        """
        text = _key_of(connection)
        if text:
            client = self._of_key(text)
        else:
            cookie = connection.cookies.get(self.cookie_name(connection), "") if own_page else ""
            client = self._of_session(cookie)
        if client is not None:
            self._note_use(client.key)
        elif not self.required:
            return Client("admin")
        return client

    def is_valid(self, client: Client) -> bool:
        """Return whether a client that was let in may stay."""
        if client.key == COMMANDS:
            return True
        if not client.key:
            return not self.required
        return self._accepted(client.key, client.digest) is not None

    def login(self, text: str) -> tuple[Client, str] | None:
        """Return who has this key, and the value of a session's cookie; None when it is not valid."""
        if (client := self._of_key(text.strip())) is None:
            return None
        expires = int(time.time()) + SESSION_SECONDS
        return client, f"{client.key}~{expires}~{self._signature(client.key, expires, client.digest)}"

    def cookie_name(self, connection: HTTPConnection) -> str:
        """Return the name of the session's cookie: browsers send a cookie to all ports of a machine."""
        server = connection.scope.get("server")
        return f"rfsn_session_{server[1] if server else 0}"

    # ── keys ─────────────────────────────────────────────────────────────────────────────────────

    def _of_key(self, text: str) -> Client | None:
        if _equal(text, self.own_secret):
            return Client("operator", COMMANDS, "commands of this machine")
        given = digest(text)
        return self._accepted(SERVER_KEY, given) or self._accepted(key_id(text), given)

    def _accepted(self, identity: str, given: str) -> Client | None:
        """Return the client whose key has this id and digest; None when it is not valid, or no more."""
        if identity == SERVER_KEY:
            configured = self._runtimes.current.settings.server.key
            matches = configured and _equal(given, digest(configured))
            return Client("admin", SERVER_KEY, SERVER_KEY, given) if matches else None
        key = self.file.keys.get(identity)
        if key is None or not key.accepts(given, time.time()):
            return None
        bucket = self._buckets.get(identity)
        if key.rate and (bucket is None or bucket.rate != key.rate):
            bucket = self._buckets[identity] = Bucket(key.rate)
        return Client(key.role, identity, key.name, given, bucket if key.rate else None)

    # ── sessions ─────────────────────────────────────────────────────────────────────────────────

    def _of_session(self, cookie: str) -> Client | None:
        identity, _, rest = cookie.partition("~")
        expires, _, signature = rest.partition("~")
        if not (expires.isdecimal() and len(expires) < 15 and int(expires) > time.time()):
            return None
        for candidate in self._digests(identity):
            if _equal(signature, self._signature(identity, int(expires), candidate)):
                return self._accepted(identity, candidate)
        return None

    def _digests(self, identity: str) -> tuple[str, ...]:
        if identity == SERVER_KEY:
            return (digest(self._runtimes.current.settings.server.key),)
        key = self.file.keys.get(identity)
        return (key.digest, key.old_digest) if key else ()

    def _signature(self, identity: str, expires: int, given: str) -> str:
        """Sign a session with a secret next to the keys and with the key's digest, so that it ends with the key."""
        if not self._session_secret:
            self._session_secret = _session_secret(self.file.folder)
        text = f"session {identity} {expires} {given}"
        return hmac.new(self._session_secret, text.encode(), hashlib.sha256).hexdigest()

    # ── last use ─────────────────────────────────────────────────────────────────────────────────

    def _note_use(self, identity: str) -> None:
        now = time.time()
        self._uses[identity] = now
        if now - self._written >= WRITE_USES_EVERY:
            self.write_uses()

    def write_uses(self) -> None:
        """Write when each key was last used; at times, and when the server stops."""
        self._written = time.time()
        worker = self._runtimes.worker
        file = self.file.folder / (f"{USES}-{worker}.json" if worker else f"{USES}.json")
        if self._uses:
            with suppress(OSError, msgspec.MsgspecError):
                known = msgspec.json.decode(file.read_bytes(), type=dict[str, float]) if file.exists() else {}
                write_private(file, msgspec.json.encode(known | self._uses))


def _key_of(connection: HTTPConnection) -> str:
    """Return the key that a request carries; empty when it has none."""
    scheme, _, key = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and key:
        return key.strip()
    for name in connection.scope.get("subprotocols", ()):
        if name.startswith(SUBPROTOCOL):
            text = name.removeprefix(SUBPROTOCOL)
            with suppress(binascii.Error, ValueError):
                return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
    return ""


def _equal(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode("utf-8", "surrogatepass"), other.encode("utf-8", "surrogatepass"))


def _session_secret(folder: Path) -> bytes:
    """Return the secret that signs sessions; the first server with these keys makes it. Raises OSError."""
    path = folder / "session.secret"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):
            descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(secrets.token_bytes(32))
    return path.read_bytes()
