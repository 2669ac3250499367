"""`redis`, a store for several servers. The Redis client is imported when the provider opens, not before."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from pydantic import BaseModel, Field

from rfsn_core import Host, Offer, Provider, Store, hookimpl


class Settings(BaseModel, extra="forbid"):
    """`[storage.redis]`."""

    url: str = Field("redis://127.0.0.1:6379/0", min_length=1, description="With user and password; rediss:// for TLS.")
    cluster: bool = Field(False, description="`url` is one node of a cluster.")
    prefix: str = Field("rfsn:", max_length=40, description="Begins every key: several games can share a Redis.")
    days: float = Field(30.0, gt=0, description="Turns that are older are dropped, and conversations idle for so long.")
    decision_hours: float = Field(6.0, gt=0, description="A reward may come so late to another server than decided.")
    timeout: float = Field(0.25, gt=0, description="Seconds for one round trip; then the turn waits in the log.")
    connections: int = Field(32, ge=1, description="At once.")


@asynccontextmanager
async def _open(settings: Settings, host: Host) -> AsyncIterator[Store]:
    from rfsn_memory_redis.store import RedisStore

    store = RedisStore(settings, host)
    await store.start()
    try:
        yield store
    finally:
        await store.stop()


@hookimpl
def rfsn_storage() -> Iterable[Offer[Store]]:
    """Offer `redis`."""
    yield Provider("redis", Settings, _open, "shared by several servers; the last 30 days")
