// The NPCs of the world, as cards: who they are, and how they feel about the player.

import { tag } from "./site.mjs";

export class Cards {
  #node;
  #choose;
  #moods = new Map(); // NPC → the element with its mood

  constructor(node, choose) {
    this.#node = node;
    this.#choose = choose;
  }

  show(npcs) {
    this.#moods.clear();
    this.#node.replaceChildren(
      ...npcs.map((npc) => {
        const mood = tag("span", { className: "mood" });
        this.#moods.set(npc.id, mood);
        const card = tag(
          "button",
          { type: "button", className: "card", dataset: { npc: npc.id }, title: npc.title, onclick: () => this.#choose(npc) },
          tag("strong", {}, npc.name),
          tag("span", { className: "title" }, npc.title),
          mood,
        );
        return card;
      }),
    );
    for (const npc of npcs) if (npc.state) this.feel({ ...npc.state, npc: npc.id });
  }

  choose(id) {
    for (const card of this.#node.children) {
      const chosen = card.dataset.npc === id;
      card.setAttribute("aria-pressed", chosen);
      if (chosen) card.scrollIntoView({ inline: "nearest", block: "nearest" });
    }
  }

  feel({ npc, mood, relationship }) {
    const node = this.#moods.get(npc);
    if (node) node.textContent = `${mood}, ${relationship}`;
  }
}
