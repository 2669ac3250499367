"""The client: how Redis is reached, and what its errors become."""

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

from rfsn_core.contract.errors import StoreError

if TYPE_CHECKING:
    from rfsn_memory_redis import Settings

INSISTENCE = 5.0
"""Seconds for which a step of what is done to a whole world is tried again."""


class Client:
    """`redis` makes calls, `ask` and `insist` await them."""

    def __init__(self, settings: Settings, log: logging.Logger) -> None:
        self._cluster, self._log = settings.cluster, log
        self._free = asyncio.Semaphore(settings.connections)
        self.redis: Any = (RedisCluster if settings.cluster else Redis).from_url(
            settings.url,
            socket_timeout=settings.timeout,
            socket_connect_timeout=settings.timeout,
            max_connections=settings.connections,
            # Once: a connection that was held may be dead because Redis was restarted. All calls can be repeated.
            retry=Retry(NoBackoff(), 1, supported_errors=(ConnectionError,)),
        )

    async def start(self) -> None:
        """Raises StoreError, which says what to do."""
        if self._cluster:
            await self.ask(self.redis.initialize())
            return
        info = await self.ask(self.redis.info("replication"))
        if info.get("role") not in (None, "master"):
            raise StoreError("this Redis is a replica: it takes no turns", hint="Set `url` to the one that it follows")

    async def stop(self) -> None:
        """Close the connections."""
        await self.redis.aclose()

    async def ask(self, call: Awaitable[Any]) -> Any:
        """What a call answers. Raises StoreError."""
        try:
            async with self._free:
                return await call
        except AuthenticationError as error:
            hint = "`url` in [storage.redis] holds user and password"
            raise StoreError(f"Redis does not let us in: {error}", hint=hint) from error
        except (RedisError, OSError, TimeoutError) as error:
            hint = "Is it running? `url` in [storage.redis]"
            raise StoreError(f"Redis: {str(error) or type(error).__name__}", hint=hint) from error
        finally:
            if asyncio.iscoroutine(call):  # cancelled before it was free
                call.close()

    async def insist(self, call: Callable[[], Awaitable[Any]]) -> Any:
        """As `ask`, again and again for a while: what an operator does to a world is better late than done by half."""
        until = time.monotonic() + INSISTENCE
        while True:
            try:
                return await self.ask(call())
            except StoreError:
                if time.monotonic() > until:
                    raise
                await asyncio.sleep(0.1)

    async def rewrite_file(self) -> None:
        """The append-only file still holds what was written to keys that are gone."""
        try:
            for node in self.redis.get_primaries() if self._cluster else [None]:
                where = {"target_nodes": node} if node else {}
                if (await self.ask(self.redis.info("persistence", **where))).get("aof_enabled"):
                    await self.ask(self.redis.execute_command("BGREWRITEAOF", **where))
        except StoreError as error:  # it may be at it, or not let us
            self._log.warning("Redis does not rewrite its append-only file (BGREWRITEAOF): %s", error)
