"""The notices of the servers that share this Redis: a stream, and a hash with what each server has acknowledged."""

from __future__ import annotations

from collections.abc import Sequence

from rfsn_core import Notices
from rfsn_memory_redis import keys
from rfsn_memory_redis.client import Client

KEEP = 1000
"""Notices that are kept at least, for servers that were not running."""
FORGET_SECONDS = 3600
"""A server that has not read for so long is dropped from the list."""
# KEYS: notices, servers. ARGV: server, position up to which it acknowledges.
# Notes the time and position of the server; returns the notices after the position.
READ = """
redis.call('HSET', KEYS[2], ARGV[1], redis.call('TIME')[1] .. ' ' .. ARGV[2])
local from = '-'
if ARGV[2] ~= '' then from = '(' .. ARGV[2] end
return redis.call('XRANGE', KEYS[1], from, '+')
"""
# KEYS: servers. ARGV: seconds within which a server that is alive has read, seconds after which it is forgotten.
# Returns server, position, server, position, …
ALIVE = """
local alive_seconds, forget_seconds = tonumber(ARGV[1]), tonumber(ARGV[2])
local now = tonumber(redis.call('TIME')[1])
local alive, entries = {}, redis.call('HGETALL', KEYS[1])
for n = 1, #entries, 2 do
    local server, entry = entries[n], entries[n + 1]
    local idle = now - tonumber(string.match(entry, '^%d+'))
    if idle > forget_seconds then
        redis.call('HDEL', KEYS[1], server)
    elseif idle <= alive_seconds then
        alive[#alive + 1] = server
        alive[#alive + 1] = string.match(entry, ' (.*)$')
    end
end
return alive
"""


class RedisNotices:
    """The notices in one Redis. Times are those of the Redis server's clock."""

    def __init__(self, client: Client, prefix: str) -> None:
        self._redis, self._ask, self._insist = client.redis, client.ask, client.insist
        self._keys = keys.notices(prefix)
        self._read, self._alive = self._redis.register_script(READ), self._redis.register_script(ALIVE)

    async def append(self, notice: bytes) -> str:
        position = await self._insist(lambda: self._redis.xadd(self._keys.notices, {"notice": notice}, maxlen=KEEP))
        return str(position.decode())

    async def last_position(self) -> str:
        entries = await self._ask(self._redis.xrevrange(self._keys.notices, count=1))
        return entries[0][0].decode() if entries else ""

    async def read(self, server: str, after: str) -> Sequence[tuple[str, bytes]]:
        entries = await self._ask(self._read([*self._keys], [server, after]))
        return [(position.decode(), fields[1]) for position, fields in entries]

    async def behind(self, position: str, seconds: float) -> Sequence[str]:
        alive = await self._servers(seconds)
        return [server for server, acknowledged in alive.items() if _order(acknowledged) < _order(position)]

    async def is_alive(self, server: str, seconds: float) -> bool:
        return server in await self._servers(seconds)

    async def deregister(self, server: str) -> None:
        await self._ask(self._redis.hdel(self._keys.servers, server))

    async def _servers(self, seconds: float) -> dict[str, str]:
        """Return server → acknowledged position, of the servers that read within the last `seconds`."""
        pairs = await self._insist(lambda: self._alive([self._keys.servers], [seconds, FORGET_SECONDS]))
        return {pairs[n].decode(): pairs[n + 1].decode() for n in range(0, len(pairs), 2)}


def _order(position: str) -> list[int]:
    """Return a stream's position, `milliseconds-number`, as numbers that can be compared."""
    return [int(part) for part in position.split("-") if part]


_: type[Notices] = RedisNotices
