// The page at `/`: talk to the world's NPCs, see what they decide, hear them.

import { connect } from "./rfsn.mjs";
import { Player } from "./player.mjs";

const element = (id) => document.getElementById(id);
const talk = element("talk"), status = element("status"), input = element("text");
const player = new Player();
const name = localStorage.getItem("rfsn.player") ?? `guest-${crypto.getRandomValues(new Uint32Array(1))[0].toString(36)}`;
localStorage.setItem("rfsn.player", name);

player.onshape = (shape) => (element("mouth").dataset.shape = shape);

// The facts that this player was told, for those that an NPC tells only when another one's is known.
const heard = new Set(JSON.parse(localStorage.getItem("rfsn.heard") ?? "[]"));
let rfsn = null; // the connection
let npc = null; // who is talked to
let turn = null; // the turn under way

function show(text, bad = false) {
  status.textContent = text;
  status.classList.toggle("bad", bad);
}

function scroll() {
  talk.scrollTop = talk.scrollHeight;
}

function add(tag, className, text) {
  const node = document.createElement(tag);
  node.className = className;
  node.textContent = text;
  talk.append(node);
  scroll();
  return node;
}

// ── the connection ──────────────────────────────────────────────────────────

async function open(wait = 500) {
  let broken = [];
  try {
    const answer = await fetch("/api/health");
    if (answer.status === 401) {
      const given = prompt("This server asks for its key:");
      if (given === null) return show("a key is needed: reload the page to try again", true);
      await fetch("/api/session", { method: "POST", body: JSON.stringify({ key: given }) });
      return open(wait);
    }
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const { rendering, speech } = (await answer.json()).components ?? {};
    broken = [...(rendering?.broken ?? []), ...(speech?.broken ?? [])];
    rfsn = await connect(`${scheme}://${location.host}/v1/ws`, { client: "page", visemes: true });
  } catch {
    show("the server is away; trying again…", true);
    setTimeout(open, wait, Math.min(wait * 2, 10_000));
    return;
  }
  show("connected");
  for (const each of broken) engine(each);
  rfsn.onclose = ({ reason }) => {
    rfsn = null;
    player.stop();
    show(`${reason || "connection lost"}; trying again…`, true);
    setTimeout(open, 500);
  };
  rfsn.onmessage = (message) => {
    if (message.type === "config.changed") show(`settings changed: ${message.files.join(", ")}`);
    if (message.type === "config.rejected") show(`settings refused: ${message.problems.join("; ")}`, true);
    if (message.type === "engine.changed") engine(message);
    if (message.type === "state" && message.npc === npc?.id) feel(message);
    if (message.type === "error") show(message.message, true);
  };
  const nav = element("npcs");
  nav.replaceChildren(
    ...rfsn.npcs.map((each) => {
      const button = document.createElement("button");
      button.textContent = each.name;
      button.title = each.title;
      button.dataset.npc = each.id;
      button.onclick = () => choose(each);
      return button;
    }),
  );
  choose(rfsn.npcs.find((each) => each.id === npc?.id) ?? rfsn.npcs[0], npc !== null);
}

const ENGINE = {
  open: (engine) => `${engine.provider} fails and is left alone for a while: ${engine.reason}`,
  half_open: (engine) => `${engine.provider} is being tried again…`,
  closed: (engine) => `${engine.provider} works again`,
};

function engine(changed) {
  show(ENGINE[changed.state](changed), changed.state === "open");
}

function choose(each, quietly = false) {
  if (npc !== null && npc.id !== each.id) interrupt();
  npc = each;
  for (const button of element("npcs").children) button.setAttribute("aria-pressed", button.dataset.npc === npc.id);
  if (quietly) return;
  element("state").hidden = true;
  add("p", "lead", `You are with ${npc.name}${npc.title ? `, ${npc.title}` : ""}.`);
  input.focus();
}

// ── a turn ──────────────────────────────────────────────────────────────────

element("say").onsubmit = (event) => {
  event.preventDefault();
  const text = input.value.trim();
  if (!text || !rfsn) return;
  input.value = "";
  player.wake(); // browsers start sound only on a gesture
  interrupt();
  add("article", "player", text);
  follow(rfsn.say(npc.id, text, { player: name, state: { flags: [...heard, ...flags()] } }), npc);
};
element("stop").onclick = () => interrupt();
element("sound").onchange = (event) => player.mute(!event.target.checked);

// What a game would report: deeds that the NPC sees, and flags.
element("deeds").onclick = ({ target }) => {
  const { kind, said } = target.dataset;
  if (!kind || !rfsn) return;
  rfsn.send({ type: "event", npc: npc.id, player: name, kind });
  add("p", "lead", said.replace("{npc}", npc.name));
};
element("flags").value = localStorage.getItem("rfsn.flags") ?? "";
element("flags").onchange = ({ target }) => localStorage.setItem("rfsn.flags", target.value);

function flags() {
  return element("flags").value.split(/[\s,;]+/).filter(Boolean);
}

/** Barge-in: also when all was sent already, and only the sound goes on. */
function interrupt() {
  turn?.cancel(player.heard());
  player.stop();
}

function busy() {
  element("stop").hidden = turn === null && !player.playing;
}

