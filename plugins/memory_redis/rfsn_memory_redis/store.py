"""The Redis store: one round trip reads all that a turn needs, one writes a turn; each is atomic.

The scripts take a conversation's keys in the order of `keys.PARTS`: 1 sessions, 2 seen, 3 salient, 4 relationship,
5 quest, 6 emotional_trajectory, 7 meta.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Container, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from rfsn_core import (
    Backup,
    Host,
    MemoryKind,
    MemoryRecord,
    MemoryStatus,
    NotFound,
    Notices,
    Past,
    Scope,
    Scopes,
    SearchHit,
    SharedLearning,
    SharedStore,
    Snapshot,
    StaleSave,
    StoreError,
    TurnRecord,
    VersionConflict,
)
from rfsn_core.kit import describe_backup, find_backup, list_backups, new_backup, replace_file, search_turns
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
"""Key → the fields of the card in it; all other fields are in `relationship`."""
SEARCHED = 1000
"""Newest turns of a conversation that a search reads."""
MOST_MEMORIES = 500
"""Memories of a conversation. Beyond it, inactive ones are dropped first, then the oldest events and summaries."""
# A version is EPOCH/TIME.COUNT. The epoch changes with each rollback, and when a conversation begins again after an
# erasure, so that a server with an older version can tell a rollback from a turn that another server appended.

# Returns the version alone when it is ARGV[2], else all that a turn needs, with the newest ARGV[1] turns.
READ = """
local version = redis.call('HGET', KEYS[7], 'version') or ''
if ARGV[2] ~= '' and ARGV[2] == version then return {version} end
return {version, redis.call('HGET', KEYS[7], 'state') or '', redis.call('LRANGE', KEYS[1], -tonumber(ARGV[1]), -1),
    redis.call('HVALS', KEYS[3]), redis.call('GET', KEYS[4]) or '', redis.call('GET', KEYS[5]) or '',
    redis.call('GET', KEYS[6]) or ''}
"""
# Appends a turn. Returns {outcome, version, count}; the outcome is 1 appended, 0 stored already, -1 version conflict,
# -2 rolled back or erased. ARGV: 1 turn id, 2 turn, 3 time before which turns are dropped, 4 the version that the turn
# is based on ('*': any), 5 state, 6 to 8 parts of the card ('' when unchanged), 9 seconds until the keys expire, 10
# time now, then memory id and memory in pairs.
WRITE = """
local turn_id, turn, oldest, based_on, state = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4], ARGV[5]
local expire, now = ARGV[9], ARGV[10]
local version = redis.call('HGET', KEYS[7], 'version') or ''
if redis.call('ZSCORE', KEYS[2], turn_id) then return {0, version, 0} end
local epoch = string.match(version, '^[^/]*') or ''
if based_on ~= '*' and based_on ~= version then
    if based_on ~= '' and string.match(based_on, '^[^/]*') ~= epoch then return {-2, version, 0} end
    return {-1, version, 0}
end
local count = redis.call('HINCRBY', KEYS[7], 'count', 1)
if epoch == '' then epoch = now end
version = epoch .. '/' .. now .. '.' .. count
redis.call('HSET', KEYS[7], 'version', version, 'state', state)
redis.call('RPUSH', KEYS[1], turn)
redis.call('ZADD', KEYS[2], count, turn_id)
for n = 1, 10 do -- at most ten old turns with each write, never the last one
    local first = redis.call('LINDEX', KEYS[1], 0)
    if not first or redis.call('LLEN', KEYS[1]) < 2 or cjson.decode(first).time >= oldest then break end
    redis.call('LPOP', KEYS[1])
    redis.call('ZPOPMIN', KEYS[2])
end
for part = 4, 6 do
    if ARGV[part + 2] ~= '' then redis.call('SET', KEYS[part], ARGV[part + 2]) end
end
for n = 11, #ARGV, 2 do redis.call('HSET', KEYS[3], ARGV[n], ARGV[n + 1]) end
for n = 1, #KEYS do redis.call('EXPIRE', KEYS[n], expire) end
return {1, version, count}
"""
# Copies a conversation: KEYS 1 to 7 to KEYS 8 to 14. With a version in ARGV[1] the copy is a conversation in use, which
# gets this version and expires after ARGV[2] seconds; without one it is a snapshot, which does not expire.
COPY = """
local version, expire = ARGV[1], ARGV[2]
for n = 1, 7 do
    redis.call('DEL', KEYS[7 + n])
    if redis.call('EXISTS', KEYS[n]) == 1 then redis.call('COPY', KEYS[n], KEYS[7 + n]) end
    redis.call('PERSIST', KEYS[7 + n])
end
if version ~= '' and redis.call('EXISTS', KEYS[14]) == 1 then
    redis.call('HSET', KEYS[14], 'version', version)
    for n = 8, 14 do redis.call('EXPIRE', KEYS[n], expire) end
