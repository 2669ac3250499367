"""Turns in Redis: one round trip to read what a turn needs, one to write it, each atomic."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from rfsn_core import Host
from rfsn_core.contract.errors import NotFound, StaleSave, StoreError, VersionConflict
from rfsn_core.contract.shared_storage import Notices, SharedLearning, SharedStore
from rfsn_core.contract.storage import (
    Backup,
    MemoryKind,
    MemoryRecord,
    MemoryStatus,
    Past,
    Scope,
    SearchHit,
    Snapshot,
    TurnRecord,
)
from rfsn_core.kit import backups
from rfsn_core.kit.files import replacing
from rfsn_core.memory.retrieval import search
from rfsn_memory_redis import keys
from rfsn_memory_redis.client import Client
from rfsn_memory_redis.learning import RedisLearning
from rfsn_memory_redis.notices import RedisNotices

if TYPE_CHECKING:
    from rfsn_memory_redis import Settings

CARD = {
    "quest": ("quests", "milestones", "flags"),
    "emotional_trajectory": ("trajectory",),
}
"""Part of the card → its fields; all others are the relationship's."""
SEARCHED = 1000
"""Turns of a conversation, the newest, in which words are looked for."""
MOST_MEMORIES = 500
"""Of a conversation; of more, those that are not believed go first, then the oldest events and summaries."""
# A version is AGE/TIME.COUNT: the age is another one after a rollback, or when a conversation begins anew.
READ = """
local version = redis.call('HGET', KEYS[7], 'version') or ''
if ARGV[2] ~= '' and ARGV[2] == version then return {version} end
return {version, redis.call('HGET', KEYS[7], 'state') or '', redis.call('LRANGE', KEYS[1], -tonumber(ARGV[1]), -1),
    redis.call('HVALS', KEYS[3]), redis.call('GET', KEYS[4]) or '', redis.call('GET', KEYS[5]) or '',
    redis.call('GET', KEYS[6]) or ''}
"""
WRITE = """
local version = redis.call('HGET', KEYS[7], 'version') or ''
if redis.call('ZSCORE', KEYS[2], ARGV[1]) then return {0, version, 0} end
local age = string.match(version, '^[^/]*') or ''
if ARGV[4] ~= '*' and ARGV[4] ~= version then
    if ARGV[4] ~= '' and string.match(ARGV[4], '^[^/]*') ~= age then return {-2, version, 0} end
    return {-1, version, 0}
end
local count = redis.call('HINCRBY', KEYS[7], 'count', 1)
if age == '' then age = ARGV[10] end
version = age .. '/' .. ARGV[10] .. '.' .. count
redis.call('HSET', KEYS[7], 'version', version, 'state', ARGV[5])
redis.call('RPUSH', KEYS[1], ARGV[2])
redis.call('ZADD', KEYS[2], count, ARGV[1])
for n = 1, 10 do
    local first = redis.call('LINDEX', KEYS[1], 0)
    if not first or redis.call('LLEN', KEYS[1]) < 2 or cjson.decode(first).time >= tonumber(ARGV[3]) then break end
    redis.call('LPOP', KEYS[1])
    redis.call('ZPOPMIN', KEYS[2])
end
for part = 4, 6 do
    if ARGV[part + 2] ~= '' then redis.call('SET', KEYS[part], ARGV[part + 2]) end
end
for n = 11, #ARGV, 2 do redis.call('HSET', KEYS[3], ARGV[n], ARGV[n + 1]) end
for n = 1, #KEYS do redis.call('EXPIRE', KEYS[n], ARGV[9]) end
return {1, version, count}
"""
COPY = """
for n = 1, 7 do
    redis.call('DEL', KEYS[7 + n])
    if redis.call('EXISTS', KEYS[n]) == 1 then redis.call('COPY', KEYS[n], KEYS[7 + n]) end
    redis.call('PERSIST', KEYS[7 + n])
end
if ARGV[1] ~= '' then
    if redis.call('EXISTS', KEYS[14]) == 1 then
        redis.call('HSET', KEYS[14], 'version', ARGV[1])
        for n = 8, 14 do redis.call('EXPIRE', KEYS[n], ARGV[2]) end
    end
end
return redis.call('LLEN', KEYS[8])
"""
_turn = msgspec.json.Decoder(TurnRecord)
_memory = msgspec.json.Decoder(MemoryRecord)


