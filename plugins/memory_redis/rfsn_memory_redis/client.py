"""The Redis client: connections, retries, and errors as StoreError."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, ConnectionError, RedisError

from rfsn_core import StoreError

if TYPE_CHECKING:
    from rfsn_memory_redis import Settings

INSIST_SECONDS = 5.0
"""Time for which each step of an operation on a whole save is repeated."""


class Client:
    """The connections to Redis. `redis` makes calls, `ask` and `insist` await them."""

    def __init__(self, settings: Settings, log: logging.Logger) -> None:
        self._cluster, self._log = settings.cluster, log
        self._free = asyncio.Semaphore(settings.connections)
        self.redis: Any = (RedisCluster if settings.cluster else Redis).from_url(
            settings.url,
            socket_timeout=settings.timeout,
            socket_connect_timeout=settings.timeout,
            max_connections=settings.connections,
            # One retry: an open connection is dead after a restart of Redis. All calls can be repeated safely.
            retry=Retry(NoBackoff(), 1, supported_errors=(ConnectionError,)),
        )

    async def start(self) -> None:
        """Connect. Raises StoreError, which says what to do."""
        if self._cluster:
            await self.ask(self.redis.initialize())
            return
        info = await self.ask(self.redis.info("replication"))
        if info.get("role") not in (None, "master"):
            raise StoreError("this Redis is a replica and takes no writes", hint="Set `url` to its primary")

    async def stop(self) -> None:
        """Close the connections."""
        await self.redis.aclose()

    async def ask(self, call: Awaitable[Any]) -> Any:
        """Return what a call answers. Raises StoreError."""
        try:
            async with self._free:
                return await call
        except AuthenticationError as error:
            hint = "They are in `url` in [storage.redis]"
            raise StoreError(f"Redis refuses the user or password: {error}", hint=hint) from error
        except (RedisError, OSError, TimeoutError) as error:
            hint = "Is it running? `url` in [storage.redis]"
            raise StoreError(f"Redis: {str(error) or type(error).__name__}", hint=hint) from error
        finally:
            if asyncio.iscoroutine(call):  # cancelled while it waited for a connection
                call.close()

    async def insist(self, call: Callable[[], Awaitable[Any]]) -> Any:
        """Return what a call answers, repeated for a while: an operation on a save should not end halfway."""
        deadline = time.monotonic() + INSIST_SECONDS
        while True:
            try:
                return await self.ask(call())
            except StoreError:
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.1)

    async def rewrite_file(self) -> None:
        """Have Redis rewrite its append-only file, which still contains deleted values."""
        try:
            for node in self.redis.get_primaries() if self._cluster else [None]:
                where = {"target_nodes": node} if node else {}
                if (await self.ask(self.redis.info("persistence", **where))).get("aof_enabled"):
                    await self.ask(self.redis.execute_command("BGREWRITEAOF", **where))
        except StoreError as error:  # a rewrite is running already, or the user may not start one
            self._log.warning("Redis does not rewrite its append-only file (BGREWRITEAOF): %s", error)
