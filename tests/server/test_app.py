from __future__ import annotations

import socket

import pytest

from rfsn_core.contract.errors import UserError
from rfsn_core.server.listener import listen


def test_small_frames_are_sent_at_once() -> None:
    with (
        listen("127.0.0.1", 0) as listener,
        socket.create_connection(listener.getsockname()),
    ):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.proto == socket.IPPROTO_TCP  # what asyncio looks at before it sets TCP_NODELAY


def test_a_port_in_use_is_named_with_the_way_out() -> None:
    with listen("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(UserError, match=f"port {port} .* is taken") as refused:
            listen("127.0.0.1", port)
    assert "--port" in str(refused.value)
