// Built by build.mjs from header.js, plugin.js and ../javascript/game.mjs: edit those, then run `node build.mjs`.
/*:
 * @target MZ
 * @plugindesc NPCs with a mind and a voice (RFSN).
 * @author RFSN
 *
 * @help
 * NPCs decide, speak and remember by themselves. Start the server first:
 *
 *   rfsn serve my_world
 *
 * RPG Maker's test play comes from an address of its own, so the server must be told that it may connect. Put the address that
 * the server's log names into its rfsn.toml:
 *
 *   [server]
 *   origins = ["chrome-extension://..."]
 *
 * Then use the plugin commands. Saving and loading the game saves and loads what the NPCs know.
 *
 * @param url
 * @text Address
 * @default ws://127.0.0.1:8765/v1/ws
 * @param player
 * @text Player
 * @desc Who speaks. NPCs have a relationship with each player.
 * @default player
 * @param key
 * @text Key
 * @desc The server's key, if it has one.
 * @param sound
 * @text Sound
 * @type boolean
 * @default true
 * @param gesture
 * @text Action variable
 * @desc A variable that gets the NPC's action, before it speaks.
 * @type variable
 * @default 0
 *
 * @command say
 * @text Say
 * @desc The player says something; the event waits for the answer.
 * @arg npc
 * @text NPC
 * @desc Its id, as in the world's folder npcs.
 * @arg text
 * @text Text
 * @arg variable
 * @text or Variable
 * @desc A variable that holds the text, for example from a text input plugin.
 * @type variable
 * @default 0
 *
 * @command greet
 * @text Greet
 * @desc The NPC speaks first.
 * @arg npc
 * @text NPC
 *
 * @command interrupt
 * @text Interrupt
 * @desc The NPC stops talking.
 *
 * @command approach
 * @text Approach
 * @desc The player comes near: the NPC's memory is read in advance.
 * @arg npc
 * @text NPC
 *
 * @command event
 * @text Event
 * @desc Something happened that the NPC knows of.
 * @arg npc
 * @text NPC
 * @arg kind
 * @text Kind
 * @desc gift, promise_kept, promise_broken, betrayal, saved_life, attacked, witnessed_crime, quest_started, quest_completed, ...
 * @arg what
 * @text What
 */

