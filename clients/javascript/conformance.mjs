// Adapter of the conformance sessions; see ../conformance/README.md.
import { Game } from "./game.mjs";

const print = (...values) => console.log(JSON.stringify(values));
const game = new Game(process.env.RFSN_URL, { player: "Ada", save: "slot1", wait: 0.05 });
const calls = {
  say: (npc, text) => game.say(npc, text),
  greet: (npc) => game.greet(npc),
  approach: (npc) => game.approach(npc),
  event: (npc, kind, what) => game.event(npc, kind, { what }),
  result: (decision, outcome, reason) => game.result(decision, outcome, reason),
  interrupt: (turn, sentence, ms) => game.interrupt(turn, sentence, ms),
  save: (tag) => game.saved(tag),
  load: (tag) => game.loaded(tag),
  quit: () => process.exit(0),
};
game
  .on("ready", (npcs) => print("ready", npcs.map((npc) => npc.id).join(",")))
  .on("decision", (turn, decision) => print("decision", turn, decision.decision_id, decision.action, decision.target))
  .on("sentence", (turn, index, text) => print("sentence", turn, index, text))
  .on("audio", (turn, sentence, rate, samples) =>
    print("audio", turn, sentence, rate, samples.length, samples.reduce((sum, sample) => sum + sample, 0)))
  .on("spoken", (turn, sentence) => print("spoken", turn, sentence))
  .on("state", (state) => print("state", state.npc, state.mood, state.relationship))
  .on("finished", (turn, text) => print("finished", turn, text))
  .on("error", (message) => print("error", message))
  .on("lost", () => print("lost"))
  .on("message", ({ type, call }) => type === "test.call" && calls[call[0]](...call.slice(1)))
  .connect();
