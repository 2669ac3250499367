"""What servers tell each other: a stream of notices, and how far each server has heeded it."""

from __future__ import annotations

from collections.abc import Sequence

from rfsn_core.contract.shared_storage import Notices
from rfsn_memory_redis import keys
from rfsn_memory_redis.client import Client

KEEP = 1000
"""Notices, at least, for servers that were away."""
FORGET = 3600
"""Seconds without a look, and a server is no longer listed."""
TOLD = """
redis.call('HSET', KEYS[2], ARGV[1], redis.call('TIME')[1] .. ' ' .. ARGV[2])
local from = '-'
if ARGV[2] ~= '' then from = '(' .. ARGV[2] end
return redis.call('XRANGE', KEYS[1], from, '+')
"""
PRESENT = """
local now = tonumber(redis.call('TIME')[1])
local found, all = {}, redis.call('HGETALL', KEYS[1])
for n = 1, #all, 2 do
    local asked = tonumber(string.match(all[n + 1], '^%d+'))
    if now - asked > tonumber(ARGV[2]) then redis.call('HDEL', KEYS[1], all[n])
    elseif now - asked <= tonumber(ARGV[1]) then
        found[#found + 1] = all[n]
        found[#found + 1] = string.match(all[n + 1], ' (.*)$')
    end
end
return found
"""


class RedisNotices:
    """Of one Redis; its clock says who is there."""

    def __init__(self, client: Client, prefix: str) -> None:
        self._redis, self._ask, self._insist = client.redis, client.ask, client.insist
        self._keys = keys.notices(prefix)
        self._told, self._present = self._redis.register_script(TOLD), self._redis.register_script(PRESENT)

    async def tell(self, notice: bytes) -> str:
        position = await self._insist(lambda: self._redis.xadd(self._keys.notices, {"notice": notice}, maxlen=KEEP))
        return str(position.decode())

    async def newest(self) -> str:
        found = await self._ask(self._redis.xrevrange(self._keys.notices, count=1))
        return found[0][0].decode() if found else ""

    async def told(self, server: str, after: str) -> Sequence[tuple[str, bytes]]:
        entries = await self._ask(self._told([*self._keys], [server, after]))
        return [(position.decode(), parts[1]) for position, parts in entries]

    async def behind(self, position: str, seconds: float) -> Sequence[str]:
        there = await self._there(seconds)
        return [server for server, heeded in there.items() if _order(heeded) < _order(position)]

    async def present(self, server: str, seconds: float) -> bool:
        return server in await self._there(seconds)

    async def leave(self, server: str) -> None:
        await self._ask(self._redis.hdel(self._keys.servers, server))

    async def _there(self, seconds: float) -> dict[str, str]:
        found = await self._insist(lambda: self._present([self._keys.servers], [seconds, FORGET]))
        return {found[n].decode(): found[n + 1].decode() for n in range(0, len(found), 2)}


def _order(position: str) -> list[int]:
    return [int(part) for part in position.split("-") if part]


_: type[Notices] = RedisNotices
