"""The file of keys: what is stored of them, and how they are made, rotated and revoked while servers run.

A key has 256 random bits, so that nobody finds it by trying: a plain SHA-256 of it is as good as a slow hash, and costs
a request a microsecond. See docs/decisions/keys.md.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from rfsn_core.contract.errors import NotFound, UserError
from rfsn_core.kit.files import replace_file
from rfsn_core.server.roles import Role
from rfsn_core.settings.folders import user_config_folder
from rfsn_core.telemetry.logs import logger

log = logger("keys")

FILE, USES = "keys.json", "key_uses"
"""Their names; each worker has a file of uses of its own."""
LOCK_SECONDS = 5.0
"""For a change of the file; a lock that is older was left behind."""
DAY = 86_400.0


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """What is stored of a key. Times are seconds since the epoch."""

    id: str
    name: str
    role: Role
    digest: str
    """SHA-256 of the key, in hexadecimal."""
    created: float
    expires: float = 0.0
    """0: never."""
    rate: float = 0.0
    """Requests and messages a minute that one server takes; 0: any number."""
    old_digest: str = ""
    """Of the key before it was rotated."""
    old_until: float = 0.0

    def accepts(self, digest: str, now: float) -> bool:
        """Return whether a key with this digest is valid now."""
        if self.expires and now >= self.expires:
            return False
        if secrets.compare_digest(digest, self.digest):
            return True
        return now < self.old_until and secrets.compare_digest(digest, self.old_digest)


def digest(text: str) -> str:
    """Return the digest of a key."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def key_id(text: str) -> str:
    """Return the id that is part of a key; empty when it has none."""
    parts = text.split("_", 2)
    return parts[1] if len(parts) == 3 and parts[0] == "rfsn" else ""


def key_folder(world: Path, data: Path) -> Path:
    """Return the folder of a world's keys: the data folder, or, when that is in the world's, one of the user's own.

    Else a world from somebody else could bring keys that its author knows.
    """
    if world.resolve() not in data.resolve().parents:
        return data
    return user_config_folder() / "keys" / hashlib.sha256(str(world.resolve()).encode()).hexdigest()[:16]


class KeyFile:
    """The keys in a folder. Another process may change them at any time; `keys` sees that."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / FILE
        self._stamp: tuple[int, int, int] | None = None
        self._keys: dict[str, Key] = {}
        self.unreadable = False
        """Whether there was a file that could not be read."""

    @property
    def keys(self) -> dict[str, Key]:
        """The keys by id. A file that cannot be read changes nothing; one that is deleted leaves none."""
        try:
            status = self.path.stat()
        except OSError:
            self._stamp, self._keys = None, {}
            return self._keys
        stamp = status.st_mtime_ns, status.st_size, status.st_ino
        if stamp != self._stamp:
            self._stamp = stamp
            try:
                self._keys = self._read()
            except UserError as error:
                self.unreadable = True
                log.error("keys.unreadable", error=str(error), hint="The keys from before stay valid")
        return self._keys

    def _read(self) -> dict[str, Key]:
        try:
            keys = msgspec.json.decode(self.path.read_bytes(), type=list[Key])
        except FileNotFoundError:
            return {}
        except (OSError, msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
            raise UserError(
                f"{self.path}: cannot be read: {error}", hint="Restore it, or delete it to begin again"
            ) from error
        return {key.id: key for key in keys}

    def create(self, name: str, role: Role, *, days: float = 0.0, rate: float = 0.0) -> tuple[Key, str]:
        """Make a key; return what is stored, and the key itself, which is stored nowhere. Raises UserError."""
        now = time.time()
        identity = secrets.token_hex(4)
        text = f"rfsn_{identity}_{secrets.token_urlsafe(32)}"
        key = Key(
            id=identity, name=name, role=role, digest=digest(text), created=now,
            expires=now + days * DAY if days else 0.0, rate=rate,
        )  # fmt: skip
        with self._changing() as keys:
            keys[identity] = key
        return key, text

    def rotate(self, identity: str, *, grace: float = 0.0) -> tuple[Key, str]:
        """Exchange a key and return the new one; its role, limit and expiry stay. Raises NotFound or UserError.

        :param grace: seconds for which the old one still works.
        """
        text = f"rfsn_{identity}_{secrets.token_urlsafe(32)}"
        with self._changing() as keys:
            if (old := keys.get(identity)) is None:
                raise NotFound(f"no key '{identity[:40]}'", hint="`rfsn keys list` shows them")
            keys[identity] = key = msgspec.structs.replace(
                old, digest=digest(text), old_digest=old.digest, old_until=time.time() + grace if grace else 0.0
            )
        return key, text

    def revoke(self, identity: str) -> Key:
        """Delete a key and return what was stored of it. Raises NotFound or UserError."""
        with self._changing() as keys:
            if (key := keys.pop(identity, None)) is None:
                raise NotFound(f"no key '{identity[:40]}'", hint="`rfsn keys list` shows them")
        return key

    @contextmanager
    def _changing(self) -> Iterator[dict[str, Key]]:
        """Give the keys to change; they are written when the block ends without an error."""
        try:
            with self._locked():
                keys = self._read()
                yield keys
                write_private(self.path, msgspec.json.format(msgspec.json.encode(list(keys.values()))))
        except OSError as error:
            raise UserError(f"{self.path}: cannot be written: {error.strerror or error}") from error

    @contextmanager
    def _locked(self) -> Iterator[None]:
        lock = self.path.with_suffix(".lock")
        lock.parent.mkdir(parents=True, exist_ok=True)
        until = time.monotonic() + LOCK_SECONDS
        while True:
            try:
                os.close(os.open(lock, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
                break
            except FileExistsError:
                if time.monotonic() > until:
                    with suppress(OSError):
                        lock.unlink()
                time.sleep(0.02)
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)

    def last_uses(self) -> dict[str, float]:
        """Return key id → when a server last saw it, in seconds since the epoch; about a minute late."""
        uses: dict[str, float] = {}
        for file in self.folder.glob(f"{USES}*.json"):
            with suppress(OSError, msgspec.MsgspecError):
                for identity, moment in msgspec.json.decode(file.read_bytes(), type=dict[str, float]).items():
                    uses[identity] = max(moment, uses.get(identity, 0.0))
        return uses


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner can read, as far as the system knows owners. Raises OSError."""
    with replace_file(path, sync=False) as file:
        if os.name != "nt":
            os.fchmod(file.fileno(), 0o600)
        file.write(content)
