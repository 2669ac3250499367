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
export class Game {
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