(() => {
// NPCs for a game in JavaScript: connects, waits and connects again, and calls you back. No dependencies.
//
//   import { Game } from "rfsn-client";
//   const game = new Game("ws://127.0.0.1:8765/v1/ws", { player: "Ada" });
//   game.on("sentence", (turn, index, text) => showSubtitle(text));
//   game.on("decision", (turn, decision) => playGesture(decision.action));
//   game.on("ready", () => game.say("innkeeper", "Good evening!"));
//   game.connect();

const PROTOCOL = "rfsn.v1";
const HEADER = 12;
const LONGEST_WAIT = 10;

/** A key as a subprotocol can carry it: websockets of browsers have no headers. */
function base64url(text) {
  const bytes = String.fromCharCode(...new TextEncoder().encode(text));
  return btoa(bytes).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

/** A connection to the server, with the turns that run on it. Callbacks: see game.d.ts. */
class Game {
  #socket = null;
  #turns = new Map(); // turn id → { number, rates: sentence → Hz }
  #numbers = new Map(); // turn number, which sound carries → turn id
  #handlers = new Map();
  #made = 0;
  #wait;
  #timer = null;
  #open = false;

  constructor(url, { player = "player", save = "default", key = "", audio = true, visemes = false, wait = 0.5 } = {}) {
    Object.assign(this, { url, player, save, key, audio, visemes, firstWait: wait });
    /** The NPCs of the world, once `ready` was called: [{id, name, title}]. */
    this.npcs = [];
    this.#wait = wait;
  }

  /** Sets the callback of an event; a second one replaces the first. */
  on(event, callback) {
    this.#handlers.set(event, callback);
    return this;
  }

  /** Opens the connection, and opens it again whenever it is lost, until `close`. */
  connect() {
    this.#open = true;
    const socket = new WebSocket(this.url, this.key ? [PROTOCOL, `rfsn.key.${base64url(this.key)}`] : PROTOCOL);
    socket.binaryType = "arraybuffer";
    socket.onmessage = ({ data }) => (typeof data === "string" ? this.#take(JSON.parse(data)) : this.#hear(data));
    socket.onerror = () => {};
    socket.onclose = ({ code, reason }) => this.#lost(code, reason);
    this.#socket = socket;
  }

  /** Closes the connection for good. */
  close() {
    this.#open = false;
    clearTimeout(this.#timer);
    this.#socket?.close(1000);
  }

  /** Says something to an NPC; returns the turn's id. `state` is the game's state, `signal` what the player does. */
  say(npc, text, { state = {}, signal = "" } = {}) {
    return this.#begin({ npc, text, state, signal });
  }

  /** Lets an NPC speak first, because the player comes near or something happened; returns the turn's id. */
  greet(npc, cause = "approach") {
    return this.#begin({ npc, text: "", cause });
  }

  /** Barge-in: the NPC stops, and remembers what the player heard: up to `ms` of a sentence. Stop your sound first. */
  interrupt(turn, sentence = 0, ms = 0) {
    this.send({ type: "played", turn_id: turn, sentence, ms });
    this.send({ type: "cancel", turn_id: turn });
  }

  /** The player comes near these NPCs: the server reads their memories now. */
  approach(...npcs) {
    this.send({ type: "prefetch", npcs, player: this.player, save: this.save });
  }

  /** Something happened in the game. With `speak`, the NPC says something about it. */
  event(npc, kind, data = {}, speak = false) {
    this.send({ type: "event", npc, kind, player: this.player, save: this.save, data, speak });
  }

  /** What became of an NPC's action: "done", "failed" or "refused". */
  result(decision, outcome, reason = "", speak = false) {
    this.send({ type: "result", decision_id: decision, outcome, reason, speak });
  }

  /** The game was saved, or loaded. */
  saved(tag) {
    this.send({ type: "snapshot", tag, save: this.save });
  }

  loaded(tag) {
    this.send({ type: "rollback", tag, save: this.save });
  }

  /** Sends any message of the protocol; returns whether there was a connection for it. */
  send(message) {
    const open = this.#socket?.readyState === WebSocket.OPEN;
    if (open) this.#socket.send(JSON.stringify(message));
    else this.#call("error", "There is no connection to the server.");
    return open;
  }

  #begin(fields) {
    const id = `${PROTOCOL}-${++this.#made}`;
    this.#turns.set(id, { number: 0, rates: new Map() });
    const sent = this.send({ type: "turn", player: this.player, save: this.save, turn_id: id, ...fields });
    if (!sent) queueMicrotask(() => this.#end(id, "")); // after the caller has the id
    return id;
  }

  #call(event, ...values) {
    this.#handlers.get(event)?.(...values);
  }

  #take(message) {
    const turn = message.turn_id;
    switch (message.type) {
      case "welcome":
        this.npcs = message.npcs;
        this.#wait = this.firstWait;
        this.send({ type: "hello", client: "rfsn-client js", audio: this.audio, visemes: this.visemes });
        return this.#call("ready", message.npcs);
      case "turn.started":
        if (!this.#turns.has(turn)) this.#turns.set(turn, { number: 0, rates: new Map() }); // the NPC speaks first
        this.#turns.get(turn).number = message.turn_no;
        this.#numbers.set(message.turn_no, turn);
        return;
      case "decision":
        return this.#call("decision", turn, message);
      case "sentence":
        return this.#call("sentence", turn, message.index, message.text);
      case "speech.started":
        this.#turns.get(turn)?.rates.set(message.sentence, message.sample_rate);
        return;
      case "visemes":
        return this.#call("visemes", turn, message.sentence, message.visemes);
      case "speech.finished":
        return this.#call("spoken", turn, message.sentence);
      case "state":
        return this.#call("state", message);
      case "turn.finished":
      case "turn.cancelled":
        return this.#end(turn, message.text);
      case "turn.failed":
      case "error":
        this.#call("error", message.message);
        if (turn) this.#end(turn, "");
        return;
      default:
        this.#call("message", message);
    }
  }

  #hear(data) {
    const view = new DataView(data);
    const turn = this.#numbers.get(view.getUint32(4, true));
    const sentence = view.getUint16(2, true);
    if (view.getUint8(0) !== 1 || turn === undefined || data.byteLength === HEADER) return;
    const rate = this.#turns.get(turn)?.rates.get(sentence) ?? 0;
    this.#call("audio", turn, sentence, rate, new Int16Array(data.slice(HEADER)));
  }

  #end(turn, text) {
    this.#numbers.delete(this.#turns.get(turn)?.number);
    if (this.#turns.delete(turn)) this.#call("finished", turn, text);
  }

  #lost(code, reason) {
    for (const turn of [...this.#turns.keys()]) this.#end(turn, "");
    if (!this.#open) return;
    this.#call("lost", reason || `the connection ended (${code})`, this.#wait);
    this.#timer = setTimeout(() => this.connect(), this.#wait * 1000);
    this.#wait = Math.min(LONGEST_WAIT, this.#wait * 2);
  }
}

  "use strict";
  const NAME = "RFSN";
  const parameters = PluginManager.parameters(NAME);
  const game = new Game(parameters.url || "ws://127.0.0.1:8765/v1/ws", {
    player: parameters.player || "player",
    key: parameters.key || "",
    audio: parameters.sound !== "false",
  });
  const gestureVariable = Number(parameters.gesture || 0);
  let names = new Map(); // NPC id → display name
  let talking = ""; // the turn that is shown
  let speaker = "";
  let context = null;
  let playsUntil = 0;
  let problemShown = false;

  const show = (text) => {
    $gameMessage.setSpeakerName(names.get(speaker) || speaker);
    for (const line of wrapped(text, 50)) $gameMessage.add(line);
  };
  const wrapped = (text, width) => {
    const lines = [""];
    for (const word of text.split(/\s+/)) {
      const last = lines[lines.length - 1];
      if (last && last.length + word.length >= width) lines.push(word);
      else lines[lines.length - 1] = last ? `${last} ${word}` : word;
    }
    return lines;
  };
  const begin = (npc, start) => {
    if (talking) stop();
    speaker = npc;
    talking = start();
  };
  const stop = () => {
    if (context) context.close();
    context = null;
    playsUntil = 0;
    game.interrupt(talking, 0, 1);
  };

  game
    .on("ready", (npcs) => (names = new Map(npcs.map((npc) => [npc.id, npc.name]))))
    .on("decision", (turn, decision) => {
      if (turn === talking && gestureVariable) $gameVariables.setValue(gestureVariable, decision.action);
    })
    .on("sentence", (turn, index, text) => turn === talking && show(text))
    .on("audio", (turn, sentence, rate, samples) => {
      if (turn !== talking) return;
      context = context || new AudioContext();
      const buffer = context.createBuffer(1, samples.length, rate);
      buffer.copyToChannel(Float32Array.from(samples, (sample) => sample / 32768), 0);
      const source = context.createBufferSource();
      source.buffer = buffer;
      source.connect(context.destination);
      playsUntil = Math.max(playsUntil, context.currentTime);
      source.start(playsUntil);
      playsUntil += buffer.duration;
    })
    .on("finished", (turn) => turn === talking && (talking = ""))
    .on("error", (message) => show(message))
    .on("lost", (reason) => {
      if (!problemShown) console.warn(`RFSN: ${reason}`);
      problemShown = true;
    });

  const command = (name, run) => PluginManager.registerCommand(NAME, name, run);
  command("say", function (args) {
    const variable = Number(args.variable || 0);
    begin(args.npc, () => game.say(args.npc, variable ? String($gameVariables.value(variable)) : args.text));
    this.setWaitMode("rfsn");
  });
  command("greet", function (args) {
    begin(args.npc, () => game.greet(args.npc));
    this.setWaitMode("rfsn");
  });
  command("interrupt", () => talking && stop());
  command("approach", (args) => game.approach(args.npc));
  command("event", (args) => game.event(args.npc, args.kind, args.what ? { what: args.what } : {}));

  const updateWaitMode = Game_Interpreter.prototype.updateWaitMode;
  Game_Interpreter.prototype.updateWaitMode = function () {
    if (this._waitMode !== "rfsn") return updateWaitMode.call(this);
    const waiting = talking !== "" || $gameMessage.isBusy();
    if (!waiting) this._waitMode = "";
    return waiting;
  };
  // What NPCs know belongs to the save.
  const saveGame = DataManager.saveGame;
  DataManager.saveGame = function (id) {
    game.saved(`file${id}`);
    return saveGame.call(this, id);
  };
  const loadGame = DataManager.loadGame;
  DataManager.loadGame = function (id) {
    game.loaded(`file${id}`);
    return loadGame.call(this, id);
  };
  game.connect();
})();
