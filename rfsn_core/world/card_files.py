"""Character cards as files: the JSON inside a PNG or APNG picture, a CHARX archive, or a JSON file, and back."""

from __future__ import annotations

import base64
import binascii
import json
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

from rfsn_core.contract.errors import UserError

SIGNATURE = b"\x89PNG\r\n\x1a\n"
KEYWORDS = ("ccv3", "chara")
"""Keywords of the text chunks that hold a card; the first wins."""
LARGEST = 20_000_000
"""Bytes of a file, and of the JSON in an archive."""


def read_json(path: Path) -> Any:
    """Return the JSON of a card, a lorebook or another file. Raises UserError."""
    try:
        if path.stat().st_size > LARGEST:
            raise UserError(f"{path}: more than {LARGEST // 1_000_000} MB")
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from error
    try:
        if data.startswith(SIGNATURE):
            return json.loads(_card_in_png(data))
        if data.startswith(b"PK\x03\x04"):
            return json.loads(_card_in_archive(data))
        return json.loads(data.decode("utf-8-sig"))
    except UserError as error:
        raise UserError(f"{path}: {error.message}", hint=error.hint) from error
    except (ValueError, RecursionError, binascii.Error) as error:
        raise UserError(f"{path}: no card, lorebook or other JSON: {error}") from error


def _card_in_png(data: bytes) -> bytes:
    found: dict[str, bytes] = {}
    for kind, content in chunks(data):
        if kind == b"tEXt":
            keyword, _, text = content.partition(b"\0")
            found.setdefault(keyword.decode("latin-1").casefold(), text)
    for name in KEYWORDS:
        if name in found:
            return base64.b64decode(found[name], validate=True)
    raise UserError("the picture holds no character", hint="Was it saved again by a picture program? Those drop it")


def chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield (type, content) of a PNG's chunks. Raises UserError for a damaged file."""
    at = len(SIGNATURE)
    while at < len(data):
        if at + 12 > len(data):
            raise UserError("the picture is cut off")
        (length,) = struct.unpack_from(">I", data, at)
        kind, content = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        if at + 12 + length > len(data):
            raise UserError("the picture is cut off")
        if struct.unpack_from(">I", data, at + 8 + length)[0] != zlib.crc32(kind + content):
            raise UserError("the picture is damaged: a checksum is wrong")
        yield kind, content
        at += 12 + length


def _card_in_archive(data: bytes) -> bytes:
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            entry = archive.getinfo("card.json")
            if entry.file_size > LARGEST:
                raise UserError(f"card.json has more than {LARGEST // 1_000_000} MB")
            with archive.open(entry) as file:
                card = file.read(LARGEST + 1)
    except KeyError as error:
        raise UserError("the archive has no card.json") from error
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError) as error:
        raise UserError(f"the archive is damaged: {error}") from error
    if len(card) > LARGEST:
        raise UserError(f"card.json has more than {LARGEST // 1_000_000} MB")
    return card


def picture_of(path: Path) -> bytes:
    """Return the picture of a card, without the card in it; empty for a file that is none. Raises UserError."""
    data = path.read_bytes()
    if not data.startswith(SIGNATURE):
        return b""
    return SIGNATURE + b"".join(_chunk(kind, content) for kind, content in chunks(data) if not _is_card(kind, content))


def _is_card(kind: bytes, content: bytes) -> bool:
    return kind == b"tEXt" and content.partition(b"\0")[0].decode("latin-1").casefold() in KEYWORDS


def png_card(picture: bytes, card: Mapping[str, Any]) -> bytes:
    """Return a picture with a card in it, for readers of version 2 and of version 3.

    :param picture: a PNG; empty for a plain one.
    """
    older = {**card, "spec": "chara_card_v2", "spec_version": "2.0"}
    newer = {**card, "spec": "chara_card_v3", "spec_version": "3.0"}
    texts = b"".join(
        _chunk(b"tEXt", keyword.encode() + b"\0" + base64.b64encode(json.dumps(value).encode()))
        for keyword, value in (("chara", older), ("ccv3", newer))
    )
    parts = list(chunks(picture or plain_picture()))
    head = [_chunk(kind, content) for kind, content in parts[:-1]]
    return SIGNATURE + b"".join(head) + texts + _chunk(*parts[-1])


def plain_picture(size: tuple[int, int] = (40, 60), grey: int = 96) -> bytes:
    """Return a PNG of one colour."""
    width, height = size
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = (b"\0" + bytes([grey]) * width) * height
    return SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(rows)) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