end
return redis.call('LLEN', KEYS[8])
"""
_turn = msgspec.json.Decoder(TurnRecord)
_memory = msgspec.json.Decoder(MemoryRecord)


class RedisStore:
    """A store in one Redis, or one cluster."""

    def __init__(self, settings: Settings, host: Host) -> None:
        self._settings, self._backups = settings, host.data_dir / "backups"
        self._prefix = settings.prefix
        self._listed: set[Scope] = set()
        """Conversations that this server has added to the set of their save."""
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

    async def load(self, scope: Scope, turns: int, memories: int | None = None) -> Past:
        """Load in one round trip."""
        past = await self.newer(scope, turns, "")
        assert past is not None
        if memories is None:
            return past
        live = [memory for memory in past.memories if memory.status is not MemoryStatus.SUPERSEDED]
        return replace(past, memories=live[-memories:] if memories else [])

    async def newer(self, scope: Scope, turns: int, version: str) -> Past | None:
        """Load in one round trip, of a few bytes when nothing has changed."""
        names = keys.conversation(self._prefix, scope)
        values = await self._ask(self._read(names, [turns + 2, version]))
        if len(values) == 1:
            return None
        new_version, state, lines, memory_lines, *card_parts = values
        spoken = _spoken(lines)
        if len(spoken) < turns and len(lines) == turns + 2:  # several of them have no words, only changed memories
            spoken = _spoken(await self._ask(self._redis.lrange(names.sessions, -SEARCHED, -1)))
        memories = sorted(map(_memory.decode, memory_lines), key=lambda memory: (memory.time, memory.memory_id))
        if len(memories) > MOST_MEMORIES:
            dropped = _least_valuable(memories)
            await self._ask(self._redis.hdel(names.salient, *(memory.memory_id for memory in dropped)))
            memories = [memory for memory in memories if memory not in dropped]
        card: dict[str, Any] = {}
        for part in card_parts:
            card |= msgspec.json.decode(part) if part else {}
        return Past(
            state=msgspec.json.decode(state) if state else None,
            turns=spoken[-turns:] if turns else [],
            memories=memories,
            card=card if any(card_parts) else None,
            version=new_version.decode(),
        )

    async def append(self, turn: TurnRecord) -> None:
        """Append in one round trip, whatever other servers have appended."""
        await self._append(turn, "*")

    async def append_after(self, turn: TurnRecord, version: str) -> str:
        """Append in one round trip. Raises VersionConflict or StaleSave."""
        return await self._append(turn, version)

    async def _append(self, turn: TurnRecord, version: str) -> str:
        scope, settings = turn.scope, self._settings
        seconds = int(settings.days * 86400)
        card = ["", "", ""]
        if turn.card is not None:
            elsewhere = {name for names in CARD.values() for name in names}
            parts = [{name: value for name, value in turn.card.items() if name not in elsewhere}]
            parts += [{name: turn.card[name] for name in names if name in turn.card} for names in CARD.values()]
            card = [msgspec.json.encode(part).decode() for part in parts]
        arguments: list[Any] = [
            turn.turn_id, msgspec.json.encode(turn), time.time() - seconds, version, msgspec.json.encode(turn.state),
            *card, seconds, f"{time.time():.6f}",
        ]  # fmt: skip
        for memory in turn.memories:
            arguments += [memory.memory_id, msgspec.json.encode(memory)]
        if scope not in self._listed:
            await self._list(scope)
        outcome, new_version, count = await self._ask(self._write(keys.conversation(self._prefix, scope), arguments))
        if count == 1:  # new, or begun again after another server erased it
            await self._list(scope)
        if outcome == -1:
            raise VersionConflict("another server appended to this conversation first")
        if outcome < 0:
            raise StaleSave("this conversation was rolled back or erased during the turn")
        return str(new_version.decode())

    async def _list(self, scope: Scope) -> None:
        async with self._redis.pipeline(transaction=False) as pipeline:
            pipeline.sadd(keys.all_saves(self._prefix), scope.save)
            pipeline.sadd(keys.save(self._prefix, scope.save), keys.member(scope))
            await self._ask(pipeline.execute())
        self._listed.add(scope)

    async def search(self, scope: Scope, query: str, limit: int) -> Sequence[SearchHit]:
        """Rank the newest `SEARCHED` turns of the conversation in this process."""
        lines = await self._ask(self._redis.lrange(keys.conversation(self._prefix, scope).sessions, -SEARCHED, -1))
        return await asyncio.to_thread(search_turns, _spoken(lines), query, limit)

    async def _saves(self, save: str) -> list[str]:
        """Return one save, or all for an empty name."""
        if save:
            return [save]
        return sorted(
            name.decode() for name in await self._insist(lambda: self._redis.smembers(keys.all_saves(self._prefix)))
        )

    async def _scopes(self, save: str = "", npc: str = "", player: str = "") -> AsyncIterator[Scope]:
        for name in await self._saves(save):
            conversations = keys.save(self._prefix, name)
            for member in sorted(await self._insist(partial(self._redis.smembers, conversations))):
                scope = keys.scope_of(name, member.decode())
                if scope.within(save, npc, player):
                    yield scope

    async def _turns(self, scope: Scope) -> list[TurnRecord]:
        name = keys.conversation(self._prefix, scope).sessions
        return [_turn.decode(line) for line in await self._insist(lambda: self._redis.lrange(name, 0, -1))]

    # ── saves ────────────────────────────────────────────────────────────────────────────────────

    async def snapshot(self, save: str, tag: str) -> Snapshot:
        """Copy the keys of each conversation of the save."""
        turns = 0
        async for scope in self._scopes(save):
            source_and_target = [*keys.conversation(self._prefix, scope), *keys.conversation(self._prefix, scope, tag)]
            await self._insist(partial(self._copy, source_and_target, ["", ""]))
            turns += sum(turn.spoken for turn in await self._turns(scope))
        snapshot = Snapshot(save, tag, time.time(), turns)
        line = msgspec.json.encode(snapshot)
        await self._insist(lambda: self._redis.hset(keys.snapshots(self._prefix, save), tag, line))
        await self._insist(lambda: self._redis.sadd(keys.all_saves(self._prefix), save))
        return snapshot

    async def snapshots(self, save: str) -> Sequence[Snapshot]:
        snapshots: list[Snapshot] = []
        for name in await self._saves(save):
            for line in await self._insist(partial(self._redis.hvals, keys.snapshots(self._prefix, name))):
                snapshots.append(msgspec.json.decode(line, type=Snapshot))
        return sorted(snapshots, key=lambda snapshot: -snapshot.time)

    async def rollback(self, save: str, tag: str) -> int:
        """Replace each conversation by its copy, in a new epoch, so that every server reads it again."""
        if not await self._insist(lambda: self._redis.hexists(keys.snapshots(self._prefix, save), tag)):
            tags = ", ".join(snapshot.tag for snapshot in await self.snapshots(save))
            raise NotFound(f"save '{save}' has no snapshot '{tag}'", hint=f"It has: {tags or 'none'}")
        turns = 0
        async for scope in self._scopes(save):
            source_and_target = [*keys.conversation(self._prefix, scope, tag), *keys.conversation(self._prefix, scope)]
            version, seconds = f"{time.time():.6f}/0", int(self._settings.days * 86400)
            await self._insist(partial(self._copy, source_and_target, [version, seconds]))
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
            "conversations": len({turn.scope for turn in spoken}),
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
            conversations = keys.save(self._prefix, scope.save)
            await self._insist(partial(self._redis.srem, conversations, keys.member(scope)))
        await self._learned.erase(Scopes(save, npc, player))
        if backups:
            await self.scrub(Scopes(save, npc, player), math.inf)
        await self._rewrite_file()
        return turns

    async def scrub(self, scopes: Container[Scope], until: float) -> None:
        """Remove turns from this server's backups."""
        await asyncio.to_thread(self._scrub_backups, scopes, until)

    def _scrub_backups(self, scopes: Container[Scope], until: float) -> None:
        for path in self._backups.glob("redis-*.ndjson"):
            with replace_file(path) as kept, path.open("rb") as lines:
                for line in lines:
                    turn = _turn.decode(line)
                    if turn.time > until or turn.scope not in scopes:
                        kept.write(line)

    async def check(self) -> Sequence[str]:
        """Read every turn. Redis checks its own files."""
        damage: list[str] = []
        async for scope in self._scopes():
            name = keys.conversation(self._prefix, scope).sessions
            for line in await self._insist(partial(self._redis.lrange, name, 0, -1)):
                try:
                    _turn.decode(line)
                except msgspec.MsgspecError as error:
                    damage.append(f"{name}: {error}")
        return damage

    async def backup(self) -> Backup:
        """Write all turns, a line of JSON each, to this server's data folder."""
        turns = [turn async for turn in self.export("", "", "")]
        return await asyncio.to_thread(self._write_backup, turns)

    def _write_backup(self, turns: Sequence[TurnRecord]) -> Backup:
        path = new_backup(self._backups, "redis-", ".ndjson")
        with replace_file(path) as file:
            file.writelines(msgspec.json.encode(turn) + b"\n" for turn in turns)
        return describe_backup(path)

    async def backups(self) -> Sequence[Backup]:
        return await asyncio.to_thread(list_backups, self._backups, "redis-*.ndjson")

    async def restore(self, name: str) -> None:
        """Replace all conversations by a backup, which is read completely before anything changes."""
        path = find_backup(self._backups, name)
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
        """Delete an NPC's conversations, or all; snapshots stay."""
        async for scope in self._scopes(npc=npc):
            await self._insist(partial(self._redis.delete, *keys.conversation(self._prefix, scope)))


def _least_valuable(memories: Sequence[MemoryRecord]) -> list[MemoryRecord]:
    """Return a fifth of the maximum, so that this is not needed again soon."""

    def worth(memory: MemoryRecord) -> tuple[bool, bool, float]:
        passing = memory.kind in (MemoryKind.EVENT, MemoryKind.SUMMARY)
        return memory.status is MemoryStatus.ACTIVE, not passing, memory.time

    return sorted(memories, key=worth)[: MOST_MEMORIES // 5]


def _spoken(lines: Sequence[bytes]) -> list[TurnRecord]:
    """Return the turns that have words; the others only carry a change of memories."""
    return [turn for turn in map(_turn.decode, lines) if turn.spoken]


_: type[SharedStore] = RedisStore