async function follow(mine, who) {
  turn = mine;
  busy();
  const reply = new Reply(who.name);
  player.onsentence = (sentence) => {
    reply.speaking(sentence);
    busy();
  };
  try {
    for await (const event of mine) {
      if (event.type === "audio") {
        if (turn === mine) player.play(event);
      } else if (event.type === "visemes") player.mouth(event);
      else if (event.type === "speech.started") {
        element("state").hidden = false; // the mouth is there
        player.begin(event.sentence, event.sample_rate);
      } else if (event.type === "state") feel(event);
      else {
        if (event.type === "turn.finished") note(event.told);
        reply.take(event);
      }
    }
  } catch (error) {
    reply.note(error.message);
  }
  if (turn === mine) turn = null;
  busy();
}

/** Keeps the fact that was told. */
function note(fact) {
  if (!fact) return;
  heard.add(fact);
  localStorage.setItem("rfsn.heard", JSON.stringify([...heard]));
}

function feel(state) {
  element("state").hidden = false;
  element("mood").textContent = `${state.mood}, ${state.relationship}`;
  for (const field of ["affinity", "trust", "fear"]) {
    element(field).value = state[field];
    element(field).title = state[field].toFixed(2);
  }
}

/** One reply of an NPC, as it grows. */
class Reply {
  constructor(title) {
    const node = element("reply").content.cloneNode(true).firstElementChild;
    this.find = (selector) => node.querySelector(selector);
    this.find("h2").textContent = title;
    this.find("details").hidden = true;
    this.find("details").ontoggle = () => node.scrollIntoView({ block: "end" });
    talk.append(node);
    scroll();
  }

  take(event) {
    if (event.type === "decision") this.decision(event);
    else if (event.type === "sentence") this.sentence(event);
    else if (event.type === "narration") this.narration(event);
    else if (event.type === "sentence.blocked") this.note(`The gate: ${event.verdict} (${event.reasons.join(", ")})`);
    else if (event.type === "renderer.switched") this.note(`${event.next} speaks, because ${event.failed} failed: ${event.reason}`);
    else if (event.type === "speech.off") this.note(`No speech: ${event.reason}`);
    else if (event.type === "turn.finished") this.finished(event);
    else if (event.type === "turn.cancelled") this.note(`Interrupted. Remembered: “${event.text}”`);
    else if (event.type === "turn.failed" || event.type === "error") this.note(event.message);
    scroll();
  }

  decision(event) {
    this.find("details").hidden = false;
    const forced = event.forced_by ? `, forced by ${event.forced_by}` : "";
    this.find("summary").textContent = `${event.action} · ${event.style} (heard: ${event.signal}${forced})`;
    this.find("summary").dataset.action = event.action;
    const scores = event.candidates.map((candidate) => candidate.score);
    const low = Math.min(0, ...scores), high = Math.max(...scores, low + 1e-9);
    const rows = event.candidates
      .sort((a, b) => b.score - a.score)
      .map((candidate) => {
        const row = cells(candidate.action, candidate.score.toFixed(3), candidate.why);
        row.classList.toggle("chosen", candidate.action === event.action);
        const bar = document.createElement("span");
        bar.className = "bar";
        bar.style.width = `${(4 * (candidate.score - low)) / (high - low)}em`;
        row.children[1].prepend(bar);
        return row;
      });
    for (const veto of event.vetoes) {
      const row = cells(veto.action, "", `forbidden by ${veto.rule}`);
      row.className = "vetoed";
      rows.push(row);
    }
    this.find(".candidates tbody").replaceChildren(...rows);
    this.find(".key").textContent = event.key;
    this.time("decision", event.latency_ms);
  }

  sentence(event) {
    const span = document.createElement("span");
    span.className = "said";
    span.dataset.sentence = event.index;
    span.textContent = event.text;
    this.find(".words").append(span, " ");
  }

  narration(event) {
    const told = document.createElement("em");
    told.dataset.sentence = event.index;
    told.textContent = event.text;
    this.find(".words").append(told, " ");
  }

  speaking(sentence) {
    for (const span of this.find(".words").children) {
      span.classList.toggle("speaking", span.dataset.sentence === String(sentence));
    }
  }

  finished(event) {
    const { first_token, first_sentence, first_audio, total } = event.latency;
    this.time("first token", first_token);
    this.time("first sentence", first_sentence);
    this.time("first audio", first_audio);
    this.time("whole turn", total);
    if (event.reason !== "complete") this.note(`The reply ended early: ${event.reason}`);
    const { final_json, report, usage, notes } = event.trace;
    if (final_json === "mismatch") this.note(`The model says that it did something else: ${report.action}`);
    for (const note of notes) this.note(note);
    const tokens = usage?.completion_tokens ? `, ${usage.prompt_tokens ?? "?"} + ${usage.completion_tokens} tokens` : "";
    this.find(".renderer").textContent = `Worded by ${event.renderer}${tokens}`;
    if (!event.durable) this.note("The store is away: this turn will be stored when it is back.");
  }

  time(label, value) {
    if (value !== null) this.find(".timings tbody").append(cells(label, value.toFixed(1)));
  }

  note(text) {
    this.find(".note").hidden = false;
    this.find(".note").append(text, document.createElement("br"));
  }
}

function cells(label, number, ...rest) {
  const row = document.createElement("tr");
  const head = document.createElement("th");
  head.scope = "row";
  head.textContent = label;
  const value = document.createElement("td");
  value.className = "number";
  value.textContent = number;
  row.append(head, value);
  for (const text of rest) row.insertCell().textContent = text;
  return row;
}

open();