class RedisStore:
    """The opened provider."""

    def __init__(self, settings: Settings, host: Host) -> None:
        self._settings, self._backups = settings, host.data_dir / "backups"
        self._prefix = settings.prefix
        self._listed: set[Scope] = set()
        """Conversations that this server has entered in the list of their save."""
        client = Client(settings, host.log)
        self.start, self.stop = client.start, client.stop
        self._redis, self._ask, self._insist, self._rewrite_file = (
            client.redis, client.ask, client.insist, client.rewrite_file,
        )  # fmt: skip
        self._learned = RedisLearning(client, settings.prefix, int(settings.decision_hours * 3600))
        self.learning: SharedLearning | None = self._learned
        self.notices: Notices = RedisNotices(client, settings.prefix)
        self._read, self._write, self._copy = (self._redis.register_script(script) for script in (READ, WRITE, COPY))

    # ── turns ────────────────────────────────────────────────────────────────────────────────────

    async def load(self, scope: Scope, turns: int) -> Past:
        """One round trip."""
        past = await self.newer(scope, turns, "")
        assert past is not None
        return past

    async def newer(self, scope: Scope, turns: int, version: str) -> Past | None:
        """One round trip, of a few bytes when nothing has changed."""
        names = keys.conversation(self._prefix, scope)
        got = await self._ask(self._read(names, [turns + 2, version]))
        if len(got) == 1:
            return None
        spoken = _spoken(got[2])
        if len(spoken) < turns and len(got[2]) == turns + 2:  # so many only carried a change of memories
            spoken = _spoken(await self._ask(self._redis.lrange(names.sessions, -SEARCHED, -1)))
        memories = sorted(map(_memory.decode, got[3]), key=lambda memory: (memory.time, memory.memory_id))
        if len(memories) > MOST_MEMORIES:
            gone = _least(memories)
            await self._ask(self._redis.hdel(names.salient, *(memory.memory_id for memory in gone)))
            memories = [memory for memory in memories if memory not in gone]
        card: dict[str, Any] = {}
        for part in got[4:7]:
            card |= msgspec.json.decode(part) if part else {}
        return Past(
            state=msgspec.json.decode(got[1]) if got[1] else None,
            turns=spoken[-turns:] if turns else [],
            memories=memories,
            card=card if any(got[4:7]) else None,
            version=got[0].decode(),
        )

    async def append(self, turn: TurnRecord) -> None:
        """One round trip, whoever was first."""
        await self._append(turn, "*")

    async def append_after(self, turn: TurnRecord, version: str) -> str:
        """One round trip. Raises VersionConflict."""
        return await self._append(turn, version)

    async def _append(self, turn: TurnRecord, version: str) -> str:
        scope, settings = turn.scope, self._settings
        seconds = int(settings.days * 86400)
        card = ["", "", ""]
        if turn.card is not None:
            named = {
                part: {name: turn.card[name] for name in names if name in turn.card} for part, names in CARD.items()
            }
            inside = {name for names in CARD.values() for name in names}
            rest = {name: value for name, value in turn.card.items() if name not in inside}
            card = [
                msgspec.json.encode(each).decode() for each in (rest, named["quest"], named["emotional_trajectory"])
            ]
        arguments: list[Any] = [
            turn.turn_id, msgspec.json.encode(turn), time.time() - seconds, version, msgspec.json.encode(turn.state),
            *card, seconds, f"{time.time():.6f}",
        ]  # fmt: skip
        for memory in turn.memories:
            arguments += [memory.memory_id, msgspec.json.encode(memory)]
        if scope not in self._listed:
            await self._list(scope)
        outcome, now, count = await self._ask(self._write(keys.conversation(self._prefix, scope), arguments))
        if count == 1:  # another server may have erased it
            await self._list(scope)
        if outcome == -1:
            raise VersionConflict("another server has appended to this conversation")
        if outcome < 0:
            raise StaleSave("this conversation was taken back to a snapshot, or erased, meanwhile")
        return str(now.decode())

    async def _list(self, scope: Scope) -> None:
        async with self._redis.pipeline(transaction=False) as pipeline:
            pipeline.sadd(keys.all_saves(self._prefix), scope.save)
            pipeline.sadd(keys.save(self._prefix, scope.save), keys.member(scope))
            await self._ask(pipeline.execute())
        self._listed.add(scope)

    async def search(self, scope: Scope, query: str, limit: int) -> Sequence[SearchHit]:
        """In the newest thousand turns of the conversation, here."""
        lines = await self._ask(self._redis.lrange(keys.conversation(self._prefix, scope).sessions, -SEARCHED, -1))
        return await asyncio.to_thread(search, _spoken(lines), query, limit)

    async def _saves(self, save: str) -> list[str]:
        """That one, or all."""
        if save:
            return [save]
        return sorted(
            name.decode() for name in await self._insist(lambda: self._redis.smembers(keys.all_saves(self._prefix)))
        )

    async def _scopes(self, save: str = "", npc: str = "", player: str = "") -> AsyncIterator[Scope]:
        for name in await self._saves(save):
            held = keys.save(self._prefix, name)
            for each in sorted(await self._insist(partial(self._redis.smembers, held))):
                scope = keys.scope_of(name, each.decode())
                if scope.within(save, npc, player):
                    yield scope

    async def _turns(self, scope: Scope) -> list[TurnRecord]:
        name = keys.conversation(self._prefix, scope).sessions
        return [_turn.decode(line) for line in await self._insist(lambda: self._redis.lrange(name, 0, -1))]

    # ── saves ────────────────────────────────────────────────────────────────────────────────────

    async def snapshot(self, save: str, tag: str) -> Snapshot:
        """A copy of each conversation, beside it."""
        turns = 0
        async for scope in self._scopes(save):
            both = [*keys.conversation(self._prefix, scope), *keys.conversation(self._prefix, scope, tag)]
            await self._insist(partial(self._copy, both, ["", ""]))
            turns += sum(turn.spoken for turn in await self._turns(scope))
        made = Snapshot(save, tag, time.time(), turns)
        await self._insist(lambda: self._redis.hset(keys.snapshots(self._prefix, save), tag, msgspec.json.encode(made)))
        await self._insist(lambda: self._redis.sadd(keys.all_saves(self._prefix), save))
        return made

    async def snapshots(self, save: str) -> Sequence[Snapshot]:
        found: list[Snapshot] = []
        for name in await self._saves(save):
            for line in await self._insist(partial(self._redis.hvals, keys.snapshots(self._prefix, name))):
                found.append(msgspec.json.decode(line, type=Snapshot))
        return sorted(found, key=lambda snapshot: -snapshot.time)

    async def rollback(self, save: str, tag: str) -> int:
        """Conversation by conversation; each gets a new version, so that no server goes on with what it holds."""
        if not await self._insist(lambda: self._redis.hexists(keys.snapshots(self._prefix, save), tag)):
            tags = ", ".join(snapshot.tag for snapshot in await self.snapshots(save))
            raise NotFound(f"save '{save}' has no snapshot '{tag}'", hint=f"It has: {tags or 'none'}")
        turns = 0
        async for scope in self._scopes(save):
            both = [*keys.conversation(self._prefix, scope, tag), *keys.conversation(self._prefix, scope)]
            version, seconds = f"{time.time():.6f}/0", int(self._settings.days * 86400)
            await self._insist(partial(self._copy, both, [version, seconds]))
            turns += sum(turn.spoken for turn in await self._turns(scope))
        return turns

    # ── what an operator does ────────────────────────────────────────────────────────────────────

    async def stats(self, npc: str) -> Mapping[str, Any]:
        if not npc:
            await self._ask(self._redis.ping())
            return {"npc": npc}
        turns = [turn async for scope in self._scopes(npc=npc) for turn in await self._turns(scope)]
        spoken = [turn for turn in turns if turn.spoken]
        times = [turn.time for turn in spoken]
        return {
            "npc": npc,
            "turns": len(spoken),
            "sessions": len({turn.scope for turn in spoken}),
            "first": min(times, default=None),
            "last": max(times, default=None),
        }

    async def export(self, save: str, npc: str, player: str) -> AsyncIterator[TurnRecord]:
        async for scope in self._scopes(save, npc, player):
            for turn in await self._turns(scope):
                yield turn

    async def erase(self, save: str, npc: str, player: str, *, backups: bool) -> int:
        turns, saves = 0, await self.snapshots(save)
        async for scope in self._scopes(save, npc, player):
            turns += sum(turn.spoken for turn in await self._turns(scope))
            tags = ["", *(snapshot.tag for snapshot in saves if snapshot.save == scope.save)]
            names = [name for tag in tags for name in keys.conversation(self._prefix, scope, tag)]
            await self._insist(partial(self._redis.delete, *names))
            held = keys.save(self._prefix, scope.save)
            await self._insist(partial(self._redis.srem, held, keys.member(scope)))
        await self._learned.erase(lambda scope: scope.within(save, npc, player))
        if backups:
            await self.scrub(lambda turn: turn.scope.within(save, npc, player))
        await self._rewrite_file()
        return turns

    async def scrub(self, gone: Callable[[TurnRecord], bool]) -> None:
        """In backups."""
        await asyncio.to_thread(self._scrub_backups, gone)

    def _scrub_backups(self, gone: Callable[[TurnRecord], bool]) -> None:
        for path in self._backups.glob("redis-*.ndjson"):
            with replacing(path) as kept, path.open("rb") as lines:
                kept.writelines(line for line in lines if not gone(_turn.decode(line)))

    async def check(self) -> Sequence[str]:
        """Redis guards its own files; here, that every turn can be read."""
        found: list[str] = []
        async for scope in self._scopes():
            name = keys.conversation(self._prefix, scope).sessions
            for line in await self._insist(partial(self._redis.lrange, name, 0, -1)):
                try:
                    _turn.decode(line)
                except msgspec.MsgspecError as error:
                    found.append(f"{name}: {error}")
        return found

    async def backup(self) -> Backup:
        """All turns, a line of JSON each, in the data folder of this server."""
        turns = [turn async for turn in self.export("", "", "")]
        return await asyncio.to_thread(self._write_backup, turns)

    def _write_backup(self, turns: Sequence[TurnRecord]) -> Backup:
        path = backups.new(self._backups, "redis-", ".ndjson")
        with replacing(path) as file:
            file.writelines(msgspec.json.encode(turn) + b"\n" for turn in turns)
        return backups.described(path)

    async def backups(self) -> Sequence[Backup]:
        return await asyncio.to_thread(backups.listed, self._backups, "redis-*.ndjson")

    async def restore(self, name: str) -> None:
        """Read whole before anything is changed."""
        path = backups.find(self._backups, name)
        try:
            turns = await asyncio.to_thread(lambda: [_turn.decode(line) for line in path.read_bytes().splitlines()])
        except msgspec.MsgspecError as error:
            raise StoreError(f"{path} is damaged: {error}") from error
        await self.backup()
        await self._forget("")
        for turn in turns:
            await self.append(turn)

    async def reset(self, npc: str) -> Backup:
        saved = await self.backup()
        await self._forget(npc)
        return saved

    async def _forget(self, npc: str) -> None:
        """Conversations as they are now; saves stay."""
        async for scope in self._scopes(npc=npc):
            await self._insist(partial(self._redis.delete, *keys.conversation(self._prefix, scope)))


def _least(memories: Sequence[MemoryRecord]) -> list[MemoryRecord]:
    """A fifth of them, so that this is not done again at once."""

    def worth(memory: MemoryRecord) -> tuple[bool, bool, float]:
        passing = memory.kind in (MemoryKind.EVENT, MemoryKind.SUMMARY)
        return memory.status is MemoryStatus.ACTIVE, not passing, memory.time

    return sorted(memories, key=worth)[: MOST_MEMORIES // 5]


def _spoken(lines: Sequence[bytes]) -> list[TurnRecord]:
    """Without turns that only carry a change of memories."""
    return [turn for turn in map(_turn.decode, lines) if turn.spoken]


_: type[SharedStore] = RedisStore
