// The texts that wait for a person, and those to look at again.

import { ask, may, table, tag, unavailable, when } from "./site.mjs";

export async function showGate(place) {
  if (place.contains(document.activeElement) && document.activeElement !== document.body) return; // an operator is using the table
  let gate, texts;
  try {
    [gate, { texts }] = await Promise.all([ask("/api/gate"), ask("/api/gate/review?limit=30")]);
  } catch (error) {
    unavailable(place, error.status === 404 || error.status === 405 ? new Error("This server keeps no review list.") : error);
    return;
  }
  const act = async (id, body) => {
    try {
      await ask(`/api/gate/review/${encodeURIComponent(id)}`, body);
    } catch (error) {
      place.append(tag("p", { className: "note", role: "alert" }, error.message));
      return;
    }
    document.activeElement?.blur();
    await showGate(place);
  };
  const safe = tag("input", { type: "checkbox", checked: gate.safe_mode, disabled: !may("operator") });
  safe.onchange = async () => {
    await ask("/api/gate/safe_mode", { on: safe.checked });
    safe.blur();
  };
  const rows = texts.map((text) => {
    const button = (label, action) => tag("button", { type: "button", className: "quiet", onclick: () => act(text.id, { action }) }, label);
    const buttons = text.status === "waiting" ? [button("approve", "approve"), button("reject", "reject")] : [button("was fine", "fine"), button("never", "never")];
    return [text.text, `${text.side}${text.npc ? `, ${text.npc}` : ""}`, text.reasons.join(", "), text.status, when(text.time), may("operator") ? tag("span", { className: "buttons" }, ...buttons) : ""];
  });
  place.replaceChildren(
    tag("p", {}, `${gate.providers.join(", ")}; tier ${gate.tier}; ${gate.waiting} waiting. `, tag("label", {}, safe, " safe mode")),
    rows.length ? table(["text", "of", "reasons", "state", "when", ""], rows) : tag("p", { className: "faint" }, "No text was stopped, and none waits."),
  );
}
