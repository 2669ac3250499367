// Runs RFSN.js in Node against a server, with as much of RPG Maker as the plugin touches; prints what the player sees.
import { readFileSync } from "node:fs";
import vm from "node:vm";

const commands = new Map();
const shown = [];
const variables = new Map();
const context = vm.createContext({
  console, WebSocket, setTimeout, clearTimeout, encodeURIComponent, JSON, Map, Math, Number, String, Int16Array, DataView,
  PluginManager: {
    parameters: () => ({ url: process.env.RFSN_URL, player: "Ada", sound: "false", gesture: "7" }),
    registerCommand: (_, name, run) => commands.set(name, run),
  },
  Game_Interpreter: class { updateWaitMode() { return false; } },
  DataManager: { saveGame: (id) => id, loadGame: (id) => id },
  $gameMessage: { setSpeakerName: (name) => shown.push(name), add: (line) => shown.push(line), isBusy: () => false },
  $gameVariables: { setValue: (id, value) => variables.set(id, value), value: () => "Good evening!" },
});
vm.runInContext(readFileSync(new URL("RFSN.js", import.meta.url), "utf8"), context);
const interpreter = vm.runInContext("new Game_Interpreter()", context);
interpreter.setWaitMode = function (mode) { this._waitMode = mode; };

setTimeout(() => {
  commands.get("approach")({ npc: "innkeeper" });
  commands.get("say").call(interpreter, { npc: "innkeeper", variable: "3" });
  const waiting = setInterval(() => {
    if (interpreter.updateWaitMode()) return;
    clearInterval(waiting);
    console.log(JSON.stringify({ shown, action: variables.get(7) }));
    process.exit(0);
  }, 5);
}, 300);
