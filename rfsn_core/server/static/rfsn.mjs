// A client for RFSN, protocol rfsn.v1. No dependencies; for browsers and for Node 22 (Node 20: --experimental-websocket).
//
//   import { connect } from "./rfsn.mjs";
//   const rfsn = await connect("ws://127.0.0.1:8765/v1/ws", { audio: false });
//   for await (const event of rfsn.say("innkeeper", "Good evening!")) {
//     if (event.type === "decision") console.log(event.action);   // before a word of it is made
//     if (event.type === "sentence") console.log(event.text);
//   }
//
// Events are the protocol's messages as they come, and {type: "audio", sentence, sequence, last, samples: Int16Array}.

const PROTOCOL = "rfsn.v1";
const AUDIO_HEADER = 12;
const ENDS = new Set(["turn.finished", "turn.cancelled", "turn.failed", "error"]);

/** Opens a connection. Options: key, client, audio, text, visemes; see `hello` in the protocol. Rejects with an Error. */
export function connect(url, { key, ...hello } = {}) {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url, key ? [PROTOCOL, `rfsn.key.${base64url(key)}`] : PROTOCOL);
    socket.binaryType = "arraybuffer";
    socket.onerror = () => reject(new Error(`${url} cannot be reached, or refused the connection`));
    socket.onclose = ({ reason }) => reject(new Error(reason || `${url} cannot be reached, or refused the connection`));
    socket.onmessage = ({ data }) => {
      const welcome = JSON.parse(data);
      const client = new Client(socket, welcome);
      client.send({ type: "hello", ...hello });
      resolve(client);
    };
  });
}

/** A key as a subprotocol can carry it: websockets of browsers have no headers. */
function base64url(text) {
  const bytes = String.fromCharCode(...new TextEncoder().encode(text));
  return btoa(bytes).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

class Client {
  #socket;
  #turns = new Map(); // turn_id → Turn
  #numbers = new Map(); // turn_no, which audio frames carry → Turn
  #made = 0;

  constructor(socket, welcome) {
    /** The NPCs of the world: [{id, name, title}]. */
    this.npcs = welcome.npcs;
    /** Set it to see what belongs to no turn: states, config changes, answers to rewards and events, errors. */
    this.onmessage = () => {};
    /** Set it to know when the connection has ended; called with {code, reason}. */
    this.onclose = () => {};
    this.#socket = socket;
    socket.onerror = null;
    socket.onmessage = ({ data }) => this.#take(data);
    socket.onclose = ({ code, reason }) => {
      for (const turn of this.#turns.values()) turn._end(new Error(`connection closed: ${code} ${reason}`));
      this.onclose({ code, reason });
    };
  }

  /** Says something to an NPC. Options: player, world, state, signal. Returns a Turn: iterate it, or cancel it. */
  say(npc, text, options = {}) {
    const turn = new Turn(this, `${PROTOCOL}-${++this.#made}`);
    this.#turns.set(turn.id, turn);
    this.send({ type: "turn", npc, text, turn_id: turn.id, ...options });
    return turn;
  }

  /** Sends any message of the protocol: event, reward, played, ping. */
  send(message) {
    this.#socket.send(JSON.stringify(message));
  }

  close() {
    this.#socket.close(1000);
  }

  #take(data) {
    if (typeof data !== "string") {
      const frame = readAudio(data);
      this.#numbers.get(frame.turn)?._push(frame);
      return;
    }
    const message = JSON.parse(data);
    const turn = this.#turns.get(message.turn_id);
    if (turn === undefined) {
      this.onmessage(message);
      return;
    }
    if (message.type === "turn.started") {
      turn.number = message.turn_no;
      this.#numbers.set(message.turn_no, turn);
    }
    turn._push(message);
    if (ENDS.has(message.type)) {
      this.#turns.delete(turn.id);
      this.#numbers.delete(turn.number);
      turn._end();
    }
  }
}

class Turn {
  #queue = [];
  #wake = null;
  #over = false;
  #error = null;

  constructor(client, id) {
    this.client = client;
    this.id = id;
  }

  /** Barge-in: the NPC stops talking. Say how far the player heard it, and it remembers no more than that. */
  cancel({ sentence, ms = 0 } = {}) {
    if (this.#over) return;
    if (sentence !== undefined) this.client.send({ type: "played", turn_id: this.id, sentence, ms });
    this.client.send({ type: "cancel", turn_id: this.id });
  }

  async *[Symbol.asyncIterator]() {
    while (true) {
      while (this.#queue.length) yield this.#queue.shift();
      if (this.#error) throw this.#error;
      if (this.#over) return;
      await new Promise((resolve) => (this.#wake = resolve));
    }
  }

  _push(event) {
    this.#queue.push(event);
    this.#wake?.();
  }

  _end(error = null) {
    this.#over = true;
    this.#error = error;
    this.#wake?.();
  }
}

/** A binary frame: u8 version, u8 flags, u16 sentence, u32 turn, u32 sequence, little-endian; then PCM16 mono. */
function readAudio(buffer) {
  const view = new DataView(buffer);
  if (view.getUint8(0) !== 1) throw new Error("an audio frame of an unknown version");
  return {
    type: "audio",
    last: (view.getUint8(1) & 1) === 1,
    sentence: view.getUint16(2, true),
    turn: view.getUint32(4, true),
    sequence: view.getUint32(8, true),
    samples: new Int16Array(buffer.slice(AUDIO_HEADER)),
  };
}
