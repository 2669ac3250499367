"""Adapter of the conformance sessions; see ../conformance/README.md. With `thread`, it tests GameThread."""

import array
import asyncio
import json
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from rfsn_client import Game, GameThread


def show(*values):
    print(json.dumps(values), flush=True)


def called(game, message):
    if message["type"] != "test.call":
        return
    name, *values = message["call"]
    calls = {
        "say": game.say, "greet": game.greet, "approach": game.approach, "result": game.result,
        "interrupt": game.interrupt, "save": game.saved, "load": game.loaded,
        "event": lambda npc, kind, what: game.event(npc, kind, {"what": what}),
    }  # fmt: skip
    calls[name](*values)


def samples(pcm):
    values = array.array("h", pcm)
    return len(values), sum(values)


thread = "thread" in sys.argv
game = (GameThread if thread else Game)(os.environ["RFSN_URL"], player="Ada", save="slot1", wait=0.05)
game.on("ready", lambda npcs: show("ready", ",".join(npc["id"] for npc in npcs)))
game.on("decision", lambda turn, d: show("decision", turn, d["decision_id"], d["action"], d["target"]))
game.on("sentence", lambda *values: show("sentence", *values))
game.on("audio", lambda turn, sentence, rate, pcm: show("audio", turn, sentence, rate, *samples(pcm)))
game.on("spoken", lambda *values: show("spoken", *values))
game.on("state", lambda state: show("state", state["npc"], state["mood"], state["relationship"]))
game.on("finished", lambda *values: show("finished", *values))
game.on("error", lambda message: show("error", message))
game.on("lost", lambda reason, seconds: show("lost"))
game.on("message", lambda message: called(game, message))
if thread:
    game.start()
    while True:
        game.poll()
        time.sleep(0.002)
else:
    asyncio.run(game.run())
