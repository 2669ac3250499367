// A game client in one page: say something to an NPC, and print what it does and says.
//
//   node examples/javascript/talk.mjs innkeeper "Good evening!"       (Node 22; Node 20: add --experimental-websocket)

import { connect } from "../../rfsn_core/server/static/rfsn.mjs"; // copy that file into your game

const [npc = "innkeeper", text = "Good evening!"] = process.argv.slice(2);
const address = process.env.RFSN_URL ?? "ws://127.0.0.1:8765/v1/ws";

let rfsn;
try {
  rfsn = await connect(address, { client: "talk.mjs", key: process.env.RFSN_KEY });
  let bytes = 0;
  for await (const event of rfsn.say(npc, text)) {
    if (event.type === "decision") console.log(`[${event.action}, ${event.style}]`); // start the gesture now
    if (event.type === "sentence") console.log(event.text); // show the subtitle
    if (event.type === "audio") bytes += event.samples.byteLength; // feed the sound card
    if (event.type === "state") console.log(`(${event.mood}, ${event.relationship})`);
    if (event.type === "turn.finished") console.log(`${bytes} bytes of speech, ${event.latency.total} ms`);
    if (event.type === "turn.failed" || event.type === "error") throw new Error(event.message);
  }
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
} finally {
  rfsn?.close();
}
