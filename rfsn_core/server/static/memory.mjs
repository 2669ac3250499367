// What an NPC remembers of a player: to read, to judge, and to try.

import { ask, element, format, may, table, tag, unavailable, when } from "./site.mjs";

export class Memory {
  #place = null;

  constructor() {
    element("recall").onsubmit = (event) => {
      event.preventDefault();
      this.#recall();
    };
  }

  async show() {
    this.#place = { npc: element("memory-npc").value, player: element("memory-player").value, save: element("memory-save").value };
    const { npc, player, save } = this.#place;
    const query = new URLSearchParams({ player, save, turns: "10" });
    try {
      const known = await ask(`/api/memory/${encodeURIComponent(npc)}?${query}`);
      element("known").replaceChildren(...this.#known(known));
      element("recall").hidden = known.state === null;
    } catch (error) {
      unavailable(element("known"), error);
    }
  }

  *#known({ name, player, state, card, salient, memories, turns }) {
    if (state === null) {
      yield tag("p", { className: "faint" }, `${name} has not met ${player}.`);
      return;
    }
    yield tag(
      "p",
      {},
      `${name} is ${state.mood} and sees ${player} as ${state.relationship}: affinity ${format(state.affinity)}, trust ${format(state.trust)}, fear ${format(state.fear)}, after ${state.turns} turns.`,
    );
    const deeds = Object.entries(card ?? {}).filter(([key, value]) => !["trust", "affinity", "trajectory"].includes(key) && filled(value));
    if (deeds.length) yield tag("p", { className: "faint" }, deeds.map(([key, value]) => `${key.replaceAll("_", " ")}: ${JSON.stringify(value)}`).join("; "));
    const comes = new Set(salient);
    if (!memories.length) yield tag("p", { className: "faint" }, "No facts, promises or deeds yet.");
    else yield table(
      ["memory", "kind", "source", "sure", "status", "since", ""],
      memories.map((memory) => [
        tag("span", { className: comes.has(memory.memory_id) ? "chosen" : "" }, memory.text),
        memory.kind,
        memory.source,
        memory.confidence,
        `${memory.expired ? "expired" : memory.status}${memory.reason ? `: ${memory.reason}` : ""}`,
        when(memory.time),
        may("operator") ? this.#judges(memory) : "",
      ]),
      "Memories; those in colour come to mind first",
    );
    yield table(["when", player, name], turns.map((turn) => [when(turn.time), turn.player_text, turn.npc_text]), "Last turns");
  }

  #judges(memory) {
    const button = (label, status) =>
      tag("button", { type: "button", className: "quiet", disabled: memory.status === status, onclick: () => this.#judge(memory, status) }, label);
    return tag("span", { className: "buttons" }, button("believe", "active"), button("doubt", "quarantined"), button("forget", "forgotten"));
  }

  async #judge(memory, status) {
    const { npc, player, save } = this.#place;
    try {
      const path = `/api/memory/${encodeURIComponent(npc)}/records/${encodeURIComponent(memory.memory_id)}`;
      await ask(path, { status, player, save, reason: "judged on the page" });
      await this.show();
    } catch (error) {
      element("recalled").replaceChildren(tag("p", { className: "note", role: "alert" }, error.message));
    }
  }

  async #recall() {
    const { npc, player, save } = this.#place;
    const query = new URLSearchParams({ player, save, q: element("recall-words").value });
    try {
      const { turns } = await ask(`/api/memory/${encodeURIComponent(npc)}/search?${query}`);
      const rows = turns.map((turn) => [turn.relevance, when(turn.time), turn.player_text, turn.npc_text]);
      element("recalled").replaceChildren(
        turns.length ? table(["relevance", "when", player, "answer"], rows) : tag("p", { className: "faint" }, "Nothing would come to mind."),
      );
    } catch (error) {
      unavailable(element("recalled"), error);
    }
  }
}

function filled(value) {
  return Array.isArray(value) ? value.length : typeof value === "object" && value !== null ? Object.keys(value).length : Boolean(value);
}
