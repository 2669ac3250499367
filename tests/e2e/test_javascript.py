"""The JavaScript client, in Node, against the live server."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from rfsn_core.testing.process import Server

pytestmark = pytest.mark.engines
ROOT = Path(__file__).parents[2]


def node(script: str | Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["node", "--experimental-websocket", str(script), *arguments],
        cwd=ROOT,
        env={**os.environ, "NODE_NO_WARNINGS": "1", **environment},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_the_example_client_talks(serve: Callable[..., Server]) -> None:
    ran = node("examples/javascript/talk.mjs", "innkeeper", "When does the ferry run?", RFSN_URL=serve().ws)
    lines = ran.stdout.splitlines()
    assert (ran.returncode, ran.stderr) == (0, "")
    assert lines[0] == "[explain, warm_friendly]"
    assert "nine days" in lines[1]
    assert int(lines[-1].split()[0]) > 20_000


def test_its_mistakes_end_in_one_line(serve: Callable[..., Server]) -> None:
    ran = node("examples/javascript/talk.mjs", "nobody", RFSN_URL=serve().ws)
    assert ran.returncode == 1
    assert "no NPC 'nobody'" in ran.stderr
    ran = node("examples/javascript/talk.mjs", RFSN_URL="ws://127.0.0.1:9/v1/ws")
    assert ran.returncode == 1
    assert "cannot be reached" in ran.stderr


def test_turns_side_by_side_barge_in_events_and_a_lost_connection(serve: Callable[..., Server], tmp_path: Path) -> None:
    script = tmp_path / "test.mjs"
    client = (ROOT / "rfsn_core" / "server" / "static" / "rfsn.mjs").as_uri()
    script.write_text(
        f"""
import assert from "node:assert/strict";
import {{ connect }} from "{client}";
const rfsn = await connect(process.env.RFSN_URL, {{ text: true, visemes: true }});
assert.deepEqual(rfsn.npcs.map((npc) => npc.id), ["innkeeper", "ferryman", "healer", "peddler", "sergeant"]);

const both = await Promise.all(["innkeeper", "sergeant"].map(async (npc) => {{
  const types = [];
  for await (const event of rfsn.say(npc, "Good evening!")) types.push(event.type);
  return types;
}}));
for (const types of both) {{
  assert.ok(types.indexOf("decision") < types.indexOf("sentence"));
  assert.ok(types.includes("audio") && types.includes("visemes") && types.includes("text"));
  assert.equal(types.at(-1), "turn.finished");
}}

const turn = rfsn.say("innkeeper", "When does the ferry run?");
const seen = [];
for await (const event of turn) {{
  seen.push(event.type);
  if (event.type === "decision") turn.cancel();
}}
assert.equal(seen.at(-1), "turn.cancelled");

const answers = [];
const answered = new Promise((resolve) => (rfsn.onmessage = (message) => {{
  answers.push(message);
  if (answers.length === 2) resolve();
}}));
rfsn.send({{ type: "event", npc: "healer", kind: "gift" }});
rfsn.send({{ type: "reward", decision_id: "unknown", value: 1 }});
await answered;
assert.deepEqual(answers.map((answer) => answer.type).sort(), ["reward.accepted", "state"]);

const cut = rfsn.say("healer", "Hello");
rfsn.close();
await assert.rejects(async () => {{ for await (const _ of cut) {{}} }}, /connection closed/);
console.log("all good");
""",
        "utf-8",
    )
    ran = node(script, RFSN_URL=serve(RFSN_RENDERING__SCRIPTED__WORDS_PER_SECOND="200").ws)
    assert (ran.stdout, ran.stderr) == ("all good\n", "")
