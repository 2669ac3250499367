// What was learned, whether it helps, and the way back.

import { ask, may, table, tag, unavailable, when } from "./site.mjs";

export async function showLearning(place) {
  let learning;
  try {
    learning = await ask("/api/learning");
  } catch (error) {
    unavailable(place, error);
    return;
  }
  const act = async (body) => {
    try {
      await ask("/api/learning", body);
      await showLearning(place);
    } catch (error) {
      place.append(tag("p", { className: "note", role: "alert" }, error.message));
    }
  };
  const button = (label, body) => tag("button", { type: "button", onclick: () => act(body) }, label);
  const { policy, enabled, state, reason, updates, checkpoints, mode, trials } = learning;
  const off = enabled ? "" : " Learning is off.";
  place.replaceChildren(
    tag("p", {}, `${policy}: ${state}${reason ? `, ${reason}` : ""}; ${updates} updates${mode ? `; mode ${mode}` : ""}.${off}`),
    ...trial(trials),
    may("operator")
      ? tag("p", { className: "buttons" }, state === "frozen" ? button("Learn again", { action: "unfreeze" }) : button("Freeze", { action: "freeze", reason: "on the page" }))
      : "",
    checkpoints.length
      ? table(
          ["checkpoint", "saved", "bytes", ""],
          checkpoints.slice(0, 10).map(({ id, time, size }) => [
            id, when(time), size, may("operator") ? button("Roll back to it", { action: "rollback", checkpoint: id }) : "",
          ]),
        )
      : tag("p", { className: "faint" }, "No checkpoint yet: the policy has learned nothing, or needs no learning."),
  );
}

/** The hold-out against what was learned, as the server reports it. */
function trial(trials) {
  if (!trials || typeof trials !== "object" || !Object.keys(trials).length) return [];
  const words = (value) => (typeof value === "object" && value !== null ? JSON.stringify(value) : typeof value === "number" ? value : String(value));
  return [table(["", ""], Object.entries(trials).map(([name, value]) => [name.replaceAll("_", " "), words(value)]), "The hold-out against what was learned")];
}
