"""What all messages of the wire protocol `rfsn.v1` have in common."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

PROTOCOL = "rfsn.v1"


MAX_TEXT = 4000
"""Longest player text a turn takes, in characters."""


Name = Annotated[str, Meta(min_length=1, max_length=200)]


class Message(msgspec.Struct, tag_field="type", kw_only=True, forbid_unknown_fields=True):
    """What every message has: the `type` tag, from the class."""


_encoder = msgspec.json.Encoder()


encode = _encoder.encode
"""A message, as the bytes of its JSON."""
