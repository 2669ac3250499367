// The page at `/`: talk to the world's NPCs, hear them, and fold out what they decide.

import { Cards } from "./cards.mjs";
import { Player } from "./player.mjs";
import { Reply } from "./reply.mjs";
import { connect } from "./rfsn.mjs";
import { ask, element, may, session, store, tag } from "./site.mjs";

const KEPT = 200; // entries of the history with one NPC
const talk = element("talk"), status = element("status"), input = element("text");
const player = new Player();
const cards = new Cards(element("npcs"), choose);
let name = store.get("rfsn.name", "") || `guest-${crypto.getRandomValues(new Uint32Array(1))[0].toString(36)}`;
store.set("rfsn.name", name);

player.onshape = (shape) => (element("mouth").dataset.shape = shape);

// The facts that this player was told, for those that an NPC tells only when another one's is known.
const heard = new Set(store.get("rfsn.heard", []));
let rfsn = null; // the connection
let world = { name: "", npcs: [] };
let npc = null; // who is talked to
let turn = null; // the turn under way

function show(text, bad = false) {
  status.textContent = text;
  status.classList.toggle("bad", bad);
}

function scroll() {
  talk.scrollTop = talk.scrollHeight;
}

function add(name, className, text) {
  talk.append(tag(name, { className }, text));
  scroll();
}

// ── the connection ──────────────────────────────────────────────────────────

async function open(wait = 500) {
  let broken = [];
  try {
    await session();
    world = await ask(`/api/world?player=${encodeURIComponent(name)}`);
    const { rendering, speech } = (await ask("/api/health").catch(() => ({ components: {} }))).components;
    broken = [...(rendering?.broken ?? []), ...(speech?.broken ?? [])];
    const scheme = location.protocol === "https:" ? "wss" : "ws";
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
    if (message.type === "state") feel(message);
    if (message.type === "error") show(message.message, true);
  };
  element("world").textContent = world.name || "RFSN";
  document.title = world.name ? `${world.name} · RFSN` : "RFSN";
  cards.show(world.npcs);
  const last = npc?.id ?? store.get("rfsn.npc", "");
  choose(world.npcs.find((each) => each.id === last) ?? world.npcs[0], npc !== null);
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
  store.set("rfsn.npc", npc.id);
  cards.choose(npc.id);
  suggest();
  if (quietly) return;
  element("state").hidden = true;
  if (npc.state) feel({ ...npc.state, npc: npc.id });
  talk.replaceChildren();
  history(npc.id).forEach(replay);
  add("p", "lead", `You are with ${npc.name}${npc.title ? `, ${npc.title}` : ""}.`);
  input.focus({ preventScroll: true });
}

/** Offers what to say first; once there is a talk, it makes room. */
function suggest() {
  const offered = history(npc.id).length ? [] : npc.openings;
  element("openings").replaceChildren(
    ...offered.map((text) => tag("button", { type: "button", className: "opening", onclick: () => say(text) }, text)),
  );
}

// ── what was said before, kept in this browser ──────────────────────────────

function place(id) {
  return `rfsn.talk ${world.name} ${name} ${id}`;
}

function history(id) {
  return store.get(place(id), []);
}

function keep(id, entry) {
  store.set(place(id), [...history(id), entry].slice(-KEPT));
}

function replay(entry) {
  if (entry.player !== undefined) return add("article", "player", entry.player);
  if (entry.lead !== undefined) return add("p", "lead", entry.lead);
  const reply = new Reply(talk, entry.name);
  for (const event of entry.events) reply.take(event);
  reply.end(may("designer"));
}

element("clear").onclick = () => {
  store.set(place(npc.id), []);
  choose(npc);
};
element("player").value = name;
element("player").onchange = ({ target }) => {
  name = target.value.trim() || name;
  target.value = name;
  store.set("rfsn.name", name);
  rfsn?.close();
  npc = null;
};

// ── a turn ──────────────────────────────────────────────────────────────────

element("say").onsubmit = (event) => {
  event.preventDefault();
  const text = input.value.trim();
  if (!text || !rfsn) return;
  input.value = "";
  say(text);
};

function say(text) {
  if (!rfsn) return;
  player.wake(); // browsers start sound only on a gesture
  interrupt();
  add("article", "player", text);
  keep(npc.id, { player: text });
  element("openings").replaceChildren();
  follow(rfsn.say(npc.id, text, { player: name, state: { flags: [...heard, ...flags()] } }), npc);
}

element("stop").onclick = () => interrupt();
element("sound").onchange = (event) => player.mute(!event.target.checked);

// What a game would report: deeds that the NPC sees, and flags.
element("deeds").onclick = ({ target }) => {
  const { kind, said } = target.dataset;
  if (!kind || !rfsn) return;
  rfsn.send({ type: "event", npc: npc.id, player: name, kind });
  const lead = said.replace("{npc}", npc.name);
  keep(npc.id, { lead });
  add("p", "lead", lead);
};
element("flags").value = store.get("rfsn.flags", "");
element("flags").onchange = ({ target }) => store.set("rfsn.flags", target.value);

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
  const reply = new Reply(talk, who.name);
  const events = [];
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
        if (Reply.SHOWN.has(event.type)) events.push(event);
        reply.take(event);
        scroll();
      }
    }
  } catch (error) {
    reply.note(error.message);
  }
  reply.end(may("designer"));
  if (events.length) keep(who.id, { name: who.name, events });
  if (turn === mine) turn = null;
  busy();
}

/** Keeps the fact that was told. */
function note(fact) {
  if (!fact) return;
  heard.add(fact);
  store.set("rfsn.heard", [...heard]);
}

function feel(state) {
  cards.feel(state);
  const known = world.npcs.find((each) => each.id === state.npc);
  if (known) known.state = state;
  if (state.npc !== npc?.id) return;
  element("state").hidden = false;
  element("mood").textContent = `${state.mood}, ${state.relationship}`;
  for (const field of ["affinity", "trust", "fear"]) {
    element(field).value = state[field];
    element(field).title = state[field].toFixed(2);
  }
}

open();
