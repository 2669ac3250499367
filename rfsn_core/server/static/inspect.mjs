// The page `/inspect`: why an NPC did what it did, what it remembers, and what was learned.

import { showLearning } from "./learning.mjs";
import { Memory } from "./memory.mjs";
import { ask, element, may, session, tag, unavailable, when } from "./site.mjs";
import { timeline } from "./timeline.mjs";

const MOST = 200;
let decisions = [];

function option(value, text = value) {
  return tag("option", { value }, text);
}

async function look() {
  const npc = element("by-npc").value;
  try {
    const answer = await ask(`/api/decisions?limit=${MOST}${npc ? `&npc=${encodeURIComponent(npc)}` : ""}`);
    decisions = answer.decisions;
  } catch (error) {
    return unavailable(element("list"), error);
  }
  const actions = [...new Set(decisions.map((each) => each.action.chosen))].sort();
  const chosen = element("by-action").value;
  element("by-action").replaceChildren(option("", "all"), ...actions.map((action) => option(action)));
  element("by-action").value = actions.includes(chosen) ? chosen : "";
  list();
}

function list() {
  const player = element("by-player").value.toLowerCase();
  const action = element("by-action").value;
  const words = element("by-words").value.toLowerCase();
  const said = (each) => `${each.explanation?.player_text ?? ""} ${each.explanation?.npc_text ?? ""}`.toLowerCase();
  const shown = decisions.filter(
    (each) => each.player.toLowerCase().includes(player) && (!action || each.action.chosen === action) && said(each).includes(words),
  );
  element("list").replaceChildren(...shown.map(entry));
  if (!shown.length) element("list").append(tag("li", { className: "faint" }, "No decision fits. Talk with somebody first."));
}

function entry(each) {
  const button = tag(
    "button",
    { type: "button", dataset: { decision: each.decision_id }, onclick: () => (location.hash = each.decision_id) },
    tag("span", { className: "who" }, `${each.npc} → ${each.player}`),
    tag("span", { className: "faint time" }, when(each.time)),
    tag("span", { className: "said" }, each.explanation?.player_text || "(no words)"),
    tag("span", { className: "did" }, `${each.signal} → ${each.action.chosen}`),
  );
  return tag("li", {}, button);
}

async function show() {
  const id = decodeURIComponent(location.hash.slice(1));
  for (const button of document.querySelectorAll("#list button")) {
    button.setAttribute("aria-pressed", button.dataset.decision === id);
  }
  if (!id) return;
  try {
    const answer = await ask(`/api/decisions/${encodeURIComponent(id)}`);
    element("timeline").replaceChildren(...timeline(answer));
    element("memory-npc").value = answer.decision.npc;
    element("memory-player").value = answer.decision.player;
    element("memory-save").value = answer.decision.save;
    if (matchMedia("(max-width: 60rem)").matches) element("turn").scrollIntoView();
  } catch (error) {
    unavailable(element("timeline"), error);
  }
}

async function begin() {
  try {
    await session();
    const world = await ask("/api/world");
    for (const npc of world.npcs) {
      element("by-npc").append(option(npc.id, npc.name));
      element("memory-npc").append(option(npc.id, npc.name));
    }
  } catch (error) {
    element("status").textContent = `${error.message}; trying again…`;
    setTimeout(begin, 2000);
    return;
  }
  element("status").textContent = "";
  if (!may("designer")) {
    element("status").textContent = "This page needs a key of the role designer.";
    return;
  }
  const memory = new Memory();
  element("filters").onsubmit = (event) => {
    event.preventDefault();
    look();
  };
  element("by-npc").onchange = look;
  for (const id of ["by-player", "by-action", "by-words"]) element(id).oninput = list;
  element("whose").onsubmit = (event) => {
    event.preventDefault();
    memory.show();
  };
  window.onhashchange = show;
  await look();
  await show();
  await showLearning(element("learned"));
}

begin();
