"""Where servers learn as one: a stream of lessons, the decisions that rewards may come for, and snapshots."""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Sequence
from functools import partial

import msgspec

from rfsn_core.contract.shared_storage import Learned, SharedLearning, Snapshots, Taught
from rfsn_core.contract.storage import Scope
from rfsn_memory_redis import keys
from rfsn_memory_redis.client import Client

KEEP_LESSONS = 20_000
"""In the stream, at least; a server that fell further behind takes a snapshot."""
KEEP_SNAPSHOTS = 20
"""Of a policy."""
TEACH = """
local again = 0
if ARGV[2] ~= '' then
    if redis.call('HSETNX', KEYS[1], 'once:' .. ARGV[3], 1) == 0 then return 0 end
    again = 1 - redis.call('HSETNX', KEYS[1], 'taught:' .. ARGV[2], 1)
    redis.call('EXPIRE', KEYS[1], ARGV[5])
    if again == 1 and ARGV[4] == '1' then return 0 end
end
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[6], '*', 'lesson', ARGV[1], 'again', again)
return 1
"""
TAUGHT = """
local after = ARGV[1]
if after == '' then return {0, redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', ARGV[2])} end
if #redis.call('XRANGE', KEYS[1], after, after) == 0 then return {1, {}} end
return {0, redis.call('XRANGE', KEYS[1], '(' .. after, '+', 'COUNT', ARGV[2])}
"""
_scope = msgspec.json.Decoder(Scope).decode


class RedisLearning:
    """The log of one Redis.

    :param seconds: that a decision is kept for its rewards.
    """

    def __init__(self, client: Client, prefix: str, seconds: int) -> None:
        self._redis, self._ask, self._insist, self._seconds = client.redis, client.ask, client.insist, seconds
        self._keys = keys.learning(prefix)
        self._teach, self._taught = self._redis.register_script(TEACH), self._redis.register_script(TAUGHT)
        self.snapshots: Snapshots = RedisSnapshots(client, self._keys.snapshots)

    async def keep(self, decision_id: str, record: bytes) -> None:
        name = self._keys.decision + decision_id
        async with self._redis.pipeline(transaction=False) as pipeline:
            pipeline.hset(name, "record", zlib.compress(record, 1))
            pipeline.expire(name, self._seconds)
            await self._ask(pipeline.execute())

    async def decision(self, decision_id: str) -> bytes | None:
        found: bytes | None = await self._ask(self._redis.hget(self._keys.decision + decision_id, "record"))
        return None if found is None else zlib.decompress(found)

    async def teach(
        self, lesson: bytes, *, about: str = "", part: str = "", once: str = "", first: bool = False
    ) -> bool:
        names = [self._keys.decision + about, self._keys.lessons]
        arguments = [lesson, part if about else "", once, int(first), self._seconds, KEEP_LESSONS]
        return bool(await self._ask(self._teach(names, arguments)))

    async def taught(self, after: str, limit: int) -> Taught:
        gap, entries = await self._ask(self._taught([self._keys.lessons], [after, limit]))
        if gap:
            return Taught((), gap=True)
        lessons = []
        for position, parts in entries:
            found = dict(zip(parts[::2], parts[1::2], strict=True))
            lessons.append((position.decode(), found.get(b"again") == b"1", found.get(b"lesson", b"")))
        return Taught(lessons)

    async def erase(self, gone: Callable[[Scope], bool]) -> None:
        """Forget decisions. The log names no player."""
        for name in await self._insist(self._decisions):
            record = await self._insist(partial(self._redis.hget, name, "record"))
            if record is not None and gone(_scope(zlib.decompress(record))):
                await self._insist(partial(self._redis.delete, name))

    async def _decisions(self) -> list[bytes]:
        pattern = keys.literally(self._keys.decision) + "*"
        return [name async for name in self._redis.scan_iter(match=pattern, count=1000)]


class RedisSnapshots:
    """A hash of descriptions, and a key for each snapshot's bytes."""

    def __init__(self, client: Client, name: str) -> None:
        self._redis, self._ask, self._name = client.redis, client.ask, name

    async def listed(self, policy: str = "") -> Sequence[Learned]:
        found = await self._ask(self._redis.hvals(self._name))
        every = [msgspec.json.decode(each, type=Learned) for each in found]
        return sorted((each for each in every if policy in ("", each.policy)), key=_age, reverse=True)

    async def save(self, policy: str, data: bytes, position: str = "") -> None:
        learned = Learned(f"{policy}-{time.time_ns():020}", policy, time.time(), len(data), position)
        gone = (await self.listed(policy))[KEEP_SNAPSHOTS - 1 :]
        async with self._redis.pipeline(transaction=True) as pipeline:
            pipeline.set(f"{self._name}:{learned.id}", data)
            pipeline.hset(self._name, learned.id, msgspec.json.encode(learned))
            for old in gone:
                pipeline.hdel(self._name, old.id)
                pipeline.delete(f"{self._name}:{old.id}")
            await self._ask(pipeline.execute())

    async def read(self, snapshot_id: str) -> bytes:
        data: bytes | None = await self._ask(self._redis.get(f"{self._name}:{snapshot_id}"))
        if data is None:
            raise ValueError(f"no snapshot '{snapshot_id[:80]}'")
        return data


def _age(learned: Learned) -> tuple[list[int], float]:
    """By what is in them; clocks of several machines may differ."""
    return [int(part) for part in learned.position.split("-") if part], learned.time


_: type[SharedLearning] = RedisLearning
__: type[Snapshots] = RedisSnapshots
