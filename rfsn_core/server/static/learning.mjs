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

/** What was learned against the default: who earns more, and how sure that is. */
function trial(trials) {
  const rows = Object.entries(trials ?? {}).map(([who, { acts, reason, learned, default: usual, difference, low, high }]) => [
    who, acts, `${learned.mean_reward} in ${learned.decisions}`, `${usual.mean_reward} in ${usual.decisions}`, difference,
    low === null ? "too few decisions" : `${low} to ${high}`, reason,
  ]);
  if (!rows.length) return [];
  return [table(["NPC", "who acts", "learned: mean reward", "default: mean reward", "better by", "95 % interval", "why"], rows, "Does learning help? Compared where the two differ")];
}
