"""What servers share to learn as one: a stream of updates, the decisions that may get rewards, and checkpoints."""

from __future__ import annotations

import time
import zlib
from collections.abc import Container, Sequence
from functools import partial

import msgspec

from rfsn_core import Checkpoint, Checkpoints, LogEntry, LogPage, Scope, SharedLearning
from rfsn_memory_redis import keys
from rfsn_memory_redis.client import Client

KEEP_UPDATES = 20_000
"""Entries of the stream that are kept, at least; a server that fell further behind loads a checkpoint."""
KEEP_CHECKPOINTS = 20
"""Checkpoints of a policy that are kept."""
APPEND = """
local data, slot, name, only_first, seconds, most = unpack(ARGV)
local again = 0
if slot ~= '' then
    local bytes = redis.sha1hex(data)
    local taken = redis.call('HGET', KEYS[1], 'name:' .. name)
    if taken then return taken == bytes and 1 or 0 end
    again = redis.call('HEXISTS', KEYS[1], 'slot:' .. slot)
    if again == 1 and only_first == '1' then return 0 end
    redis.call('HSET', KEYS[1], 'name:' .. name, bytes, 'slot:' .. slot, 1)
    redis.call('EXPIRE', KEYS[1], seconds)
end
redis.call('XADD', KEYS[2], 'MAXLEN', '~', most, '*', 'data', data, 'again', again)
return 1
"""
"""A server whose call timed out does not know whether it was appended. Its second attempt, with the same bytes, adds
nothing and says that the log has taken the entry."""
READ = """
local after, limit = unpack(ARGV)
if after == '' then return {0, redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', limit)} end
if #redis.call('XRANGE', KEYS[1], after, after) == 0 then return {1, {}} end
return {0, redis.call('XRANGE', KEYS[1], '(' .. after, '+', 'COUNT', limit)}
"""
_scope = msgspec.json.Decoder(Scope).decode


class RedisLearning:
    """The shared log of one Redis.

    :param seconds: for which a decision is kept for its rewards.
    """

    def __init__(self, client: Client, prefix: str, seconds: int) -> None:
        self._redis, self._ask, self._insist, self._seconds = client.redis, client.ask, client.insist, seconds
        self._keys = keys.learning(prefix)
        self._append, self._read = self._redis.register_script(APPEND), self._redis.register_script(READ)
        self.checkpoints: Checkpoints = RedisCheckpoints(client, self._keys.checkpoints)

    async def save_decision(self, decision_id: str, record: bytes) -> None:
        name = self._keys.decision + decision_id
        async with self._redis.pipeline(transaction=False) as pipeline:
            pipeline.hset(name, "record", zlib.compress(record, 1))
            pipeline.expire(name, self._seconds)
            await self._ask(pipeline.execute())

    async def load_decision(self, decision_id: str) -> bytes | None:
        record: bytes | None = await self._ask(self._redis.hget(self._keys.decision + decision_id, "record"))
        return None if record is None else zlib.decompress(record)

    async def append(
        self, data: bytes, *, decision_id: str = "", slot: str = "", name: str = "", only_first: bool = False
    ) -> bool:
        names = [self._keys.decision + decision_id, self._keys.updates]
        arguments = [data, slot if decision_id else "", name, int(only_first), self._seconds, KEEP_UPDATES]
        return bool(await self._ask(self._append(names, arguments)))

    async def read(self, after: str, limit: int) -> LogPage:
        gap, rows = await self._ask(self._read([self._keys.updates], [after, limit]))
        if gap:
            return LogPage((), gap=True)
        entries = []
        for position, parts in rows:
            fields = dict(zip(parts[::2], parts[1::2], strict=True))
            entries.append(LogEntry(position.decode(), fields.get(b"again") == b"1", fields.get(b"data", b"")))
        return LogPage(entries)

    async def erase(self, scopes: Container[Scope]) -> None:
        """Forget decisions. The log names no player."""
        for name in await self._insist(self._decisions):
            record = await self._insist(partial(self._redis.hget, name, "record"))
            if record is not None and _scope(zlib.decompress(record)) in scopes:
                await self._insist(partial(self._redis.delete, name))

    async def _decisions(self) -> list[bytes]:
        pattern = keys.literally(self._keys.decision) + "*"
        return [name async for name in self._redis.scan_iter(match=pattern, count=1000)]


class RedisCheckpoints:
    """A hash of descriptions, and a key for each checkpoint's bytes."""

    def __init__(self, client: Client, name: str) -> None:
        self._redis, self._ask, self._name = client.redis, client.ask, name

    async def newest_first(self, policy: str = "") -> Sequence[Checkpoint]:
        values = await self._ask(self._redis.hvals(self._name))
        checkpoints = [msgspec.json.decode(value, type=Checkpoint) for value in values]
        return sorted((one for one in checkpoints if policy in ("", one.policy)), key=_age, reverse=True)

    async def save(self, policy: str, data: bytes, position: str = "") -> None:
        checkpoint = Checkpoint(f"{policy}-{time.time_ns():020}", policy, time.time(), len(data), position)
        old = (await self.newest_first(policy))[KEEP_CHECKPOINTS - 1 :]
        async with self._redis.pipeline(transaction=True) as pipeline:
            pipeline.set(f"{self._name}:{checkpoint.id}", data)
            pipeline.hset(self._name, checkpoint.id, msgspec.json.encode(checkpoint))
            for one in old:
                pipeline.hdel(self._name, one.id)
                pipeline.delete(f"{self._name}:{one.id}")
            await self._ask(pipeline.execute())

    async def load(self, checkpoint_id: str) -> bytes:
        data: bytes | None = await self._ask(self._redis.get(f"{self._name}:{checkpoint_id}"))
        if data is None:
            raise ValueError(f"no checkpoint '{checkpoint_id[:80]}'")
        return data


def _age(checkpoint: Checkpoint) -> tuple[list[int], float]:
    """Return a key that orders checkpoints by the updates in them; the clocks of several machines may differ."""
    return [int(part) for part in checkpoint.position.split("-") if part], checkpoint.time


_: type[SharedLearning] = RedisLearning
__: type[Checkpoints] = RedisCheckpoints
