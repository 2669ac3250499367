"""The sockets that the server listens on."""

from __future__ import annotations

import errno
import os
import socket

from rfsn_core.contract.errors import UserError


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket. Raises UserError when the port is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Without the protocol's number asyncio leaves Nagle's algorithm on, and small frames wait 40 ms for an ACK.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    if os.name != "nt":  # on Windows it would let a second server steal the port
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(512)  # the address is announced before the server accepts
    except OSError as error:
        listener.close()
        if error.errno in (errno.EADDRINUSE, errno.EACCES):
            raise UserError(
                f"port {port} on {host} is taken", hint="Is RFSN running already? --port picks another"
            ) from error
        raise UserError(f"cannot listen on {host}:{port}: {error}") from error
    return listener
