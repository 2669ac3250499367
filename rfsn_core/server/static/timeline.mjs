// One turn as a timeline, from what the player said to what came of it.

import { forbidden, situation } from "./reply.mjs";
import { format, table, tag, when } from "./site.mjs";

/** Yields the nodes of a turn; `answer` is that of `GET /api/decisions/{id}`. */
export function* timeline({ decision, why, details, rewards, updates }) {
  const told = Object.fromEntries(details ?? []);
  yield tag("p", { className: "because" }, why);
  yield tag(
    "ol",
    { className: "steps" },
    step("Heard", told.Player ?? "", `${decision.player}, ${when(decision.time)}`),
    step("Understood", told.Understood ?? decision.signal),
    step("Knew", told.Knew),
    step("Situation", tag("code", {}, ...situation(decision.key))),
    step("Weighed", candidates(decision)),
    step("Chose", `${decision.action.chosen}, in the style ${decision.style.chosen}`, `by ${decision.policy}`),
    step("Said", told.NPC ?? "", decision.delivered ? "" : "The player did not see or hear it."),
    step("Felt", told.Felt),
    step("Came of it", consequences(rewards, updates ?? [])),
  );
  yield tag("details", {}, tag("summary", {}, "The whole record"), tag("pre", {}, JSON.stringify(decision, null, 1)));
}

function step(label, content, remark = "") {
  if (content === undefined) return null;
  return tag("li", {}, tag("h3", {}, label), tag("div", {}, content), remark ? tag("div", { className: "faint" }, remark) : null);
}

function candidates(decision) {
  const slot = decision.action;
  const order = slot.arms.map((_, index) => index).sort((a, b) => slot.scores[b] - slot.scores[a]);
  const low = Math.min(0, ...slot.scores), high = Math.max(...slot.scores, low + 1e-9);
  const rows = order.map((index) => {
    const bar = tag("span", { className: "bar" });
    bar.style.width = `${(5 * (slot.scores[index] - low)) / (high - low)}em`;
    const parts = Object.entries(decision.terms[index] ?? {})
      .filter(([, value]) => Math.abs(value) >= 0.005)
      .map(([name, value]) => `${name} ${value > 0 ? "+" : ""}${value.toFixed(2)}`)
      .join(", ");
    const row = tag(
      "tr",
      { className: slot.arms[index] === slot.chosen ? "chosen" : "" },
      tag("th", { scope: "row" }, slot.arms[index].replaceAll("_", " ")),
      tag("td", { className: "number" }, bar, slot.scores[index].toFixed(3)),
      tag("td", { className: "number" }, `${(100 * slot.propensities[index]).toFixed(0)} %`),
      tag("td", {}, decision.reasons[index]),
      tag("td", { className: "faint" }, parts),
    );
    return row;
  });
  const vetoes = Object.entries(decision.vetoes);
  return tag(
    "div",
    {},
    table(["action", "score", "chance", "because", "made of"], rows),
    vetoes.length ? tag("p", { className: "faint" }, `${forbidden(vetoes)}.`) : null,
  );
}

function consequences(rewards, updates) {
  if (!rewards.length && !updates.length) return "Nothing was rewarded yet.";
  return tag(
    "ul",
    {},
    ...rewards.map((reward) => tag("li", {}, `reward ${format(reward.value)} ${reward.signal} (${reward.source})`)),
    ...updates.map((update) =>
      tag("li", {}, update.rejected ? `not learned: ${update.rejected}` : `${update.slot} ${update.arm}: weights moved by ${update.step.toFixed(4)}`),
    ),
  );
}
